// One connection to the hub that comes back by itself. Knows frames, not what they mean, and touches no page.

import { delay } from "./backoff.js";

const SILENCE_MS = 20000;
const ANSWER_MS = 10000;

/**
 * States: connecting (never had one), live, lost, refused (signed out: no use in trying).
 * `on.state(state, why)`, `on.frame(message)` are called; `on.opened()` after each successful connection.
 */
export class Socket {
  /**
   * @param {string} url @param {{state: (state: string) => void, frame: (frame: any) => void, opened: () => void}} on
   * @param {World} [world]
   */
  constructor(url, on, world = {}) {
    this.url = url;
    this.on = on;
    this.open = world.open ?? ((address) => /** @type {Line} */ (/** @type {unknown} */ (new WebSocket(address))));
    this.later = world.later ?? ((fn, ms) => setTimeout(fn, ms));
    this.cancel = world.cancel ?? ((timer) => clearTimeout(timer));
    this.random = world.random ?? Math.random;
    this.signedIn = world.signedIn ?? (() => fetch("/api/v2/auth/me").then((answer) => answer.status !== 401));
    this.state = "connecting";
    this.attempt = 0;
    /** @type {Timer | undefined} */
    this.timer = undefined;
    /** @type {Timer | undefined} */
    this.quiet = undefined;
    /** @type {Line | undefined} */
    this.link = undefined;
  }

  start() {
    this.cancel(this.timer);
    this.timer = undefined;
    const link = this.open(this.url);
    this.link = link;
    // Every callback first asks whether it still speaks for the newest link: a late close must not undo a new open.
    link.onmessage = (event) => this.link === link && this.heard(event.data);
    link.onclose = (event) => this.link === link && this.gone(event.code);
    link.onerror = () => {};
    this.guard();
  }

  /** Try now, unless there is a link that works. */
  retry() {
    if (this.state === "live" || this.state === "refused") return;
    this.drop();
    this.start();
  }

  /** @param {object} message */
  send(message) {
    if (this.state === "live" && this.link?.readyState === 1) this.link.send(JSON.stringify(message));
  }

  /** The link is believed dead: give it up and begin again. */
  drop() {
    const link = this.link;
    this.link = undefined;
    this.cancel(this.quiet);
    if (link) link.close();
  }

  /** @param {string} text */
  heard(text) {
    this.guard();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type === "hello") {
      this.attempt = 0;
      this.become("live");
      this.on.opened();
    }
    this.on.frame(message);
  }

  /** @param {number} code */
  gone(code) {
    this.link = undefined;
    this.cancel(this.quiet);
    if (code === 4401 || code === 4403) return this.become("refused");
    this.become(this.state === "connecting" ? "connecting" : "lost");
    this.timer = this.later(() => this.start(), delay(this.attempt, this.random));
    this.attempt += 1;
    // A socket refused before it opened looks like a network that is away; a plain request can tell them apart.
    if (this.attempt > 1)
      this.signedIn().then(
        (yes) => yes || this.refuse(),
        () => {},
      );
  }

  refuse() {
    this.cancel(this.timer);
    this.drop();
    this.become("refused");
  }

  /** Long silence is no news or a dead link: ask for a picture, and give up when none comes. */
  guard() {
    this.cancel(this.quiet);
    this.quiet = this.later(() => {
      this.send({ type: "snapshot" });
      this.quiet = this.later(() => {
        this.drop();
        this.gone(1006);
      }, ANSWER_MS);
    }, SILENCE_MS);
  }

  /** @param {string} state */
  become(state) {
    if (state === this.state) return;
    this.state = state;
    this.on.state(state);
  }
}
