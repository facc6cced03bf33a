// The history of one machine: the hub draws it again with each bucket; charts, keys and a pause are the page's own.

import { Announcer } from "../announcer.js";
import { all, find, setAttribute, setText } from "../dom.js";
import { age } from "../format.js";
import { frame } from "../frame.js";
import { isCurrent } from "../freshness.js";
import { HistoryCharts } from "../history_charts.js";
import { keyboard } from "../keyboard.js";
import { guardButtons } from "../link_state.js";
import { MachineTop, machineFeed } from "../machine_top.js";
import { reach } from "../plots.js";
import { language, t } from "../texts.js";

const id = Number(document.body.dataset.id);
const { zone = "" } = document.body.dataset;
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));
const part = find("#history");
/** When somebody paused. */
let paused = 0;

const { feed, link } = machineFeed({ machine: id, rate: 1 }, id, () => top.parts, draw);
const top = new MachineTop(
  id,
  feed,
  spoken,
  (drawn) => {
    link.draw();
    if (drawn === part) charts.drawn();
  },
  (old) => !(paused && old === part),
);
/** @param {number} ms */
const written = (ms) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
const charts = new HistoryCharts(id, zone, (from, to) => {
  const kept = part.dataset.zoneKey ? `&zone=${part.dataset.zoneKey}` : "";
  location.assign(`${location.pathname}?from=${written(from)}&to=${written(to)}&range=${part.dataset.back}${kept}`);
});

function chip() {
  const node = find("#history-live");
  const m = feed.fleet.machines.get(id);
  if (!node || !m) return;
  const state = paused ? "paused" : isCurrent(m) ? "live" : "off";
  setAttribute(node, "data-state", state);
  const behind = { age: age((feed.clock.now() - paused) / 1000, language) };
  const words = paused ? t("chart.paused.behind", behind) : reach(m, feed.clock.now(), zone);
  setText(find("[data-said]", node), words);
}

function draw() {
  const m = feed.fleet.machines.get(id);
  if (m) top.patch(m, feed.clock.now());
  chip();
}

function pause() {
  const back = find("#history-paused");
  if (back) return back.click();
  paused = paused ? 0 : feed.clock.now();
  if (!paused) top.parts.need("history", 0, 0);
  return chip();
}

/** The chart that is looked at: under the pointer, or the first in view. */
const looked = () => find(".chart:hover, .chart:focus-within") ?? all(".chart").find((node) => charts.seen.has(node));

/** @param {Part | null | undefined} node */
const whole = (node) => (document.fullscreenElement ? document.exitFullscreen() : node?.requestFullscreen());

function tables() {
  const lists = all("[data-rows]");
  const open = !lists.every((node) => node.open);
  for (const node of lists) node.open = open;
}

/** @param {string} selector */
const press = (selector) => () => find(selector)?.click();

part.addEventListener("click", (event) => {
  const target = /** @type {Part} */ (event.target);
  if (target.closest("#history-live")) pause();
  else if (target.closest("[data-full]")) whole(target.closest(".chart"));
});
setInterval(() => {
  const m = feed.fleet.machines.get(id);
  if (!m || document.hidden || feed.paused) return;
  top.tick(m, feed.clock.now());
  chip();
}, 1000);
guardButtons();
frame();
/** @type {Record<string, () => void>} */
const ranges = {};
for (const [i, node] of all("[data-range]").entries())
  ranges[`t ${i + 1}`] = press(`[data-range="${node.dataset.range}"]`);
keyboard({
  ...ranges,
  "t ArrowLeft": press("[data-way=earlier]"),
  "t ArrowRight": press("[data-way=later]"),
  "t z": press("[data-way=wider]"),
  ".": () => top.actions.toggle(),
  f: () => whole(looked()),
  l: pause,
  v: tables,
});
charts.load();
feed.start();
