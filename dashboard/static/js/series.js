// The points a chart draws: bounded, ordered, with holes where nothing was measured. Pure.

export const WINDOW_MS = 600000;
const MOST = 720;
const WATCHED_GAP_MS = 15000;
const KEPT_MS = 300000;

/** @typedef {[number, ...(number | null)[]]} Point time first */

export class Series {
  /** @param {Metric[]} metrics */
  constructor(metrics) {
    this.metrics = metrics;
    /** @type {Point[]} */
    this.points = [];
    /** @type {[number, number][]} */
    this.away = [];
    this.watchedSince = Infinity;
    /** Where the line goes on after the machine's clock was set back. @type {Set<number>} */
    this.steps = new Set();
  }

  /** Put history in front of what came meanwhile. @param {Point[]} rows */
  load(rows) {
    const first = this.points[0]?.[0] ?? Infinity;
    this.points = [...rows.filter((row) => row[0] < first), ...this.points];
  }

  /**
   * Of an older time than the last: the machine's clock was ahead and has been set back. What it dated later than this is
   * let go, and the line goes on from here.
   * @param {Pick<Readings, "taken_at"> & Partial<Readings> | null} readings the newest ones; the same time says nothing new
   */
  add(readings) {
    const at = readings?.taken_at;
    if (!at || at === this.points.at(-1)?.[0]) return false;
    const later = this.points.findIndex((row) => row[0] > at);
    if (later >= 0) {
      this.points.splice(later);
      this.steps.add(at);
    }
    this.points.push([at, ...this.metrics.map((metric) => readings?.[metric] ?? null)]);
    return true;
  }

  /** @param {number} now */
  trim(now) {
    let from = this.points.findIndex((row) => row[0] >= now - 3 * WINDOW_MS);
    if (from < 0) from = this.points.length;
    this.points = this.points.slice(Math.max(from, this.points.length - 3 * MOST));
    if (!this.steps.size) return;
    const kept = new Set(this.points.map(([at]) => at));
    for (const at of this.steps) if (!kept.has(at)) this.steps.delete(at);
  }

  /**
   * Whether nothing came between two neighbours when something should have: the machine was offline, a kept sample is
   * missing, or this page was watching and received nothing for a while.
   * @param {number} from @param {number} to
   */
  broken(from, to) {
    const watched = from >= this.watchedSince && to - from > WATCHED_GAP_MS;
    return to - from > 1.5 * KEPT_MS || watched || this.offline(from, to);
  }

  /** Whether the machine was away for some of that time. @param {number} from @param {number} to */
  offline(from, to) {
    return this.away.some(([gone, back]) => gone < to && back > from && to - from > WATCHED_GAP_MS);
  }

  /**
   * Columns for Plotly, with a null in every gap so that no line crosses it; `there` turns ms into the axis's time.
   * @param {(ms: number) => string | Date} [there]
   */
  columns(there = (ms) => new Date(ms)) {
    /** @type {(string | Date)[]} */
    const x = [];
    /** @type {(number | null)[][]} */
    const y = this.metrics.map(() => []);
    const times = this.points.map((row) => row[0]);
    /** @param {number} at @param {(number | null)[]} values */
    const put = (at, values) => {
      x.push(there(at));
      for (const [i, column] of y.entries()) column.push(values[i] ?? null);
    };
    this.points.forEach((row, i) => {
      if (i && (this.steps.has(times[i]) || this.broken(times[i - 1], times[i]))) put(times[i - 1] + 1, []);
      put(row[0], row.slice(1));
    });
    return { x, y };
  }

  /**
   * The axis that these metrics and limits need between two instants, at multiples of five; null without any.
   * @param {Metric[]} metrics @param {number[]} limits @param {[number, number]} range
   * @returns {[number, number] | null}
   */
  fitted(metrics, limits, [from, to]) {
    const columns = metrics.map((metric) => this.metrics.indexOf(metric) + 1);
    const seen = [...limits];
    for (const row of this.points)
      if (row[0] >= from && row[0] <= to)
        for (const column of columns) if (row[column] !== null) seen.push(row[column]);
    if (!seen.length) return null;
    return [Math.floor((Math.min(...seen) - 1) / 5) * 5, Math.ceil((Math.max(...seen) + 1) / 5) * 5];
  }

  /** Stretches without any point, and the one that grows to now. @returns {[number, number][]} @param {number} now */
  gaps(now) {
    const times = [...this.points.map((row) => row[0]), now];
    return times.flatMap((at, i) => (i && this.broken(times[i - 1], at) ? [[times[i - 1], at]] : []));
  }

  /**
   * Of one metric within the window.
   * `newestAt` is the instant of the newest, `at` that of the highest.
   * @returns {{now: number, newestAt: number, mean: number, high: number, at: number} | null} @param {Metric} metric @param {number} now
   */
  summary(metric, now) {
    const column = this.metrics.indexOf(metric) + 1;
    const known = this.points.flatMap((row) => {
      const value = row[column] ?? null;
      return row[0] >= now - WINDOW_MS && value !== null ? [{ at: row[0], value }] : [];
    });
    if (!known.length) return null;
    const top = known.reduce((best, each) => (each.value > best.value ? each : best));
    const mean = known.reduce((sum, each) => sum + each.value, 0) / known.length;
    const newest = known[known.length - 1];
    return { now: newest.value, newestAt: newest.at, mean, high: top.value, at: top.at };
  }
}
