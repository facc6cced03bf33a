// Draws the charts of a History page from the points that stand in its figures, as the hub put them there; only those that
// are seen. A zoom by dragging goes to the address of that time, so that all of the page is of it.

import { all, find, mark, setAttribute } from "./dom.js";
import { zoneAhead, zoneLabel } from "./format.js";
import { utc } from "./live_range.js";
import { figures, onOtherTheme, shareHover, wait } from "./plots.js";
import { t } from "./texts.js";

const LEAST_MS = 60000;
/** Between two charts a browser has time for a finger. */
const BREATH_MS = 30;
/** There every second label of the axis has room. */
const NARROW_PX = 420;

/** @param {Part} node @param {string} name */
const stated = (node, name) => JSON.parse(node.dataset[name] ?? "null");

/**
 * Of what lies between lowest and highest: there along the top and back along the bottom, piece by piece between gaps.
 * @param {string[]} x @param {(number | null)[]} low @param {(number | null)[]} high
 */
function outline(x, low = [], high = []) {
  /** @type {(string | null)[]} */
  const across = [];
  /** @type {(number | null)[]} */
  const up = [];
  for (let from = 0; from < high.length; from += 1) {
    let to = from;
    while (to < high.length && high[to] !== null) to += 1;
    across.push(...x.slice(from, to), ...x.slice(from, to).reverse(), null);
    up.push(...high.slice(from, to), ...low.slice(from, to).reverse(), null);
    from = to;
  }
  return { x: across, y: up };
}

