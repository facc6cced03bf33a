// What every page has: the theme that changes without a reload, menus that shut, and forms that are sent once.

import { all, find, setAttribute } from "./dom.js";

const SENT_MS = 3000;

export function frame() {
  const sent = new WeakSet();
  document.addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (event.defaultPrevented || form.method !== "post" || form.target) return;
    if (sent.has(form)) event.preventDefault();
    sent.add(form);
    setTimeout(() => sent.delete(form), SENT_MS); // a page that stays, for a file
  });
  const up = find('.crumb a[href="/"]');
  if (up) setAttribute(up, "href", sessionStorage.getItem("fleet") ?? "/");
  for (const button of all("button[name=theme]"))
    button.addEventListener("click", (event) => changeTheme(event, button));
  const menus = all(".menu");
  document.addEventListener("click", (event) => {
    for (const menu of menus) if (menu.open && !menu.contains(/** @type {Node} */ (event.target))) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && menus.find((each) => each.open);
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
  fetch(button.form.action, { method: "POST", body, credentials: "same-origin" }).catch(() => {});
  dispatchEvent(new Event("theme"));
}
