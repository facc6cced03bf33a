// Keys of the page. None works while somebody types, and none does anything that cannot be undone.

import { find } from "./dom.js";

const TYPING = "input, textarea, select, [contenteditable]";
const CHORD_MS = 1200;

/** @param {Record<string, (event: KeyboardEvent) => void>} actions by key, or by chord like "g m" */
export function keyboard(actions) {
  let first = "";
  let at = 0;
  const help = find("#shortcuts");
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const every = {
    "?": () => help?.showModal(),
    "g m": () => location.assign("/"),
    "g j": () => location.assign("/jobs"),
    "g e": () => location.assign("/events"),
    ...actions,
  };
  document.addEventListener("keydown", (event) => {
    const target = /** @type {Part} */ (event.target);
    if (event.key === "Escape" && target.matches?.(TYPING)) return target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help?.open) return;
    // A radio button is no place to type; its arrow keys stay its own because no action has them.
    if (target.matches?.(TYPING) && target.type !== "radio") return;
    const chord = event.timeStamp - at < CHORD_MS ? `${first} ${event.key}` : event.key;
    const action = every[chord] ?? every[event.key];
    first = event.key;
    at = event.timeStamp;
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}
