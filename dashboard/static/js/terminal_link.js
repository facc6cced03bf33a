// One terminal's connection to the hub: opens it, comes back to the same shell after a loss, and knows when it is over.
// Knows bytes and frames, no page and no xterm.

import { delay } from "./backoff.js";

const encoder = new TextEncoder();

/**
 * `state`: idle, opening, ready, lost (it comes back by itself), over. Called: `on.ready(frame, again)`, `on.bytes(bytes)`,
 * `on.lost()`, `on.over(code, exit)` with a code of terminal_errors.js.
 */
export class TerminalLink {
  /**
   * @param {string} url @param {number} session
   * @param {{ready: (frame: Free, again: boolean) => void, bytes: (bytes: Uint8Array) => void, lost: () => void,
   *   over: (code: string, exit: number | null) => void}} on
   * @param {World} [world]
   */
  constructor(url, session, on, world = {}) {
    this.url = url;
    this.session = session;
    this.on = on;
    this.state = "idle";
    this.size = [0, 0];
    /** @type {string | null} */
    this.terminal = null;
    this.received = 0;
    this.attempt = 0;
    this.open = world.open ?? ((address) => /** @type {Line} */ (/** @type {unknown} */ (new WebSocket(address))));
    this.later = world.later ?? ((fn, ms) => setTimeout(fn, ms));
    this.cancel = world.cancel ?? ((timer) => clearTimeout(timer));
    this.random = world.random ?? Math.random;
    /** @type {Timer | undefined} */
    this.timer = undefined;
    /** @type {Line | undefined} */
    this.link = undefined;
  }

  /** Begin a new shell, `cols` by `rows`. @param {number} cols @param {number} rows */
  start(cols, rows) {
    this.size = [cols, rows];
    this.terminal = null;
    this.received = 0;
    this.attempt = 0;
    this.state = "opening";
    this.connect();
  }

  connect() {
    this.cancel(this.timer);
    const link = this.open(this.url);
    link.binaryType = "arraybuffer";
    this.link = link;
    const [cols, rows] = this.size;
    // Every callback first asks whether it still speaks for the newest link.
    link.onopen = () =>
      this.link === link &&
      link.send(
        JSON.stringify(
          this.terminal === null
            ? { type: "open", session: this.session, cols, rows }
            : { type: "attach", terminal: this.terminal, received: this.received },
        ),
      );
    link.onmessage = (event) => this.link === link && this.heard(event.data);
    link.onclose = (event) => this.link === link && this.gone(event.code);
    link.onerror = () => {};
  }

  /** @param {string | ArrayBuffer} data */
  heard(data) {
    if (typeof data !== "string") {
      const bytes = new Uint8Array(data);
      this.received += bytes.length;
      this.on.bytes(bytes);
      return;
    }
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (frame.type === "ready") this.ready(frame);
    else if (frame.type === "ended") this.finish(frame.code ?? "exited", frame.exit ?? null);
    else if (frame.type === "error") this.finish(frame.code, null);
  }

  /** @param {Free} frame */
  ready(frame) {
    const again = this.terminal !== null;
    this.terminal = frame.terminal;
    this.attempt = 0;
    this.state = "ready";
    this.on.ready(frame, again);
    if (again) this.say({ type: "resize", cols: this.size[0], rows: this.size[1] });
  }

  /** @param {number} code */
  gone(code) {
    this.link = undefined;
    if (this.state === "over") return;
    if (code === 4401 || code === 4403) return void this.finish("denied", null);
    if (this.terminal === null) return void this.finish("no_answer", null);
    if (this.state !== "lost") {
      this.state = "lost";
      this.on.lost();
    }
    this.timer = this.later(() => this.connect(), delay(this.attempt, this.random));
    this.attempt += 1;
  }

  /** Try now. */
  retry() {
    if (this.state !== "lost") return;
    const link = this.link;
    this.link = undefined;
    link?.close();
    this.connect();
  }

  /** @param {string} code @param {number | null} exit */
  finish(code, exit) {
    if (this.state === "over") return;
    this.state = "over";
    this.cancel(this.timer);
    this.on.over(code, exit);
    this.link?.close();
  }

  /** The person closes it. */
  end() {
    this.finish("closed", null);
  }

  /** @param {object} message */
  say(message) {
    if (this.state === "ready" && this.link?.readyState === 1) this.link.send(JSON.stringify(message));
  }

  /** What was typed; dropped while there is nobody to take it. @param {string | Uint8Array} typed */
  type(typed) {
    if (this.state !== "ready" || this.link?.readyState !== 1) return false;
    this.link.send(typeof typed === "string" ? encoder.encode(typed) : typed);
    return true;
  }

  /** @param {number} cols @param {number} rows */
  resize(cols, rows) {
    this.size = [cols, rows];
    this.say({ type: "resize", cols, rows });
  }
}
