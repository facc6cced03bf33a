// The row of keys a phone's keyboard lacks. Pressing one never takes the focus, so the phone's keyboard stays up.

import { all, find, setAttribute } from "./dom.js";

/** @type {Record<string, string>} */
const KEYS = { esc: "\x1b", tab: "\t", interrupt: "\x03", bar: "|", slash: "/", minus: "-" };
/** @type {Record<string, string>} */
const ARROWS = { up: "A", down: "B", right: "C", left: "D" };

/**
 * What a key of the row sends. `application`: the program on the machine asked for the other kind of arrow keys.
 * @param {string} key
 */
export function sequence(key, { ctrl = false, application = false } = {}) {
  if (key in ARROWS) return ctrl ? `\x1b[1;5${ARROWS[key]}` : `\x1b${application ? "O" : "["}${ARROWS[key]}`;
  const plain = KEYS[key] ?? "";
  return ctrl ? control(plain) : plain;
}

/** A character typed while Ctrl is held down: `c` becomes ^C. What has no control character stays. @param {string} text */
export function control(text) {
  if (text.length !== 1) return text;
  const code = text.toUpperCase().charCodeAt(0);
  if (code >= 64 && code <= 95) return String.fromCharCode(code - 64);
  return (
    /** @type {Record<string, string>} */ ({ " ": "\0", "/": "\x1f", "-": "\x1f", "|": "\x1c", "?": "\x7f" })[text] ??
    text
  );
}

export class KeyBar {
  /**
   * `send(text)` types, `paste()` pastes; `application()` gives the mode of the arrow keys.
   * @param {Part} root @param {{send: (text: string) => void, paste: () => void, application: () => boolean}} does
   */
  constructor(root, { send, paste, application }) {
    this.root = root;
    this.send = send;
    this.paste = paste;
    this.application = application;
    this.ctrl = false;
    for (const button of all("button", root)) {
      button.addEventListener("pointerdown", (event) => event.preventDefault());
      button.addEventListener("mousedown", (event) => event.preventDefault());
      button.addEventListener("click", () => this.press(button.dataset.key));
    }
  }

  /** @param {string} key */
  press(key) {
    if (key === "ctrl") this.hold(!this.ctrl);
    else if (key === "paste") this.paste();
    else {
      this.send(sequence(key, { ctrl: this.ctrl, application: this.application() }));
      this.hold(false);
    }
  }

  /** What the keyboard typed, as it goes out: Ctrl holds for one key. @param {string} text */
  through(text) {
    if (!this.ctrl) return text;
    this.hold(false);
    return control(text);
  }

  /** @param {boolean} on */
  hold(on) {
    this.ctrl = on;
    setAttribute(find("[data-key=ctrl]", this.root), "aria-pressed", String(on));
  }
}
