// The history of one machine: the hub draws it again with each bucket; charts, keys and a pause are the page's own.

import { all, find, setAttribute, setText } from "../dom.js";
import { age } from "../format.js";
import { isCurrent } from "../freshness.js";
import { HistoryCharts } from "../history_charts.js";
import { machinePage } from "../machine_top.js";
import { reach } from "../plots.js";
import { language, t } from "../texts.js";

const { zone = "" } = document.body.dataset;
const part = find("#history");
/** When somebody paused. */
let paused = 0;

/** @param {string} selector */
const press = (selector) => () => find(selector)?.click();
/** @type {Record<string, () => void>} */
const ranges = {};
for (const [i, node] of all("[data-range]").entries())
  ranges[`t ${i + 1}`] = press(`[data-range="${node.dataset.range}"]`);
const { id, feed, parts } = machinePage({
  watch: true,
  draw: chip,
  tick: chip,
  drawn: (drawn) => drawn === part && charts.drawn(),
  allows: (old) => !(paused && old === part),
  keys: {
    ...ranges,
    "t ArrowLeft": press("[data-way=earlier]"),
    "t ArrowRight": press("[data-way=later]"),
    "t z": press("[data-way=wider]"),
    f: () => whole(looked()),
    l: pause,
    v: tables,
  },
});
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

function pause() {
  const back = find("#history-paused");
  if (back) return back.click();
  paused = paused ? 0 : feed.clock.now();
  if (!paused) parts.need("history", 0, 0);
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

part.addEventListener("click", (event) => {
  const target = /** @type {Part} */ (event.target);
  if (target.closest("#history-live")) pause();
  else if (target.closest("[data-full]")) whole(target.closest(".chart"));
});
charts.load();
feed.start();
