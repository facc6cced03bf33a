// The terminal in the page: xterm.js between a person and a TerminalLink, with what stands around the screen.

import { clipboardText, copyText } from "./clipboard.js";
import { find, setAttribute, setText, show } from "./dom.js";
import { age, clock, number } from "./format.js";
import { KeyBar } from "./key_bar.js";
import { whenBack } from "./link_watch.js";
import { explain } from "./terminal_errors.js";
import { TerminalLink } from "./terminal_link.js";
import { language, t } from "./texts.js";
import { amount } from "./transfer.js";
import { load, look, size, themed } from "./xterm.js";

const SCROLLBACK = 5000;
const QUIET_MS = 5000;
const INTERRUPT = "\x03";

export class TerminalView {
  /**
   * `now()` is the hub's time, `announce(sentence)` lets a screen reader speak it.
   * @param {Part} root
   * @param {{session: number, zone: string, now: () => number, announce: (sentence: string) => void, world?: World}} about
   */
  constructor(root, { session, zone, now, announce, world = {} }) {
    this.root = root;
    this.zone = zone;
    this.now = now;
    this.announce = announce;
    /** @type {any} */
    this.screen = null;
    /** @type {any} */
    this.fitting = undefined;
    /** @type {Timer | undefined} */
    this.noticed = undefined;
    /** A paste is under way. */
    this.pasting = false;
    this.silent = false;
    const url =
      world.url ?? `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${BASE_PATH}/ws/terminal`;
    this.link = new TerminalLink(
      url,
      session,
      {
        ready: (frame, again, missing) => this.ready(frame, again, missing),
        bytes: (bytes) => this.screen.write(bytes, () => this.link.drew(bytes.length)),
        moved: () => this.moved(),
        lost: () => this.lost(),
        over: (code, exit, missing) => this.over(code, exit, missing),
      },
      world,
    );
    const keys = find("[data-key-row]", root);
    this.keys = new KeyBar(keys, {
      send: (text) => this.type(text),
      paste: () => this.paste(),
      application: () => this.screen?.modes.applicationCursorKeysMode === true,
    });
    this.on("connect", () => this.connect());
    this.on("again", () => (this.link.state === "lost" ? this.link.retry() : this.connect()));
    this.on("smaller", () => this.scale(-1));
    this.on("larger", () => this.scale(1));
    this.on("copy", () => this.copy());
    this.on("paste", () => this.paste());
    this.on("full", () => this.full(!root.classList.contains("full")));
    this.on("close", () => this.link.end());
    this.on("stop", () => this.stop());
    // A press takes no focus from the shell, nor a phone's keyboard away: the next letter would be a key of the page.
    this.part("tools").addEventListener("mousedown", (event) => event.preventDefault());
    setInterval(() => this.quiet(), 1000);
    whenBack((surely) => {
      this.link.retry(surely);
      this.quiet();
    });
    for (const type of ["resize", "scroll"]) window.visualViewport?.addEventListener(type, () => this.seen());
    // The page's own keys are off while somebody types here; Escape and all others belong to the machine.
    find("[data-screen]", root).addEventListener("keydown", (event) => event.stopPropagation());
  }

  /** @param {string} name @param {() => void} act */
  on(name, act) {
    find(`[data-term=${name}]`, this.root).addEventListener("click", act);
  }

  /** @param {string} name */
  part(name) {
    return find(`[data-term=${name}]`, this.root);
  }

  async connect() {
    const button = this.part("connect");
    if (["opening", "ready"].includes(this.link.state)) return;
    setAttribute(button, "aria-busy", "true");
    this.note(null);
    try {
      this.screen ??= this.prepare(await load());
      this.fit();
      this.link.start(this.screen.cols, this.screen.rows);
    } catch (error) {
      this.over(/** @type {Error} */ (error).message, null, 0);
    }
    button.removeAttribute("aria-busy");
  }

