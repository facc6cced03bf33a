// The Overview of one machine, live.

import { Announcer } from "../announcer.js";
import { Charts } from "../charts.js";
import { find, setText } from "../dom.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { guardButtons } from "../link_state.js";
import { MachineTop, machineFeed } from "../machine_top.js";
import { StatusControl } from "../status_control.js";
import { Tiles } from "../tiles.js";
import { zoneCard } from "../zone_card.js";

const id = Number(document.body.dataset.id);
const { zone = "", siteZone = "" } = document.body.dataset;
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));

const { feed, link } = machineFeed({ machine: id, rate: 1 }, id, () => top.parts, draw);
const top = new MachineTop(id, feed, spoken, () => link.draw());
const tiles = new Tiles(feed.clock.now());
const control = new StatusControl(id, feed, siteZone);
const charts = new Charts(id, feed.clock, zone);

function draw() {
  const m = feed.fleet.machines.get(id);
  if (!m) return;
  const now = feed.clock.now();
  top.patch(m, now);
  tiles.patch(m, now);
  control.patch(m);
  charts.patch(m);
  tiles.tick(m, now);
}

setInterval(() => {
  const m = feed.fleet.machines.get(id);
  if (!m || document.hidden || feed.paused) return;
  top.tick(m, feed.clock.now());
  tiles.tick(m, feed.clock.now());
  charts.soon();
}, 1000);
guardButtons();
zoneCard(id);
frame();
keyboard({
  ".": () => top.actions.toggle(),
  l: () => charts.toggle(),
  s: () => (find("#status-form input:checked") ?? find("#status-form input"))?.focus(),
});
charts.load();
feed.start();
