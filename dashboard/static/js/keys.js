// Keys of the page. None works while somebody types, and none does anything that cannot be undone.

import { all, find, make } from "./dom.js";

const TYPING = "input, textarea, select, [contenteditable]";
const CHORD_MS = 1200;

/**
 * What a key that is pressed does.
 * @param {Record<string, (event: KeyboardEvent) => void>} actions by key, or by chord like "g m"
 */
export function keys(actions) {
  let first = "";
  let at = 0;
  const help = find("#shortcuts");
  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const every = {
    "?": () => help?.showModal(),
    "g m": () => location.assign("/"),
    "g j": () => location.assign("/jobs"),
    "g e": () => location.assign("/events"),
    "[": () => palette("-1"),
    "]": () => palette("1"),
    ...actions,
  };
  return (/** @type {KeyboardEvent} */ event) => {
    const target = /** @type {Part} */ (event.target);
    if (event.key === "k" && (event.ctrlKey || event.metaKey) && !target.closest?.(".xterm")) {
      event.preventDefault();
      return palette("open");
    }
    if (event.key === "Escape" && target.matches?.(TYPING)) return target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || find("dialog[open]")) return;
    // A radio button is no place to type; its arrow keys stay its own because no action has them.
    if (target.matches?.(TYPING) && target.type !== "radio") return;
    const chord = event.timeStamp - at < CHORD_MS ? `${first} ${event.key}` : event.key;
    const tab = /^[1-6]$/.test(event.key) && all(".machine > .tabs a")[Number(event.key) - 1];
    const action = tab ? () => tab.click() : (every[chord] ?? every[event.key]);
    first = event.key;
    at = event.timeStamp;
    if (!action) return;
    event.preventDefault();
    action(event);
  };
}

/** What Ctrl+K opens comes with its first use. @param {string} wanted */
function palette(wanted) {
  const { body } = document;
  if (body.palette) return body.palette(wanted);
  body.dataset.wants = wanted;
  if (body.dataset.palette) document.head.append(make("script", { type: "module", src: body.dataset.palette }));
  return undefined;
}
