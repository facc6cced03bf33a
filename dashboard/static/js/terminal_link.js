// One terminal's connection to the hub: opens it, comes back to the same shell after a loss, and knows when it is over.
// Knows bytes and frames, no page and no xterm.

import { Backoff } from "./backoff.js";
import { LinkWatch } from "./link_watch.js";
import { TypedInput } from "./typed_input.js";

/** Close codes for a message of ours that the hub does not take: it would not take it again. */
const NOT_TAKEN = [1002, 1003, 1007, 1008, 1009, 4400];
/** The hub gives a machine 10 s to open a shell. */
const OPEN_MS = 20000;
/** So often what arrived is reported to the hub, and so much may wait for the screen before nothing more is reported. */
const CONFIRM_BYTES = 64 * 1024;
const UNDRAWN_BYTES = 4 * 1024 * 1024;

/**
 * `state`: idle, opening, ready, lost (it comes back by itself), over. Called: `on.ready(frame, again, missing)` with the
 * number of characters typed that did not arrive, `on.bytes(bytes)`, `on.moved()` (the input), `on.lost()`,
 * `on.over(code, exit, missing)` with a code of terminal_errors.js.
 */
export class TerminalLink {
  /**
   * @param {string} url @param {number} session
   * @param {{ready: (frame: Free, again: boolean, missing: number) => void, bytes: (bytes: Uint8Array) => void,
   *   moved: () => void, lost: () => void, over: (code: string, exit: number | null, missing: number) => void}} on
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
    this.confirmed = 0;
    this.drawn = 0;
    this.input = new TypedInput();
    /** What the hub takes in a frame, and before it passed some on: it reports that in `ready`. */
    this.most = 0;
    this.window = 0;
    this.open = world.open ?? ((address) => /** @type {Line} */ (/** @type {unknown} */ (new WebSocket(address))));
    this.later = world.later ?? ((fn, ms) => setTimeout(fn, ms));
    this.cancel = world.cancel ?? ((timer) => clearTimeout(timer));
    this.backoff = new Backoff(world);
    this.watch = new LinkWatch({ ping: (n) => this.send({ type: "ping", n }), dead: () => this.dead() }, world);
    /** @type {Timer | undefined} */
    this.timer = undefined;
    /** @type {Line | undefined} */
    this.link = undefined;
  }

  /** Begin a new shell, `cols` by `rows`. @param {number} cols @param {number} rows */
  start(cols, rows) {
    this.size = [cols, rows];
    this.terminal = null;
    this.received = this.confirmed = this.drawn = 0;
    this.input = new TypedInput();
    this.backoff.attempt = 0;
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
    link.onmessage = (event) => this.link === link && this.receive(event.data);
    link.onclose = (event) => this.link === link && this.gone(event.code);
    link.onerror = () => {};
    this.watch.opening(this.terminal === null ? OPEN_MS : undefined);
  }

  /** @param {string | ArrayBuffer} data */
  receive(data) {
    this.watch.received();
    if (typeof data !== "string") {
      const bytes = new Uint8Array(data);
      this.received += bytes.length;
      this.on.bytes(bytes);
      return this.confirm();
    }
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return undefined;
    }
    if (frame.type === "ready") this.ready(frame);
    else if (frame.type === "pong") this.watch.answered(frame.n);
    else if (frame.type === "passed") this.passed(frame.bytes);
    else if (frame.type === "ended") this.finish(frame.code ?? "exited", frame.exit ?? null);
    else if (frame.type === "error") this.finish(frame.code, null);
    return undefined;
  }

  /** The screen has drawn so many bytes more. @param {number} count */
  drew(count) {
    this.drawn += count;
    this.confirm();
  }

  /** Report to the hub what arrived, unless the screen is far behind: then the shell waits for it. */
  confirm() {
    if (this.received - this.confirmed < CONFIRM_BYTES || this.received - this.drawn > UNDRAWN_BYTES) return;
    this.confirmed = this.received;
    this.send({ type: "received", bytes: this.received });
  }

  /** @param {Free} frame */
  ready(frame) {
    const again = this.terminal !== null;
    this.terminal = frame.terminal;
    this.most = frame.max_bytes;
    this.window = frame.window;
    this.backoff.connected();
    this.state = "ready";
    // What is kept no more was drawn over: the count goes on from where the hub goes on.
    this.drawn += frame.from - this.received;
    this.received = this.confirmed = frame.from;
    this.send({ type: "received", bytes: this.received });
    this.on.ready(frame, again, this.input.resume(frame.passed, frame.typed));
    if (again) this.send({ type: "resize", cols: this.size[0], rows: this.size[1] });
    this.pump();
  }

  /** @param {number} bytes */
  passed(bytes) {
    this.input.took(bytes);
    this.pump();
  }

  /** @param {number} code */
  gone(code) {
    this.link = undefined;
    this.watch.stop();
    if (this.state === "over") return;
    if (NOT_TAKEN.includes(code)) return void this.finish("not_taken", null);
    if (code === 4401 || code === 4403) return void this.finish("denied", null);
    if (this.terminal === null) return void this.finish("no_answer", null);
    if (this.state !== "lost") {
      this.state = "lost";
      this.on.lost();
    }
    this.timer = this.later(() => this.connect(), this.backoff.next());
  }

  /**
   * Try now; a connection that seems to work is asked whether it does, and believed not to until then (`doubt`).
   * @param {boolean} [doubt]
   */
  retry(doubt) {
    if (this.state === "ready") return this.watch.check(doubt);
    if (this.state !== "lost") return;
    this.drop();
    this.connect();
  }

  drop() {
    const link = this.link;
    this.link = undefined;
    this.watch.stop();
    link?.close();
  }

  /** Nothing comes any more. */
  dead() {
    this.drop();
    this.gone(1006);
  }

  /** @param {string} code @param {number | null} exit */
  finish(code, exit) {
    if (this.state === "over") return;
    this.state = "over";
    this.cancel(this.timer);
    this.watch.stop();
    this.on.over(code, exit, this.input.over());
    this.link?.close();
  }

  /** The person closes it. */
  end() {
    this.send({ type: "close" });
    this.finish("closed", null);
  }

  /** @param {object} message */
  send(message) {
    if (this.state === "ready" && this.link?.readyState === 1) this.link.send(JSON.stringify(message));
  }

  /** What was typed; false while there is nobody to take it. @param {string | Uint8Array} typed */
  type(typed) {
    if (this.state !== "ready") return false;
    this.input.add(typed);
    this.pump();
    return true;
  }

  /** The rest of a paste is not wanted. */
  stop() {
    this.input.stop();
    this.pump();
  }

  /** Send as much of the input as the hub takes. */
  pump() {
    if (this.state === "ready" && this.link?.readyState === 1)
      for (let piece = this.piece(); piece; piece = this.piece()) this.link.send(piece);
    this.on.moved();
  }

  piece() {
    return this.input.next(this.most, this.window);
  }

  /** @param {number} cols @param {number} rows */
  resize(cols, rows) {
    this.size = [cols, rows];
    this.send({ type: "resize", cols, rows });
  }
}
