// The Overview of one machine, live.

import { Announcer } from "../announcer.js";
import { Charts } from "../charts.js";
import { find, setText } from "../dom.js";
import { Feed } from "../feed.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { LinkState, guardButtons, setAlarms, setJobs } from "../link_state.js";
import { MachineActions } from "../machine_actions.js";
import { MachineHead } from "../machine_head.js";
import { MachineJobs } from "../machine_jobs.js";
import { StatusControl } from "../status_control.js";
import { StatusList } from "../status_list.js";
import { Tiles } from "../tiles.js";
import { troubles } from "../trouble.js";
import { Why } from "../why.js";
import { ZoneCard } from "../zone_card.js";

const id = Number(document.body.dataset.id);
const zone = document.body.dataset.siteZone;
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));

const feed = new Feed({ machine: id, rate: 1 }, {
  changed(ids, removed, whole) {
    if (removed.includes(id)) return location.assign("/");
    if (ids.includes(id)) jobs.changed([id], whole);
    setJobs(feed.fleet.machines.values());
    if (ids.includes(id) && !feed.paused) requestAnimationFrame(draw);
    setAlarms(troubles(feed.fleet.machines.values(), feed.clock.now()).length);
    return undefined;
  },
  job(job) {
    jobs.heard(job);
    zoneCard.heard(job);
  },
  event: (event) => event.rvm_id === id && event.code.startsWith("timezone.") && zoneCard.load(),
  link: (state) => link.set(state),
  version: (name) => link.version(name),
});
const link = new LinkState(feed);
const head = new MachineHead(spoken);
const tiles = new Tiles(feed.clock.now());
const control = new StatusControl(id, feed, zone);
const jobs = new MachineJobs(id, feed, spoken);
const actions = new MachineActions(id);
const why = new Why(zone);
const zoneCard = new ZoneCard(id, feed, zone);
const statuses = new StatusList(zone, head.names);
const charts = new Charts(id, feed.clock, zone);

function draw() {
  const m = feed.fleet.machines.get(id);
  const now = feed.clock.now();
  head.patch(m, now);
  tiles.patch(m);
  control.patch(m);
  zoneCard.patch(m);
  statuses.patch(m, now);
  actions.patch(m);
  charts.patch(m);
  tick(m, now);
}

/** What grows by itself. */
function tick(m, now) {
  tiles.tick(m, now);
  why.draw(m, now);
}

setInterval(() => {
  const m = feed.fleet.machines.get(id);
  if (!m || document.hidden || feed.paused) return;
  head.tick(m, feed.clock.now());
  tick(m, feed.clock.now());
  charts.soon();
  jobs.tick();
}, 1000);
frame();
guardButtons();
keyboard({
  ".": () => actions.toggle(),
  l: () => charts.toggle(),
  s: () => (find("#status-form input:checked") ?? find("#status-form input"))?.focus(),
});
charts.load();
feed.start();
