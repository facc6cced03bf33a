// What answers somebody's hands on any page: its keys, menus that shut, the theme. Fetched with the first move.

import { keys } from "../keys.js";
import { menus } from "../menus.js";

const { actions, waiting, ready } = document.body.hands ?? { actions: {}, waiting: [], ready: () => {} };
const shut = menus();
const act = keys(actions);
/** @param {KeyboardEvent} event */
const press = (event) => {
  shut(event);
  act(event);
};
ready();
for (const event of waiting) press(event);
document.addEventListener("keydown", press);
