// What answers somebody's hands on any page beside its keys: menus that shut, the theme, and the way into the palette.

import { find, make } from "../dom.js";
import { menus } from "../menus.js";

const { body } = document;
menus();

/** Comes with its first use; until then it is a field to type in. */
function open() {
  if (find("#palette")) return;
  const before = /** @type {Part | null} */ (document.activeElement);
  const dialog = make("dialog", { id: "palette" }, make("input", { type: "search" }));
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus();
  });
  body.append(dialog);
  dialog.showModal();
}

/** @param {string} wanted */
body.palette = (wanted) => {
  if (wanted === "open") open();
  if (body.found) return body.found(wanted);
  body.dataset.found = wanted;
  if (body.dataset.palette) document.head.append(make("script", { type: "module", src: body.dataset.palette }));
  return undefined;
};
if (body.dataset.wants) body.palette(body.dataset.wants);
body.dataset.wants = "";
