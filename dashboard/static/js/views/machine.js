// The Overview of one machine, live.

import { Announcer } from "../announcer.js";
import { Charts } from "../charts.js";
import { find, setAttribute, setIcon, setText } from "../dom.js";
import { Feed } from "../feed.js";
import { age, clock, offset, span, zoneLabel } from "../format.js";
import { frame } from "../frame.js";
import { freshness } from "../freshness.js";
import { keyboard } from "../keyboard.js";
import { LinkState, guardButtons, setAlarms } from "../link_state.js";
import { StatusControl } from "../status_control.js";
import { language, t } from "../texts.js";
import { Tiles } from "../tiles.js";
import { troubles } from "../trouble.js";
import { Why } from "../why.js";

const id = Number(document.body.dataset.id);
const zone = document.body.dataset.siteZone;
const names = JSON.parse(document.body.dataset.names);
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));
let before = "";

const feed = new Feed({ machine: id, rate: 1 }, {
  changed(ids, removed) {
    if (removed.includes(id)) return location.assign("/");
    if (ids.includes(id) && !feed.paused) requestAnimationFrame(draw);
    setAlarms(troubles(feed.fleet.machines.values(), feed.clock.now()).length);
    return undefined;
  },
  job: (job) => control.heard(job),
  link: (state) => link.set(state),
  version: (name) => link.version(name),
});
const link = new LinkState(feed);
const tiles = new Tiles(feed.clock.now());
const control = new StatusControl(id, feed, zone);
const why = new Why(zone);
const charts = new Charts(id, feed.clock, zone);

function who(actor) {
  const [kind, number] = actor.split(":");
  return kind === "user" ? (names[number] ?? t("who.user", { id: number })) : t(`who.${kind}`);
}

function fact(name, text) {
  setText(find(`[data-fact=${name}] bdi`), text);
}

function draw() {
  const m = feed.fleet.machines.get(id);
  const now = feed.clock.now();
  setText(find("#status-pill [data-said]"), t(`status.${m.effective_status}`));
  setIcon(find("#status-pill .i"), m.effective_status);
  setText(find("h1 bdi"), m.name);
  tiles.patch(m);
  control.patch(m);
  charts.patch(m);
  if (m.agent_version) fact("agent", m.agent_version);
  if (m.last_ip) fact("ip", m.last_ip);
  if (m.clock_offset_s !== null) fact("clock", offset(m.clock_offset_s, language));
  tick(m, now);
  const is = `${m.effective_status} ${m.connection}`;
  if (before && before !== is) {
    const [status] = before.split(" ");
    spoken.add(status === m.effective_status
      ? t("said.connection", { name: m.name, connection: t(`connection.${m.connection}`) })
      : t("said.status", { name: m.name, status: t(`status.${m.effective_status}`) }));
  }
  before = is;
}

/** What grows by itself. */
function tick(m, now) {
  const fresh = freshness(m, now);
  setIcon(find("#connection .i"), fresh.mark);
  setText(find("#connection [data-said]"), fresh.words);
  setAttribute(find("#connection [data-said]"), "class", `${fresh.mark}-age`);
  setText(find("#status-since"), t("since.by", { age: age((now - m.status_since) / 1000, language), who: who(m.status_by) }));
  const up = m.readings?.uptime_s;
  if (up) fact("uptime", span(up + (m.connection === "live" ? (now - m.readings.taken_at) / 1000 : 0), language));
  if (m.clock_offset_s !== null) fact("time", `${clock(now + m.clock_offset_s * 1000, zone, language, true)} ${zoneLabel(zone, now)}`);
  tiles.tick(m, now);
  why.draw(m, now);
}

setInterval(() => {
  const m = feed.fleet.machines.get(id);
  if (!m || document.hidden || feed.paused) return;
  tick(m, feed.clock.now());
  charts.soon();
}, 1000);
frame();
guardButtons();
keyboard({
  l: () => charts.toggle(),
  s: () => (find("#status-form input:checked") ?? find("#status-form input"))?.focus(),
});
charts.load();
feed.start();