  /** @param {{Terminal: any, FitAddon: any}} xterm */
  prepare({ Terminal, FitAddon }) {
    const screen = new Terminal({
      ...look(),
      scrollback: SCROLLBACK,
      cursorBlink: false,
      disableStdin: true,
      macOptionIsMeta: true,
    });
    this.fitting = new FitAddon();
    screen.loadAddon(this.fitting);
    show(find("[data-screen]", this.root), true);
    this.root.dataset.used = "";
    screen.open(find("[data-screen]", this.root));
    screen.attachCustomKeyEventHandler((/** @type {KeyboardEvent} */ event) => this.key(event));
    screen.onData((/** @type {string} */ text) => this.type(this.keys.through(text)));
    screen.onBinary((/** @type {string} */ text) =>
      this.link.type(Uint8Array.from(text, (each) => each.charCodeAt(0))),
    );
    screen.onResize((/** @type {Screen} */ { cols, rows }) => {
      this.link.resize(cols, rows);
      setText(this.part("size"), `${cols}×${rows}`);
    });
    themed(screen);
    new ResizeObserver(() => this.fit()).observe(find("[data-screen]", this.root));
    return screen;
  }

  /** Keys that are ours; all others are the machine's. @param {KeyboardEvent} event */
  key(event) {
    if (!event.ctrlKey || !event.shiftKey) return true;
    if (event.code === "Escape") this.leave(event);
    else if (event.code === "KeyC") this.copy(event);
    else return event.code !== "KeyV";
    return false;
  }

  /** @param {Event} event */
  leave(event) {
    event.preventDefault();
    this.full(false);
    this.screen.blur();
    this.part("full").focus();
  }

  /** @param {string} text */
  type(text) {
    // Behind a paste an interrupt would come when all of it has been typed.
    if (text === INTERRUPT) this.stop();
    if (text && !this.link.type(text)) this.notify(t("term.not_typed"));
    this.screen?.scrollToBottom();
  }

  /** The input has moved on: how far a paste is, and when all of it is with the machine. */
  moved() {
    const { paste, passed } = this.link.input;
    show(this.part("pasting"), paste !== null);
    if (!paste) {
      if (this.pasting && this.link.state === "ready") this.notify(t("term.pasted"));
      this.pasting = false;
      return;
    }
    this.pasting = true;
    const [done, total] = [Math.max(0, passed - paste.from), paste.to - paste.from];
    const bar = find("progress", this.part("pasting"));
    bar.max = total;
    bar.value = done;
    const words = t("term.pasting", { done: amount(done), total: amount(total) });
    setText(find("[data-said]", this.part("pasting")), words);
  }

  /** The rest of a paste is not typed. */
  stop() {
    const { paste, passed } = this.link.input;
    if (!paste) return;
    this.pasting = false;
    this.link.stop();
    const done = amount(Math.max(0, passed - paste.from));
    this.line(t("term.paste.stopped", { done, total: amount(paste.to - paste.from) }));
  }

  /** What was typed and did not arrive, behind a sentence. @param {string} sentence @param {number} missing */
  missing(sentence, missing) {
    if (!missing) return sentence;
    return `${sentence}. ${t("term.missing", { count: missing, amount: number(missing, language) })}`;
  }

  /** @param {Free} frame @param {boolean} again @param {number} missing */
  ready(frame, again, missing) {
    this.note(null);
    show(this.part("before"), false);
    show(this.part("tools"), true);
    show(find("[data-key-row]", this.root), true);
    show(this.part("recorded"), frame.recorded !== false);
    setText(
      find("[data-said]", this.part("recorded")),
      t(frame.input_recorded ? "term.recorded.input" : "term.recorded"),
    );
    setText(this.part("user"), frame.user ?? "");
    setText(this.part("size"), `${this.screen.cols}×${this.screen.rows}`);
    this.screen.options.disableStdin = false;
    const sentence = this.missing(t(again ? "term.back" : "term.open", { time: this.time() }), missing);
    if (again) this.line(sentence);
    else this.screen.focus();
    this.announce(sentence);
  }

