// The points a chart draws: bounded, ordered, with holes where nothing was measured. Pure.

export const WINDOW_MS = 600000;
const MOST = 720;

export class Series {
  /** @param {string[]} metrics */
  constructor(metrics) {
    this.metrics = metrics;
    this.points = [];
  }

  /** Put history in front of what came meanwhile. @param {[number, ...(number | null)[]][]} rows time first */
  load(rows) {
    const first = this.points[0]?.[0] ?? Infinity;
    this.points = [...rows.filter((row) => row[0] < first), ...this.points];
  }

  /** @param {any} readings the newest ones; the same or an older time says nothing new */
  add(readings) {
    const at = readings?.taken_at;
    if (!at || at <= (this.points.at(-1)?.[0] ?? 0)) return false;
    this.points.push([at, ...this.metrics.map((metric) => readings[metric] ?? null)]);
    return true;
  }

  trim(now) {
    let from = this.points.findIndex((row) => row[0] >= now - 3 * WINDOW_MS);
    if (from < 0) from = this.points.length;
    this.points = this.points.slice(Math.max(from, this.points.length - 3 * MOST));
  }

  /**
   * Columns for Plotly: where two points are further apart than `gap` ms, a null between them breaks every line.
   * @returns {{x: Date[], y: (number | null)[][]}}
   */
  columns(gap) {
    const x = [];
    const y = this.metrics.map(() => []);
    const put = (at, values) => {
      x.push(new Date(at));
      y.forEach((column, i) => column.push(values[i] ?? null));
    };
    this.points.forEach((row, i) => {
      const last = this.points[i - 1];
      if (last && row[0] - last[0] > gap) put(last[0] + 1, []);
      put(row[0], row.slice(1));
    });
    return { x, y };
  }

  /** Stretches without any point, and the one that grows to now. @returns {[number, number][]} */
  gaps(gap, now) {
    const found = [];
    const points = [...this.points.map((row) => row[0]), now];
    for (let i = 1; i < points.length; i += 1) if (points[i] - points[i - 1] > gap) found.push([points[i - 1], points[i]]);
    return found;
  }

  /** Of one metric within the window. @returns {{now: number, mean: number, high: number, at: number} | null} */
  summary(metric, now) {
    const column = this.metrics.indexOf(metric) + 1;
    const known = this.points.filter((row) => row[0] >= now - WINDOW_MS && row[column] !== null && row[column] !== undefined);
    if (!known.length) return null;
    const top = known.reduce((best, row) => (row[column] > best[column] ? row : best));
    const mean = known.reduce((sum, row) => sum + row[column], 0) / known.length;
    return { now: known.at(-1)[column], mean, high: top[column], at: top[0] };
  }
}
