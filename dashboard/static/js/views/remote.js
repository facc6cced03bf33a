// The Remote access page of one machine, live.

import { Announcer } from "../announcer.js";
import { countJobs } from "../counts.js";
import { find, setText } from "../dom.js";
import { Feed } from "../feed.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { LeaseCard } from "../lease_card.js";
import { guardButtons, LinkState } from "../link_state.js";
import { MachineTop } from "../machine_top.js";

const id = Number(document.body.dataset.id);
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));

const feed = new Feed(null, {
  /** @param {number[]} ids @param {number[]} removed */
  changed(ids, removed) {
    if (removed.includes(id)) return location.assign(`${BASE_PATH}/`);
    countJobs(feed);
    if (ids.includes(id)) requestAnimationFrame(draw);
    return undefined;
  },
  news: (frame) => top.parts.receive(frame),
  link(state) {
    link.set(state);
    if (state === "refused") card.leave();
  },
  version: (name) => link.version(name),
});
const link = new LinkState(feed);
const card = new LeaseCard(id);
const top = new MachineTop(
  id,
  feed,
  spoken,
  () => {
    link.draw();
    card.bring();
    card.tick(feed.clock.now());
  },
  (part, fresh) => card.allows(part, fresh),
);

function draw() {
  const m = feed.fleet.machines.get(id);
  if (!m) return;
  top.patch(m, feed.clock.now());
}

setInterval(() => {
  const now = feed.clock.now();
  card.tick(now);
  const m = feed.fleet.machines.get(id);
  if (m && !document.hidden) top.tick(m, now);
}, 1000);
guardButtons();
frame();
keyboard({ ".": () => top.actions.toggle() });
feed.start();
