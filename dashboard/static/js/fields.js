// Buttons that copy a text, and the caps-lock hint of password fields.

import { all, find, setText, show } from "./dom.js";
import { t } from "./texts.js";

export function fields() {
  for (const button of all("[data-copy]")) {
    show(button, true);
    button.addEventListener("click", () => copy(button));
  }
  for (const input of all("[data-caps]")) {
    input.addEventListener("keyup", (event) =>
      show(find(`#${input.dataset.caps}`), Boolean(event.getModifierState?.("CapsLock"))),
    );
  }
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
