// The menu of a row of the Machines page: one for all of them, drawn by the hub when it is asked for, in the row's last cell, so
// that the order of rows is kept while it is open. Fetched with its first use.

import { all, find, make, setAttribute } from "../dom.js";
import { t } from "../texts.js";

/** From the edges of the window, and from the button. */
const EDGE = 8;
const NEAR = 4;
const table = find("#machines");
/** @type {Part | undefined} */
let opener;
/** @type {Part | undefined} */
let menu;

function close(back = false) {
  menu?.remove();
  menu = undefined;
  opener?.removeAttribute("aria-expanded");
  if (back) opener?.focus({ preventScroll: true });
}

/** Below the button, else above it, else beside it. */
function place() {
  if (!menu || !opener) return;
  const at = opener.getBoundingClientRect();
  const { offsetWidth: wide, offsetHeight: high } = menu;
  const { clientWidth, clientHeight } = document.documentElement;
  const [under, over] = [at.bottom + NEAR, at.top - NEAR - high];
  const end = clientHeight - EDGE - high;
  const beside = under > end && over < EDGE;
  menu.style.left = `${Math.max(EDGE, Math.min(beside ? at.left - NEAR : at.right, clientWidth - EDGE) - wide)}px`;
  menu.style.top = `${Math.max(EDGE, under <= end ? under : beside ? end : over)}px`;
}

/** @param {Part} cell */
async function bring(cell) {
  const { id } = cell.parentNode.dataset;
  // In the language and the zone of this page, and for its reader only.
  const mark = find("#needs").dataset.part.split("?")[1];
  const answer = await fetch(`${BASE_PATH}/machines/${id}/parts?${mark}&of=row-menu`, { redirect: "manual" }).catch(
    () => null,
  );
  const html = answer?.ok ? await answer.text() : "";
  const fresh = find("#row-menu", new DOMParser().parseFromString(html, "text/html"));
  if (!fresh)
    return make(
      "div",
      { id: "row-menu", class: "menu-in", role: "alert", popover: "manual", tabindex: "-1" },
      t("needs_hub"),
    );
  for (const field of all("[name=csrf_token]", fresh)) field.value = document.body.dataset.csrf;
  for (const field of all("[name=back]", fresh)) field.value += location.search;
  return fresh;
}

async function open() {
  const asked = /** @type {Part} */ (table.opener);
  const shut = menu && asked === opener;
  close();
  if (shut) return;
  opener = asked;
  const made = await bring(asked.parentNode);
  // Meanwhile another was asked for, or this one again.
  if (opener !== asked || menu) return;
  menu = made;
  asked.after(made);
  setAttribute(asked, "aria-expanded", "true");
  made.showPopover?.();
  place();
  made.addEventListener("keydown", press);
  made.addEventListener("focusout", ({ relatedTarget: to }) => {
    if (to && to !== opener && !made.contains(/** @type {Node} */ (to))) close();
  });
  (find("[role=menuitem]", made) ?? made).focus({ preventScroll: true });
}

/** Keys of the page are not heard in it; a letter goes to what begins with it. @param {KeyboardEvent} event */
function press(event) {
  const { key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  event.stopPropagation();
  const items = all("[role=menuitem]", menu);
  const active = /** @type {Part} */ (document.activeElement);
  const at = items.indexOf(active);
  /** @type {Record<string, number>} */
  const ways = { ArrowDown: at + 1, ArrowUp: at < 0 ? -1 : at - 1, Home: 0, End: -1 };
  if (key === "Escape" || key === "Tab" || key === ".") close(true);
  else if (key in ways) items.at(ways[key] % items.length)?.focus();
  else if (key === " ") active.click();
  else if (key.length === 1)
    [...items.slice(at + 1), ...items]
      .find((item) => item.textContent.toLowerCase().startsWith(key.toLowerCase()))
      ?.focus();
  // From the button on, which has the focus again.
  if (key !== "Tab" && key !== "Enter") event.preventDefault();
}

document.addEventListener("click", ({ target }) => {
  const node = /** @type {Part} */ (target);
  if (!menu?.contains(node) && !opener?.contains(node)) close();
});
addEventListener("popstate", () => close());
for (const moved of ["scroll", "resize"]) addEventListener(moved, place, true);
table.menu = open;
open();
