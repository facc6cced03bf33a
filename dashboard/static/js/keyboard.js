// Keys, menus and the palette come with somebody's first move on the page (views/hands.js), for most visits only look.

import { make } from "./dom.js";

const MOVES = ["keydown", "pointermove", "pointerdown"];

/** @param {Record<string, (event: KeyboardEvent) => void>} actions of the page, by key or by chord like "g m" */
export function keyboard(actions) {
  const { body } = document;
  /** @type {KeyboardEvent[]} */
  const waiting = [];
  /** @param {Event} event */
  const bring = (event) => {
    if (event instanceof KeyboardEvent) {
      // What the browser would do with it meanwhile cannot be taken back.
      if (event.target === body ? event.key === "/" : event.key === "k" && (event.ctrlKey || event.metaKey))
        event.preventDefault();
      waiting.push(event);
    }
    if (body.hands) return;
    body.hands = { actions, waiting, ready };
    document.head.append(make("script", { type: "module", src: body.dataset.hands ?? "" }));
  };
  const ready = () => {
    for (const move of MOVES) document.removeEventListener(move, bring);
  };
  for (const move of MOVES) document.addEventListener(move, bring);
}
