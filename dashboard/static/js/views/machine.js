// The Overview of one machine, live.

import { Charts } from "../charts.js";
import { find } from "../dom.js";
import { machinePage } from "../machine_top.js";
import { StatusControl } from "../status_control.js";
import { Tiles } from "../tiles.js";
import { zoneCard } from "../zone_card.js";

const { zone = "", siteZone = "" } = document.body.dataset;
const { id, feed } = machinePage({
  watch: true,
  draw(m, now) {
    tiles.patch(m, now);
    control.patch(m);
    charts.patch(m);
    tiles.tick(m, now);
  },
  tick(m, now) {
    tiles.tick(m, now);
    charts.soon();
  },
  keys: {
    l: () => charts.toggle(),
    s: () => (find("#status-form input:checked") ?? find("#status-form input"))?.focus(),
  },
});
const tiles = new Tiles(feed.clock.now());
const control = new StatusControl(id, feed, siteZone);
const charts = new Charts(id, feed.clock, zone);
zoneCard(id);
charts.load();
feed.start();