export class HistoryCharts {
  /** @param {number} id @param {string} zone @param {(from: number, to: number) => void} zoomed */
  constructor(id, zone, zoomed) {
    this.id = id;
    this.zone = zone;
    this.zoomed = zoomed;
    /** @type {any} */
    this.spec = null;
    /** Charts that are in view, and those that show what is not their newest. @type {Set<Part>} */
    this.seen = new Set();
    /** @type {Set<Part>} */
    this.stale = new Set();
    /** @type {Set<Part>} */
    this.ready = new Set();
    this.busy = false;
    this.ahead = 0;
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries)
        this.seen[isIntersecting ? "add" : "delete"](/** @type {Part} */ (target));
      this.soon();
    });
    addEventListener("pagehide", () => {
      for (const node of this.ready) window.Plotly.purge(this.plot(node));
    });
    onOtherTheme(() => this.load());
    // Plotly hears of windows that change, not of a chart that fills one.
    document.addEventListener("fullscreenchange", () => {
      for (const node of this.ready) window.Plotly.Plots.resize(this.plot(node));
    });
  }

  /** @param {Part} node */
  plot(node) {
    return /** @type {Plot} */ (find("[data-plot]", node));
  }

  async load() {
    try {
      this.spec = await figures(`${this.id}/history`);
    } catch {
      wait("chart.failed");
    }
    this.drawn();
  }

  /** The hub has drawn the page's part again. */
  drawn() {
    const nodes = all("[data-chart]");
    for (const known of [this.seen, this.stale, this.ready])
      for (const node of known) if (!node.isConnected) known.delete(node);
    for (const node of nodes) {
      this.watcher.observe(node);
      if (this.spec && !this.ready.has(node)) setAttribute(this.plot(node), "data-wait", t("chart.loading"));
      this.stale.add(node);
    }
    this.soon();
  }

  soon() {
    if (this.busy || !this.spec) return;
    const next = [...this.stale].find((node) => this.seen.has(node));
    if (!next) return;
    this.busy = true;
    requestAnimationFrame(() => {
      this.stale.delete(next);
      if (next.isConnected) this.draw(next);
      setTimeout(() => {
        this.busy = false;
        this.soon();
      }, BREATH_MS);
    });
  }

  // As text: Plotly shows a Date by the clock of the computer the browser runs on. By one clock, that of the beginning,
  // which the label names: where clocks change, no hour is drawn twice or left out.
  /** @param {number} ms */
  there(ms) {
    return new Date(ms + this.ahead).toISOString().slice(0, -1);
  }

  /** @param {Part} node */
  draw(node) {
    const common = stated(find("#history"), "drawn");
    const [from, to] = common.range;
    this.ahead = zoneAhead(this.zone, from);
    const points = stated(node, "points");
    const spec = this.spec.figures[node.dataset.chart];
    const at = points.at.map((/** @type {number} */ place) => points.first + place * points.width);
    const x = at.map((/** @type {number} */ ms) => this.there(ms));
    const status = (/** @type {number} */ ms) =>
      common.spans.find((/** @type {number[]} */ span) => span[0] <= ms && ms < span[1])?.[3] ?? "";
    const first = spec.data.findLast((/** @type {Free} */ trace) => trace.connectgaps === false).meta;
    const data = spec.data.map((/** @type {Free} */ trace) => {
      const [metric, part] = trace.meta.split(".");
      if (part) return { ...trace, ...outline(x, points[`${metric}.low`], points[`${metric}.high`]) };
      return metric === "status"
        ? { ...trace, x, y: points[first], text: at.map(status) }
        : { ...trace, x, y: points[metric] };
    });
    const days = to - from > 86400000;
    const plot = this.plot(node);
    const ticks = common.ticks.filter(
      (/** @type {unknown} */ _, /** @type {number} */ i) => plot.clientWidth > NARROW_PX || i % 2,
    );
    const layout = {
      ...spec.layout,
      uirevision: `${from}`,
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      xaxis: {
        ...spec.layout.xaxis,
        autorange: false,
        range: [this.there(from), this.there(to)],
        tickvals: ticks.map((/** @type {[number, string]} */ tick) => this.there(tick[0])),
        tickangle: 0,
        ticktext: ticks.map((/** @type {[number, string]} */ tick) => tick[1]),
        hoverformat: `${days ? "%d/%m " : ""}${spec.layout.xaxis.hoverformat} ${zoneLabel(this.zone, from)}`,
      },
      yaxis: node.dataset.view
        ? { ...spec.layout.yaxis, range: node.dataset.view.split(" ").map(Number) }
        : spec.layout.yaxis,
      shapes: [...this.bands(stated(node, "gaps")), ...spec.layout.shapes, ...this.strip(common)],
      annotations: [...spec.layout.annotations, ...this.words(stated(node, "gaps"), from, to)],
    };
    window.Plotly.react(plot, data, layout, this.spec.config);
    if (!this.ready.has(node)) this.first(node);
  }

  /** @param {[number, number, string][]} gaps */
  bands(gaps) {
    return gaps.map(([from, to]) => ({ ...this.spec.gap.shape, x0: this.there(from), x1: this.there(to) }));
  }

  /** Of the widest, as far as they have room. @param {[number, number, string][]} gaps @param {number} from @param {number} to */
  words(gaps, from, to) {
    const roomy = gaps.filter((gap) => gap[1] - gap[0] > (to - from) / 6);
    return roomy.map((gap) => ({
      ...this.spec.gap.annotation,
      x: this.there((Math.max(gap[0], from) + Math.min(gap[1], to)) / 2),
      text: gap[2].replace(" – ", "<br>"),
    }));
  }

  /** Status above the grid; a line where the machine booted or its status changed. @param {Free} common */
  strip({ spans, marks, changes }) {
    const { tones } = this.spec;
    const bar = { type: "rect", xref: "x", yref: "paper", y0: 1.015, y1: 1.05, line: { width: 0 } };
    const line = { type: "line", xref: "x", yref: "paper", y0: 0, y1: 1.05, layer: "below" };
    /** @param {number} ms @param {string} dash */
    const upright = (ms, dash) => ({
      ...line,
      x0: this.there(ms),
      x1: this.there(ms),
      line: { width: 1, dash, color: tones.mark },
    });
    return [
      ...spans.map((/** @type {[number, number, string]} */ span) => ({
        ...bar,
        x0: this.there(span[0]),
        x1: this.there(span[1]),
        fillcolor: tones[span[2]],
      })),
      ...changes.map((/** @type {number} */ ms) => upright(ms, "dot")),
      ...marks.map((/** @type {[number, string]} */ one) => upright(one[0], "solid")),
    ];
  }

  /** @param {Part} node */
  first(node) {
    this.ready.add(node);
    const plot = this.plot(node);
    mark(plot, "wait", false);
    plot.on("plotly_relayout", (event) => {
      const [from, to] = [event["xaxis.range[0]"], event["xaxis.range[1]"]].map(utc);
      if (from && to) this.narrow(from, to);
    });
    const others = () => [...this.ready].filter((other) => other !== node && this.seen.has(other));
    shareHover(plot, () => others().map((other) => this.plot(other)));
  }

  /** By the clock of the chart. @param {number} from @param {number} to */
  narrow(from, to) {
    const [start, end] = [from - this.ahead, to - this.ahead];
    const middle = (start + end) / 2;
    const half = Math.max(end - start, LEAST_MS) / 2;
    this.zoomed(middle - half, middle + half);
  }
}
