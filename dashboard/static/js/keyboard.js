// Keys of the page. None works while somebody types, and none does anything that cannot be undone. Menus and the theme
// come with somebody's first move (views/hands.js), what the palette finds with its first use: most visits only look.

import { all, bring, find, make } from "./dom.js";

const TYPING = "input, textarea, select, [contenteditable]";
const CHORD_MS = 1200;

/** @param {Record<string, (event: KeyboardEvent) => void>} actions by key, or by chord like "g m" */
export function keyboard(actions) {
  const { body } = document;
  let first = "";
  let at = 0;
  /** @param {{key: string}} event */
  const palette = ({ key }) => {
    if (!body.dataset.palette || find("#palette[open]")) return undefined;
    if (key === "k") field();
    if (body.found) return body.found(key);
    body.dataset.found = key;
    return bring(body.dataset.palette);
  };
  /** @param {Event} event */
  const seek = (event) => {
    event.preventDefault();
    return palette({ key: "k" });
  };
  /** @param {string} page */
  const go = (page) => () => location.assign(`${BASE_PATH}/${page}`);
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const every = {
    "?": () => find("#shortcuts")?.showModal(),
    "/": seek,
    "g m": go(""),
    "g a": go("alerts"),
    "g j": go("jobs"),
    "g e": go("events"),
    // "I'm on it": of the trouble in hand, else of the first that nobody is on.
    m: () => (find("li:focus-within [data-take]") ?? find("[data-take]"))?.click(),
    "[": palette,
    "]": palette,
    ...actions,
  };
  for (const move of ["keydown", "pointermove", "pointerdown", "input", "popstate"])
    addEventListener(move, () => bring(body.dataset.hands), { once: true });
  find(".to-palette")?.addEventListener("click", seek);
  document.addEventListener("keydown", (event) => {
    const { key } = event;
    const target = /** @type {Part} */ (event.target);
    const special = event.ctrlKey || event.metaKey;
    if (key === "k" && special && !target.closest?.(".xterm")) return seek(event);
    if (special || event.altKey || event.isComposing || find("dialog[open]")) return;
    if (key === "Escape" && target.matches?.(TYPING)) return target.blur();
    // A radio button is no place to type; its arrow keys stay its own because no action has them.
    if (target.matches?.(TYPING) && target.type !== "radio") return;
    const chord = event.timeStamp - at < CHORD_MS ? `${first} ${key}` : key;
    const tab = all(".machine > .tabs a")[+key - 1];
    const action = every[chord] ?? (tab ? () => tab.click() : every[key]);
    first = key;
    at = event.timeStamp;
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}

/** The palette's field, before what finds in it: no letter is lost, and Enter goes when something is found. */
function field() {
  const dialog = make("dialog", { id: "palette" }, make("input", { type: "search" }));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("keydown", ({ key }) => {
    dialog.dataset.last = key;
  });
  find("#palette")?.remove(); // closed, and its event is still to come
  document.body.append(dialog);
  dialog.showModal();
}
