// A recording (asciicast v2) as something that can be played: parsed, its long pauses cut, with a clock that runs, stands
// and jumps. Knows no page and no screen.

/** @typedef {{at: number, kind: string, data: string}} Moment seconds since the beginning */

/** @param {string} text @returns {{cols: number, rows: number, moments: Moment[], length: number}} */
export function parse(text) {
  const [head, ...lines] = text.split("\n");
  const { width = 80, height = 24, version } = JSON.parse(head);
  if (version !== 2) throw new Error("no asciicast v2");
  /** @type {Moment[]} */
  const moments = [];
  for (const line of lines) {
    let moment;
    try {
      moment = JSON.parse(line);
    } catch {
      // The last line of a recording that was cut off.
      continue;
    }
    const [at, kind, data] = moment;
    if (typeof at === "number" && typeof data === "string")
      moments.push({ at: Math.max(at, moments.at(-1)?.at ?? 0), kind, data });
  }
  return { cols: width, rows: height, moments, length: moments.at(-1)?.at ?? 0 };
}

/** The same with no pause longer than `most` seconds. @param {Moment[]} moments @param {number} most */
export function withoutPauses(moments, most) {
  let [before, cut] = [0, 0];
  return moments.map((moment) => {
    cut += Math.max(0, moment.at - before - most);
    before = moment.at;
    return { ...moment, at: moment.at - cut };
  });
}

/** How many moments are over at `at`. @param {Moment[]} moments @param {number} at */
export function reached(moments, at) {
  let [low, high] = [0, moments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moments[middle].at <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Plays moments: `write(text)`, `resize(cols, rows)` and `reset()` show them, `passed()` is a clock in milliseconds. */
export class Player {
  /**
   * @param {ReturnType<typeof parse>} cast
   * @param {{write: (text: string) => void, resize: (cols: number, rows: number) => void, reset: () => void, passed?: () => number}} screen
   */
  constructor(cast, { write, resize, reset, passed = () => performance.now() }) {
    this.cast = cast;
    this.write = write;
    this.resize = resize;
    this.reset = reset;
    this.passed = passed;
    this.speed = 1;
    this.playing = false;
    this.place = 0;
    this.next = 0;
    this.since = 0;
    this.moments = cast.moments;
    this.length = cast.length;
    this.skip(false);
  }

  /** Whether pauses longer than two seconds are cut; the place stays at the same moment. @param {boolean} on */
  skip(on) {
    const moment = this.moments?.[this.next - 1];
    const past = moment ? Math.max(0, this.at() - moment.at) : this.at();
    this.moments = on ? withoutPauses(this.cast.moments, 2) : this.cast.moments;
    this.length = this.moments.at(-1)?.at ?? 0;
    const now = this.moments[this.next - 1];
    this.stand(Math.min(this.length, (now ? now.at : 0) + (on ? Math.min(2, past) : past)));
  }

  /** Seconds since the beginning. */
  at() {
    const moved = this.playing ? ((this.passed() - this.since) / 1000) * this.speed : 0;
    return Math.min(this.length ?? 0, this.place + moved);
  }

  /** The clock counts from `place` on. @param {number} place */
  stand(place) {
    this.place = place;
    this.since = this.passed();
  }

  play() {
    if (this.at() >= this.length) this.seek(0);
    this.stand(this.at());
    this.playing = true;
  }

  pause() {
    this.stand(this.at());
    this.playing = false;
  }

  /** @param {number} speed */
  faster(speed) {
    this.stand(this.at());
    this.speed = speed;
  }

  /** @param {number} at */
  seek(at) {
    const to = Math.min(this.length, Math.max(0, at));
    if (reached(this.moments, to) < this.next) {
      this.reset();
      this.resize(this.cast.cols, this.cast.rows);
      this.next = 0;
    }
    this.stand(to);
    this.tick();
  }

  /** Show what has come due; the recording stops at its end. */
  tick() {
    const at = this.at();
    const until = reached(this.moments, at);
    let text = "";
    for (const { kind, data } of this.moments.slice(this.next, until)) {
      if (kind === "o") text += data;
      const size = kind === "r" && /^(\d{1,4})x(\d{1,4})$/.exec(data);
      if (!size) continue;
      if (text) this.write(text);
      text = "";
      this.resize(Number(size[1]), Number(size[2]));
    }
    if (text) this.write(text);
    this.next = until;
    if (this.playing && at >= this.length) this.pause();
    return at;
  }
}
