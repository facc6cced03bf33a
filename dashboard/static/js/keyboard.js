// Keys of the page. None works while somebody types, and none does anything that cannot be undone. Menus, the theme and
// the palette come with somebody's first move (views/hands.js): most visits only look.

import { all, find, make } from "./dom.js";

const TYPING = "input, textarea, select, [contenteditable]";
const CHORD_MS = 1200;

/** @param {Record<string, (event: KeyboardEvent) => void>} actions by key, or by chord like "g m" */
export function keyboard(actions) {
  const { body } = document;
  let first = "";
  let at = 0;
  /** @param {string} wanted */
  const palette = (wanted) => {
    if (body.palette) return body.palette(wanted);
    body.dataset.wants = wanted;
    return undefined;
  };
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const every = {
    "?": () => find("#shortcuts")?.showModal(),
    "g m": () => location.assign(`${BASE_PATH}/`),
    "g j": () => location.assign(`${BASE_PATH}/jobs`),
    "g e": () => location.assign(`${BASE_PATH}/events`),
    "[": () => palette("-1"),
    "]": () => palette("1"),
    ...actions,
  };
  const bring = () => document.head.append(make("script", { type: "module", src: body.dataset.hands ?? "" }));
  for (const move of ["keydown", "pointermove", "pointerdown"]) document.addEventListener(move, bring, { once: true });
  document.addEventListener("keydown", (event) => {
    const { key } = event;
    const target = /** @type {Part} */ (event.target);
    const special = event.ctrlKey || event.metaKey;
    // Meant for what is on its way.
    if (body.dataset.wants) return event.preventDefault();
    if (key === "k" && special && !target.closest?.(".xterm")) {
      event.preventDefault();
      return palette("open");
    }
    if (key === "Escape" && target.matches?.(TYPING)) return target.blur();
    if (special || event.altKey || event.isComposing || find("dialog[open]")) return;
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
