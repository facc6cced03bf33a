// Buttons that copy a text or show a password, and the caps-lock hint of password fields.

import { all, find, setAttribute, setText, show } from "./dom.js";
import { t } from "./texts.js";

export function fields() {
  for (const button of all("[data-copy]")) {
    show(button, true);
    button.addEventListener("click", () => copy(button));
  }
  for (const button of all("[data-reveal]")) {
    show(button, true);
    button.addEventListener("click", () => reveal(button));
  }
  for (const input of all("[data-caps]")) {
    input.addEventListener("keyup", (event) =>
      show(find(`#${input.dataset.caps}`), Boolean(event.getModifierState?.("CapsLock"))),
    );
  }
}

/** A password as text, or hidden again; it is hidden when it is sent. @param {Part} button */
function reveal(button) {
  const input = find(`#${button.dataset.reveal}`);
  const shown = input.type === "password";
  input.type = shown ? "text" : "password";
  setAttribute(button, "aria-pressed", String(shown));
  input.form.addEventListener("submit", () => (input.type = "password"), { once: true });
}

/** @param {Part} button */
async function copy(button) {
  const text = find(`#${button.dataset.copy}`).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No clipboard without TLS: select the text, so that the person's own copy key takes it.
    getSelection()?.selectAllChildren(find(`#${button.dataset.copy}`));
    return;
  }
  const before = button.textContent;
  setText(button, t("copied"));
  setTimeout(() => setText(button, before), 2000);
}
