// Whether a connection still lives, and how long nothing came: silence is asked about, and so is whatever may have cut it
// unseen (sleep, another network). Knows no socket and no frame but that a ping has a number.

const SILENCE_MS = 1500;
/** Of a page that nobody sees. */
const HIDDEN_MS = 20000;
/** A slow network may be at a great picture of the fleet for so long. */
const ANSWER_MS = 28000;
const OPENING_MS = 10000;
/** Where something happened that often cuts connections, the answer has to come sooner. */
const CHECK_MS = 4000;
const TICK_MS = 2000;
const LATE_MS = 4000;

export class LinkWatch {
  /**
   * `ping(n)` asks the hub, `dead()` gives the connection up.
   * @param {{ping: (n: number) => void, dead: () => void}} on @param {World} world
   */
  constructor(on, world) {
    this.on = on;
    this.later = world.later ?? ((fn, ms) => setTimeout(fn, ms));
    this.cancel = world.cancel ?? ((timer) => clearTimeout(timer));
    this.now = world.now ?? (() => performance.now());
    this.n = 0;
    this.hidden = false;
    this.checking = false;
    /** Something has surely cut the connection for a while. */
    this.doubt = false;
    this.at = this.now();
    this.wall = Date.now();
    /** @type {Timer | undefined} */
    this.timer = undefined;
  }

  /** A connection is being made: its first frame is waited for. @param {number} [within] ms */
  opening(within = OPENING_MS) {
    this.stop();
    this.timer = this.later(() => this.on.dead(), within);
  }

  /** A frame came. One that was under way before a check began does not answer it. */
  received() {
    if (this.checking) return;
    this.news();
    this.cancel(this.timer);
    this.timer = this.later(() => this.ask(ANSWER_MS), this.hidden ? HIDDEN_MS : SILENCE_MS);
  }

  news() {
    this.doubt = false;
    this.at = this.now();
    this.wall = Date.now();
  }

  /** How long nothing came, in ms; this computer's sleep counts. */
  silence() {
    return Math.max(this.now() - this.at, Date.now() - this.wall);
  }

  /** The hub answered a ping. @param {number} n */
  answered(n) {
    if (n !== this.n) return;
    this.checking = false;
    this.received();
  }

  /** Something may have cut the connection, or surely has (`doubt`): ask at once. */
  check(doubt = false) {
    this.doubt ||= doubt;
    if (this.checking) return;
    this.checking = true;
    this.ask(CHECK_MS);
  }

  stop() {
    this.checking = false;
    this.cancel(this.timer);
  }

  /** @param {number} within ms */
  ask(within) {
    this.cancel(this.timer);
    this.n += 1;
    this.on.ping(this.n);
    this.timer = this.later(() => this.on.dead(), within);
  }
}

/**
 * Call `act` whenever this computer may have been away: it slept (timers came late by the clock on the wall), got another
 * network, or the page was hidden or brought back; with true when it surely is: no network, or asleep, or frozen.
 * @param {(surely: boolean) => void} act
 */
export function whenBack(act) {
  let seen = Date.now();
  setInterval(() => {
    const late = Math.abs(Date.now() - seen - TICK_MS) > LATE_MS;
    seen = Date.now();
    if (late) act(true);
  }, TICK_MS);
  for (const name of ["offline", "online"]) addEventListener(name, () => act(name === "offline"));
  addEventListener("pageshow", (event) => event.persisted && act(true));
  for (const name of ["freeze", "resume"]) document.addEventListener(name, () => act(true));
  document.addEventListener("visibilitychange", () => document.hidden || act(false));
  /** @type {any} */ (navigator).connection?.addEventListener("change", () => act(false));
}
