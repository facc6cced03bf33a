// The backups of one machine, one of them, and a restore, live: all of it is drawn by the hub.

import { Announcer } from "../announcer.js";
import { countJobs } from "../counts.js";
import { all, find, setText } from "../dom.js";
import { Feed } from "../feed.js";
import { age } from "../format.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { guardButtons, LinkState } from "../link_state.js";
import { MachineTop } from "../machine_top.js";
import { language } from "../texts.js";

const id = Number(document.body.dataset.id);
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));

const feed = new Feed(null, {
  /** @param {number[]} ids @param {number[]} removed */
  changed(ids, removed) {
    if (removed.includes(id)) return location.assign("/");
    countJobs(feed);
    if (ids.includes(id) && !feed.paused) requestAnimationFrame(draw);
    return undefined;
  },
  news: (frame) => top.parts.heard(frame),
  link: (state) => link.set(state),
  version: (name) => link.version(name),
});
const link = new LinkState(feed);
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
frame();
guardButtons();
keyboard({ ".": () => top.actions.toggle() });
feed.start();
