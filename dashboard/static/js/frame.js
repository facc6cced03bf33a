// What every page has: the theme that changes without a reload, buttons that copy, the caps-lock hint, the shut menu.

import { all, find, setAttribute, setText, show } from "./dom.js";
import { t } from "./texts.js";

export function frame() {
  for (const button of all("[data-copy]")) {
    show(button, true);
    button.addEventListener("click", () => copy(button));
  }
  for (const input of all("[data-caps]")) {
    input.addEventListener("keyup", (event) => show(find(`#${input.dataset.caps}`), Boolean(event.getModifierState?.("CapsLock"))));
  }
  for (const button of all("button[name=theme]")) button.addEventListener("click", (event) => changeTheme(event, button));
  const menu = find(".menu");
  document.addEventListener("click", (event) => menu?.open && !menu.contains(event.target) && (menu.open = false));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu?.open) return;
    menu.open = false;
    find("summary", menu).focus();
  });
}

async function copy(button) {
  const text = find(`#${button.dataset.copy}`).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No clipboard without TLS: select the text, so that the person's own copy key takes it.
    getSelection().selectAllChildren(find(`#${button.dataset.copy}`));
    return;
  }
  const before = button.textContent;
  setText(button, t("copied"));
  setTimeout(() => setText(button, before), 2000);
}

/** The look changes now; the hub is told so that the next page begins with it. */
function changeTheme(event, button) {
  event.preventDefault();
  setAttribute(document.documentElement, "data-theme", button.value);
  for (const each of all("button[name=theme]")) setAttribute(each, "aria-pressed", String(each.value === button.value));
  const body = new URLSearchParams(new FormData(button.form));
  body.set("theme", button.value);
  fetch(button.form.action, { method: "POST", body, credentials: "same-origin" }).catch(() => {});
  dispatchEvent(new Event("theme"));
}
