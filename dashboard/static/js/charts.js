// Draws the machine's charts with Plotly from the figures the hub specifies: at most once a second, only those that are
// seen, with one animation frame for all, and purged on leaving.

import { all, find, make, mark, setAttribute, setText, show } from "./dom.js";
import { age, clock, day, reading, span, zoneAhead, zoneLabel } from "./format.js";
import { isCurrent } from "./freshness.js";
import { LiveRange } from "./live_range.js";
import { figures, onOtherTheme, reach, shareHover, wait } from "./plots.js";
import { Series, WINDOW_MS } from "./series.js";
import { language, t } from "./texts.js";

const EVERY_MS = 1000;
const SLOW_MS = 40;

/**
 * One chart of the page.
 * @typedef {object} Figure
 * @property {Part} node @property {string} name @property {Plot} plot @property {boolean} seen @property {boolean} table
 * @property {boolean} ready
 */

export class Charts {
  /** @param {number} id @param {{now: () => number}} hubClock @param {string} zone */
  constructor(id, hubClock, zone) {
    this.id = id;
    this.hubClock = hubClock;
    this.zone = zone;
    /** @type {Machine | null} */
    this.machine = null;
    /** @type {any} */
    this.spec = null;
    this.drawnAt = 0;
    this.every = matchMedia("(pointer: coarse)").matches ? 2 * EVERY_MS : EVERY_MS;
    this.live = new LiveRange(WINDOW_MS);
    this.due = false;
    /** @type {Figure[]} */
    this.figures = all("[data-chart]").map((node) => ({
      node,
      name: node.dataset.chart,
      plot: /** @type {Plot} */ (find("[data-plot]", node)),
      seen: true,
      table: false,
      ready: false,
    }));
    this.series = new Series(["cpu_usage", "gpu_usage", "temperature"]);
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) this.saw(entry);
    });
    for (const figure of this.figures) this.prepare(figure);
    addEventListener("pagehide", () => {
      for (const figure of this.figures) if (figure.ready) window.Plotly.purge(figure.plot);
    });
    onOtherTheme(() => this.load());
  }

  /** @param {Figure} figure */
  prepare(figure) {
    this.watcher.observe(figure.node);
    find("[data-live]", figure.node).addEventListener("click", () => this.toggle());
    const button = find("[data-as-table]", figure.node);
    show(button, true);
    button.addEventListener("click", () => this.asTable(figure, button));
  }

  /** @param {IntersectionObserverEntry} entry */
  saw(entry) {
    const figure = this.figures.find((each) => each.node === entry.target);
    if (!figure) return;
    figure.seen = entry.isIntersecting;
    if (figure.seen) this.soon();
  }

  async load() {
    try {
      this.spec = await figures(`${this.id}`);
    } catch {
      return wait("chart.failed");
    }
    this.series.load(this.spec.history);
    this.series.away = this.spec.away;
    this.soon();
  }

  /** The machine as the hub reports it. @param {Machine} m */
  patch(m) {
    if (m.connection === "offline" && this.machine?.connection !== "offline")
      this.series.away.push([m.connection_since ?? this.hubClock.now(), Infinity]);
    const gone = this.series.away.at(-1);
    if (m.connection !== "offline" && gone?.[1] === Infinity) gone[1] = m.connection_since ?? this.hubClock.now();
    this.machine = m;
    this.series.watchedSince = Math.min(this.series.watchedSince, this.hubClock.now());
    this.series.add(m.readings);
    this.soon();
  }

  soon() {
    if (this.due || !this.spec) return;
    this.due = true;
    const pause = Math.max(0, this.drawnAt + this.every - performance.now());
    setTimeout(() => requestAnimationFrame(() => this.draw()), pause);
  }

  draw() {
    this.due = false;
    this.drawnAt = performance.now();
    const now = this.hubClock.now();
    this.series.trim(now);
    for (const figure of this.figures) {
      if (figure.seen && !document.hidden) this.drawOne(figure, now);
      this.caption(figure, now);
    }
    if ((performance.now() - this.drawnAt) / this.figures.length > SLOW_MS) this.every = 2 * EVERY_MS;
    this.chips(now);
  }

  /** @param {Figure} figure @param {number} now */
  drawOne(figure, now) {
    if (figure.table) return this.fillTable(figure);
    const spec = this.spec.figures[figure.name];
    const ahead = zoneAhead(this.zone, now);
    // As text: Plotly shows a Date by the clock of the computer the browser runs on.
    /** @param {number} ms */
    const there = (/** @type {number} */ ms) => new Date(ms + ahead).toISOString().slice(0, -1);
    const { x, y } = this.series.columns(there);
    const data = spec.data.map((/** @type {Free} */ trace) => ({
      ...trace,
      x,
      y: y[this.series.metrics.indexOf(trace.meta)],
      text: undefined,
    }));
    const range = this.live.range(now).map(there);
    const hoverformat = `${spec.layout.xaxis.hoverformat} ${zoneLabel(this.zone, now)}`;
    const fitted = spec.in_view && this.series.fitted([spec.data[0].meta], spec.in_view, this.live.range(now));
    const zoned = {
      ...spec.layout,
      xaxis: { ...spec.layout.xaxis, range, hoverformat, autorange: false },
      yaxis: fitted ? { ...spec.layout.yaxis, range: fitted } : spec.layout.yaxis,
    };
    const away = this.gapMarks(now, this.spec, there);
    const layout = {
      ...zoned,
      shapes: [...away.shapes, ...spec.layout.shapes],
      annotations: [...spec.layout.annotations, ...away.annotations],
    };
    // A moving range throws the person's zoom away; while paused the same range is sent each time.
    layout.uirevision = this.live.paused ? "paused" : `live ${Math.round(now)}`;
    window.Plotly.react(figure.plot, data, layout, this.spec.config);
    if (!figure.ready) this.first(figure);
    return undefined;
  }

  /** @param {Figure} figure */
  first(figure) {
    figure.ready = true;
    mark(figure.plot, "wait", false);
    figure.plot.on("plotly_relayout", (event) => {
      if (this.live.relayout(event, this.hubClock.now(), zoneAhead(this.zone, this.hubClock.now()))) this.soonAll();
    });
    figure.plot.on("plotly_doubleclick", () => this.backToLive());
    shareHover(figure.plot, () => this.others(figure));
  }

  /** @param {Figure} figure */
  others(figure) {
    const shown = this.figures.filter((other) => other !== figure && other.ready && other.seen && !other.table);
    return shown.map((other) => other.plot);
  }

  /** @param {number} now @param {any} spec @param {(ms: number) => string} there */
  gapMarks(now, spec, there) {
    const shapes = [];
    const annotations = [];
    for (const [from, to] of this.series.gaps(now)) {
      const growing = to === now;
      const offline = (growing && this.machine?.connection === "offline") || this.series.offline(from, to);
      const words = t(offline ? "chart.gap.offline" : "chart.gap", { age: span((to - from) / 1000, language) });
      shapes.push({ ...spec.gap.shape, x0: there(from), x1: there(to) });
      annotations.push({
        ...spec.gap.annotation,
        ...(growing && { xanchor: "right" }), // the middle is too near to the end for its words
        x: there(growing ? to : (Math.max(from, this.live.range(now)[0]) + Math.min(to, this.live.range(now)[1])) / 2),
        text: words.replace(" – ", "<br>"),
      });
    }
    return { shapes, annotations: annotations.slice(-3) };
  }

  /** @param {Figure} figure @param {number} now */
  caption(figure, now) {
    const lines = this.spec.figures[figure.name].data.map((/** @type {Free} */ trace) => {
      const found = this.series.summary(trace.meta, now);
      /** @param {number} amount */
      const value = (/** @type {number} */ amount) => reading(trace.meta, amount, language);
      if (!found) return this.nothing(trace, value, now);
      return t(this.past ? "chart.caption.past" : "chart.caption", {
        name: trace.name,
        now: value(found.now),
        last: clock(found.newestAt, this.zone, language),
        mean: value(found.mean),
        high: value(found.high),
        time: clock(found.at, this.zone, language),
      });
    });
    setText(find("[data-caption]", figure.node), lines.join(" "));
  }

  /** What it shows is not of now. */
  get past() {
    return !this.machine || !isCurrent(this.machine);
  }

  /** Of one that is away, what it reported last. @param {Free} trace @param {(amount: number) => string} value @param {number} now */
  nothing(trace, value, now) {
    const { name } = trace;
    const readings = this.past ? this.machine?.readings : null;
    const last = readings?.[/** @type {Metric} */ (trace.meta)] ?? null;
    if (last === null || !readings) return t("chart.caption.none", { name });
    return t("chart.caption.last", { name, now: value(last), last: day(readings.taken_at, now, this.zone, language) });
  }

  toggle() {
    if (this.live.paused) this.backToLive();
    else {
      this.live.pause(this.hubClock.now());
      this.soonAll();
    }
  }

  backToLive() {
    this.live.live();
    this.soonAll();
  }

  soonAll() {
    this.drawnAt = 0;
    this.chips(this.hubClock.now());
    this.soon();
  }

  /** @param {number} now */
  chips(now) {
    const behind = this.live.behind(now);
    const words = !this.live.paused
      ? reach(this.machine, now, this.zone)
      : behind < 5000
        ? t("chart.paused")
        : t("chart.paused.behind", { age: age(behind / 1000, language) });
    for (const { node } of this.figures) {
      const chip = find("[data-live]", node);
      show(chip, this.machine !== null);
      setAttribute(chip, "data-state", this.live.paused ? "paused" : this.past ? "off" : "live");
      setText(find("[data-said]", chip), words);
    }
  }

  /** @param {Figure} figure @param {Part} button */
  asTable(figure, button) {
    figure.table = !figure.table;
    setAttribute(button, "aria-expanded", String(figure.table));
    setText(button, t(figure.table ? "chart.as_chart" : "chart.as_table"));
    show(figure.plot, !figure.table);
    show(find("[data-table]", figure.node), figure.table);
    this.soonAll();
  }

  /** @param {Figure} figure */
  fillTable(figure) {
    const traces = this.spec.figures[figure.name].data;
    const columns = traces.map((/** @type {Free} */ trace) => this.series.metrics.indexOf(trace.meta) + 1);
    const head = make(
      "tr",
      {},
      ...[t("chart.time"), ...traces.map((/** @type {Free} */ trace) => trace.name)].map((name) =>
        make("th", { scope: "col" }, name),
      ),
    );
    const rows = this.series.points
      .slice(-60)
      .reverse()
      .map((row) =>
        make(
          "tr",
          {},
          make("td", {}, clock(row[0], this.zone, language, true)),
          ...columns.map((/** @type {number} */ column, /** @type {number} */ i) =>
            make("td", {}, row[column] === null ? "—" : reading(traces[i].meta, row[column], language)),
          ),
        ),
      );
    find("[data-table]", figure.node).replaceChildren(
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
    );
  }
}
