// The row of keys a phone's keyboard lacks. Pressing one never takes the focus, so the phone's keyboard stays up.

import { all, setAttribute } from "./dom.js";

const KEYS = { esc: "\x1b", tab: "\t", interrupt: "\x03", bar: "|", slash: "/", minus: "-" };
const ARROWS = { up: "A", down: "B", right: "C", left: "D" };

/** What a key of the row sends. `application`: the program on the machine asked for the other kind of arrow keys. */
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
  return { " ": "\0", "/": "\x1f", "-": "\x1f", "|": "\x1c", "?": "\x7f" }[text] ?? text;
}

export class KeyBar {
  /** `send(text)` types, `paste()` pastes; `application()` tells the mode of the arrow keys. */
  constructor(root, { send, paste, application }) {
    Object.assign(this, { root, send, paste, application, ctrl: false });
    for (const button of all("button", root)) {
      button.addEventListener("pointerdown", (event) => event.preventDefault());
      button.addEventListener("mousedown", (event) => event.preventDefault());
      button.addEventListener("click", () => this.press(button.dataset.key));
    }
  }

  press(key) {
    if (key === "ctrl") this.hold(!this.ctrl);
    else if (key === "paste") this.paste();
    else {
      this.send(sequence(key, { ctrl: this.ctrl, application: this.application() }));
      this.hold(false);
    }
  }

  /** What the keyboard typed, as it goes out: Ctrl holds for one key. */
  through(text) {
    if (!this.ctrl) return text;
    this.hold(false);
    return control(text);
  }

  hold(on) {
    this.ctrl = on;
    setAttribute(this.root.querySelector("[data-key=ctrl]"), "aria-pressed", String(on));
  }
}
