// Whether a connection still lives: silence is asked about, and so is whatever may have cut it unseen (sleep, another
// network). Knows no socket and no frame but that a ping has a number.

const SILENCE_MS = 20000;
const ANSWER_MS = 10000;
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
    this.n = 0;
    this.checking = false;
    /** @type {Timer | undefined} */
    this.timer = undefined;
  }

  /** A connection is being made: its first frame is waited for. @param {number} [within] ms */
  opening(within = ANSWER_MS) {
    this.stop();
    this.timer = this.later(() => this.on.dead(), within);
  }

  /** A frame came. One that was under way before a check began does not answer it. */
  heard() {
    if (this.checking) return;
    this.cancel(this.timer);
    this.timer = this.later(() => this.ask(ANSWER_MS), SILENCE_MS);
  }

  /** The hub answered a ping. @param {number} n */
  answered(n) {
    if (n !== this.n) return;
    this.checking = false;
    this.heard();
  }

  /** Something may have cut the connection: ask at once. */
  check() {
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
 * network, or the page was frozen, hidden or brought back.
 * @param {() => void} act
 */
export function whenBack(act) {
  let seen = Date.now();
  setInterval(() => {
    const late = Math.abs(Date.now() - seen - TICK_MS) > LATE_MS;
    seen = Date.now();
    if (late) act();
  }, TICK_MS);
  addEventListener("online", act);
  addEventListener("pageshow", (event) => event.persisted && act());
  for (const name of ["visibilitychange", "resume"]) document.addEventListener(name, () => document.hidden || act());
  /** @type {any} */ (navigator).connection?.addEventListener("change", act);
}
