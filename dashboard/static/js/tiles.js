// The six tiles of a machine: newest value, its age when it is late, four hours behind it, or why there is none.

import { all, find, icon, mark, setAttribute, setText } from "./dom.js";
import { age, number } from "./format.js";
import { aging, isCurrent } from "./freshness.js";
import { Sparkline, STEP_MS, STEPS } from "./sparkline.js";
import { language, t, textOf } from "./texts.js";

/** @type {Record<string, number>} */
const TOP = { temperature: 110 };

/** @param {number} at */
const stepOf = (at) => Math.floor(at / STEP_MS);

/** All that is shown when about so much is known. @param {number} ms */
const spanOf = (ms) => (ms > (STEPS - 2) * STEP_MS ? STEPS * STEP_MS : Math.max(0, ms));

/** The bin; nothing while the machine never told: the row's 0 was never measured. @param {Machine} m */
const filled = (m) => (m.connection === "never" ? null : m.capacity);

class Tile {
  /** @param {Part} node @param {number} now */
  constructor(node, now) {
    this.node = node;
    this.metric = node.dataset.m;
    this.top = TOP[this.metric] ?? 100;
    this.line = find(".spark path", node);
    this.spark =
      this.line && new Sparkline(this.line.getAttribute("d") ?? "", now, this.top, Number(this.line.dataset.gap));
    // What the hub knew of the last hours counts as of the first reading's time: the range must not begin anew with the page.
    const { low, high, since } = find("[data-range]", node).dataset;
    /** Since when there are values, of the hours that are shown. */
    this.since = Number(since ?? 0);
    /** @type {[number, number] | null} */
    this.known = low ? [Number(low), Number(high)] : null;
    /** The lowest and the highest of each step. @type {Map<number, [number, number]>} */
    this.spread = new Map();
    this.takenAt = 0;
  }

  /** @param {Machine} m @param {boolean} over @param {number} now */
  patch(m, over, now) {
    const capacity = this.metric === "capacity";
    const value = capacity ? filled(m) : (m.readings?.[/** @type {Metric} */ (this.metric)] ?? null);
    const big = find("[data-value]", this.node);
    const digits = value === null ? "—" : number(value, language, this.metric === "temperature" ? 1 : 0);
    const unit = value === null ? "" : ` ${this.metric === "temperature" ? "°C" : "%"}`;
    if (big.textContent !== digits + unit) {
      const small = document.createElement("span");
      small.className = "unit";
      small.textContent = unit;
      big.replaceChildren(digits, ...(unit ? [small] : []));
    }
    setAttribute(
      find(".bar .v", this.node),
      "width",
      `${Math.round(Math.min(100, Math.max(0, ((value ?? 0) * 100) / this.top)))}%`,
    );
    mark(this.node, "old", !isCurrent(m));
    mark(this.node, "over", capacity ? (value ?? 0) >= 95 : over);
    if (capacity)
      setText(find("[data-range]", this.node), value === null ? textOf("none.", "never") : t("tile.capacity"));
    else this.range(m, value, now);
    this.limit(over);
  }

  /** @param {Machine} m @param {number | null} value @param {number} now */
  range(m, value, now) {
    const at = m.readings?.taken_at;
    if (value !== null && at && at !== this.takenAt) {
      this.takenAt = at;
      const step = stepOf(at);
      this.since ||= at;
      // Later ones are of a clock that was ahead and has been set back.
      for (const other of this.spread.keys()) if (other > step || other <= step - STEPS) this.spread.delete(other);
      const [low, high] = this.spread.get(step) ?? this.known ?? [value, value];
      this.known = null;
      this.spread.set(step, [Math.min(low, value), Math.max(high, value)]);
      this.spark.add(at, value);
    }
    const node = find("[data-range]", this.node);
    if (value === null)
      return setText(node, textOf("none.", m.readings ? (m.readings.reasons[this.metric] ?? "unknown") : "never"));
    const values = [...this.spread.values()].flat();
    if (!values.length) return undefined;
    const [low, high] = [Math.min(...values), Math.max(...values)].map((each) => number(each, language));
    const span = age(spanOf(now - this.since) / 1000, language);
    return setText(node, low === high ? t("tile.steady", { value: low, span }) : t("tile.range", { low, high, span }));
  }

  /** @param {boolean} over */
  limit(over) {
    const node = find("[data-limit]", this.node);
    if (!node) return;
    mark(node, "limit", over);
    const glyph = find(".i", node);
    if (over && !glyph) node.prepend(icon("warn"));
    else if (!over) glyph?.remove();
  }

  /** @param {Machine} m @param {number} now */
  tick(m, now) {
    if (this.spark) setAttribute(this.line, "d", this.spark.path(now));
    const node = find("[data-age]", this.node);
    const at = this.metric === "capacity" ? m.last_seen_at : m.readings?.taken_at;
    const late = aging(m) && at;
    const ago = at ? age((now - at) / 1000, language) : "";
    const words = late ? ago : m.connection === "offline" && at ? t("ago", { age: ago }) : "";
    if (node.textContent === words) return;
    node.replaceChildren(...(words ? [icon(late ? "late" : "offline"), words] : []));
    mark(node, "late-age", Boolean(late));
  }
}

export class Tiles {
  /** @param {number} now */
  constructor(now) {
    this.tiles = all("#tiles .tile").map((node) => new Tile(node, now));
  }

  /** @param {Machine} m @param {number} now */
  patch(m, now) {
    const over = new Set(isCurrent(m) ? m.health_reasons.map((r) => r.code) : []);
    for (const tile of this.tiles) tile.patch(m, over.has(tile.metric), now);
  }

  /** @param {Machine} m @param {number} now */
  tick(m, now) {
    for (const tile of this.tiles) tile.tick(m, now);
  }
}
