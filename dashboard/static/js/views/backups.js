// The backups of one machine, one of them, and a restore, live: all of it is drawn by the hub.

import { Announcer } from "../announcer.js";
import { all, find, setText } from "../dom.js";
import { age } from "../format.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { guardButtons } from "../link_state.js";
import { MachineTop, machineFeed } from "../machine_top.js";
import { language } from "../texts.js";

const id = Number(document.body.dataset.id);
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));

const { feed, link } = machineFeed(null, id, () => top.parts, draw);
const top = new MachineTop(id, feed, spoken, () => {
  link.draw();
  ages();
});

function ages() {
  for (const node of all("[data-age]"))
    setText(node, age((feed.clock.now() - Number(node.dataset.age)) / 1000, language));
}

function draw() {
  const m = feed.fleet.machines.get(id);
  if (m) top.patch(m, feed.clock.now());
}

setInterval(() => {
  const m = feed.fleet.machines.get(id);
  if (!m || document.hidden || feed.paused) return;
  top.tick(m, feed.clock.now());
  ages();
}, 1000);
guardButtons();
frame();
keyboard({ ".": () => top.actions.toggle() });
feed.start();