  /** Whether the hub answers stands in the head of an open shell: what it shows may be of the past. */
  quiet() {
    const { state, watch } = this.link;
    const silence = watch.silence();
    const silent = state === "ready" && (watch.doubt || silence >= QUIET_MS);
    if (silent) setText(this.part("notice"), t("term.silent", { age: age(silence / 1000, language) }));
    else if (this.silent) setText(this.part("notice"), "");
    this.silent = silent;
    this.root.toggleAttribute("data-silent", silent);
  }

  lost() {
    this.screen.options.disableStdin = true;
    this.line(t("term.lost", { time: this.time() }));
    this.note({ what: t("term.lost", { time: this.time() }), hint: t("term.lost.hint"), again: true });
  }

  /** @param {string} code @param {number | null} exit @param {number} missing */
  over(code, exit, missing) {
    const why = explain(code, exit);
    if (this.screen) {
      this.screen.options.disableStdin = true;
      this.line(this.missing(`${why.what} ${this.time()}`, missing));
    }
    this.full(false);
    show(this.part("pasting"), false);
    show(find("[data-key-row]", this.root), false);
    this.note({ ...why, hint: this.missing(why.hint.replace(/\.$/, ""), missing) });
    this.announce(this.missing(why.what, missing));
  }

  /** A line of ours on the screen, set apart from what the machine wrote. @param {string} words */
  line(words) {
    this.screen.write(`\r\n\x1b[0;90m— ${words} —\x1b[0m\r\n`);
  }

  /**
   * What is the matter, below the head; null: nothing.
   * @param {{what: string, hint: string, again: boolean} | null} why
   */
  note(why) {
    const note = this.part("note");
    show(note, why !== null);
    if (why === null) return;
    setText(find("b", note), why.what);
    setText(find("p", note), why.hint);
    show(this.part("again"), why.again);
  }

  time() {
    return clock(this.now(), this.zone, language, true);
  }

  fit() {
    // A screen that is not shown has no size to take.
    if (this.root.offsetParent || this.root.classList.contains("full")) this.fitting?.fit();
  }

  /** @param {number} by */
  scale(by) {
    this.screen.options.fontSize = size(by);
    this.fit();
  }

  /** @param {Event} [event] */
  async copy(event) {
    event?.preventDefault();
    const text = this.screen.getSelection();
    const done =
      text !== "" &&
      (await copyText(text, () => {
        this.screen.focus();
        return document.execCommand("copy");
      }));
    this.notify(text === "" ? t("term.copy.nothing") : done ? t("copied") : t("term.copy.failed"));
  }

  async paste() {
    const text = await clipboardText();
    if (text === null) this.notify(t("term.paste.failed"));
    else if (text) this.screen.paste(text);
    this.screen.focus();
  }

  /**
   * Fills the window, not the computer's screen: there Escape would leave, and Escape is the machine's.
   * @param {boolean} on
   */
  full(on) {
    this.root.classList.toggle("full", on);
    setAttribute(this.part("full"), "aria-pressed", String(on));
    this.seen();
    this.fit();
    if (on) this.screen?.focus();
  }

  /** A phone's keyboard covers the window and does not shrink it: what is left of it is the terminal's. */
  seen() {
    const free = window.visualViewport;
    if (!free || !this.root.classList.contains("full")) return;
    this.root.style.setProperty("--free", `${free.height}px`);
    this.root.style.setProperty("--from", `${free.offsetTop}px`);
    this.screen?.scrollToBottom();
  }

  /** @param {string} words */
  notify(words) {
    setText(this.part("notice"), words);
    clearTimeout(this.noticed);
    this.noticed = setTimeout(() => setText(this.part("notice"), ""), 4000);
  }
}
