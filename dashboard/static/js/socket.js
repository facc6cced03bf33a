// One connection to the hub that comes back by itself. Knows frames, not what they mean, and touches no page.

import { Backoff } from "./backoff.js";
import { LinkWatch } from "./link_watch.js";

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
    this.signedIn =
      world.signedIn ?? (() => fetch(`${BASE_PATH}/api/v2/auth/me`).then((answer) => answer.status !== 401));
    this.state = "connecting";
    this.backoff = new Backoff(world);
    /** @type {Timer | undefined} */
    this.timer = undefined;
    this.watch = new LinkWatch({ ping: (n) => this.send({ type: "ping", n }), dead: () => this.dead() }, world);
    /** @type {Line | undefined} */
    this.link = undefined;
  }

  start() {
    this.cancel(this.timer);
    this.timer = undefined;
    const link = this.open(this.url);
    this.link = link;
    // Every callback first asks whether it still speaks for the newest link: a late close must not undo a new open.
    link.onmessage = (event) => this.link === link && this.receive(event.data);
    link.onclose = (event) => this.link === link && this.gone(event.code);
    link.onerror = () => {};
    this.watch.opening();
  }

  /** Try now; a link that seems to work is asked whether it does. `doubt`: it is believed not to until it answers. */
  retry(doubt = false) {
    if (this.state === "refused") return;
    if (this.state === "live") return this.watch.check(doubt);
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
    this.watch.stop();
    if (link) link.close();
  }

  /** Nothing comes any more. */
  dead() {
    this.drop();
    this.gone(1006);
  }

  /** @param {string} text */
  receive(text) {
    this.watch.received();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type === "hello") {
      this.backoff.connected();
      this.become("live");
      this.on.opened();
    }
    if (message.type === "pong") this.watch.answered(message.n);
    this.on.frame(message);
  }

  /** @param {number} code */
  gone(code) {
    this.link = undefined;
    this.watch.stop();
    if (code === 4401 || code === 4403) return this.become("refused");
    this.become(this.state === "connecting" ? "connecting" : "lost");
    this.timer = this.later(() => this.start(), this.backoff.next());
    // A socket refused before it opened looks like a network that is away; a plain request can distinguish them.
    if (this.backoff.attempt > 1)
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

  /** @param {string} state */
  become(state) {
    if (state === this.state) return;
    this.state = state;
    this.on.state(state);
  }
}
