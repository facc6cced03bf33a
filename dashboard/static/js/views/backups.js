// The backups of one machine, one of them, and a restore, live: all of it is drawn by the hub.

import { all, setText } from "../dom.js";
import { age } from "../format.js";
import { machinePage } from "../machine_top.js";
import { language } from "../texts.js";

const { feed } = machinePage({ drawn: ages, tick: ages });

function ages() {
  for (const node of all("[data-age]"))
    setText(node, age((feed.clock.now() - Number(node.dataset.age)) / 1000, language));
}

feed.start();
