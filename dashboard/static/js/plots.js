// What the charts of all pages have in common: the theme, a pointer that all of them follow, and how live they are.

import { all, find, make, setAttribute } from "./dom.js";
import { day } from "./format.js";
import { isCurrent } from "./freshness.js";
import { utc } from "./live_range.js";
import { language, t } from "./texts.js";

const HOVER_MS = 50;
let hovered = 0;

/** Light or dark, also where the computer decides. */
export function shownTheme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "auto" ? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light") : chosen;
}

/** Nothing of a page waits for it but its charts: it is ten times the rest, and a network may end in its middle. */
const plotly = () =>
  new Promise((onload, onerror) => {
    const { href: src } = find("[rel=preload]");
    document.head.append(Object.assign(make("script", {}), { src, onload, onerror }));
  });

/** What stands where they would be. @param {string} key */
export function wait(key) {
  for (const node of all("[data-plot]")) setAttribute(node, "data-wait", t(key));
}

/** How the hub specifies the charts, once they can be drawn. @param {string} of */
export async function figures(of) {
  wait("chart.loading");
  const [answer] = await Promise.all([
    fetch(`${BASE_PATH}/machines/${of}/charts.json?theme=${shownTheme()}`),
    window.Plotly ?? plotly(),
  ]);
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

/** @param {() => unknown} act */
export function onOtherTheme(act) {
  addEventListener("theme", act);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", act);
}

/** What lies under the pointer in one chart is shown in the others. @param {Plot} plot @param {() => Plot[]} others */
export function shareHover(plot, others) {
  plot.on("plotly_hover", (event) => {
    if (!event.event || performance.now() - hovered < HOVER_MS) return;
    hovered = performance.now();
    for (const other of others()) window.Plotly.Fx.hover(other, { xval: utc(event.points[0].x) }); // Plotly takes no text there
  });
  plot.on("plotly_unhover", () => {
    for (const other of others()) window.Plotly.Fx.unhover(other);
  });
}

/** Until when what is drawn reaches. @param {Machine | null} m @param {number} now @param {string} zone */
export function reach(m, now, zone) {
  if (m && isCurrent(m)) return t("chart.live");
  const at = m?.readings?.taken_at ?? m?.last_seen_at;
  return at ? t("chart.until", { time: day(at, now, zone, language) }) : t("connection.never");
}
