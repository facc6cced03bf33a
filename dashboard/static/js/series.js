// The points a chart draws: bounded, ordered, with holes where nothing was measured. Pure.

export const WINDOW_MS = 600000;
const MOST = 720;
const NEAR_MS = 5000;
const KEPT_MS = 300000;

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
   * Whether nothing came between two neighbours when something should have: measured by how close the points beside them
   * stand, because a machine is heard once a second while somebody watches and every few minutes otherwise.
   */
  broken(i, times) {
    const beside = [times[i - 1] - times[i - 2], times[i + 1] - times[i]].filter((distance) => distance > 0);
    const usual = beside.length ? Math.max(...beside) : KEPT_MS;
    return times[i] - times[i - 1] > Math.min(1.5 * KEPT_MS, Math.max(NEAR_MS, 2.5 * usual));
  }

  /**
   * Columns for Plotly, with a null in every gap so that no line crosses it.
   * @returns {{x: Date[], y: (number | null)[][]}}
   */
  columns() {
    const x = [];
    const y = this.metrics.map(() => []);
    const times = this.points.map((row) => row[0]);
    const put = (at, values) => {
      x.push(new Date(at));
      y.forEach((column, i) => column.push(values[i] ?? null));
    };
    this.points.forEach((row, i) => {
      if (i && this.broken(i, times)) put(times[i - 1] + 1, []);
      put(row[0], row.slice(1));
    });
    return { x, y };
  }

  /** Stretches without any point, and the one that grows to now. @returns {[number, number][]} */
  gaps(now) {
    const times = [...this.points.map((row) => row[0]), now];
    return times.flatMap((at, i) => (i && this.broken(i, times) ? [[times[i - 1], at]] : []));
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
