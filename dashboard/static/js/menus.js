// What every page has once somebody moves: the theme that changes without a reload, menus that shut.

import { all, find, setAttribute } from "./dom.js";

export function menus() {
  for (const button of all("button[name=theme]"))
    button.addEventListener("click", (event) => changeTheme(event, button));
  const every = all(".menu");
  document.addEventListener("click", (event) => {
    for (const menu of every) if (menu.open && !menu.contains(/** @type {Node} */ (event.target))) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && every.find((each) => each.open);
    if (!menu) return;
    menu.open = false;
    find("summary", menu).focus();
  });
}

/**
 * The look changes now; the hub is notified so that the next page begins with it.
 * @param {Event} event @param {Part} button
 */
function changeTheme(event, button) {
  event.preventDefault();
  setAttribute(document.documentElement, "data-theme", button.value);
  for (const each of all("button[name=theme]")) setAttribute(each, "aria-pressed", String(each.value === button.value));
  const body = new URLSearchParams(/** @type {any} */ (new FormData(button.form)));
  body.set("theme", button.value);
  fetch(button.form.action, { method: "POST", body }).catch(() => {});
  dispatchEvent(new Event("theme"));
}
