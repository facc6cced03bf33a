// The small line beside a number, read from its SVG path and drawn on: the browser's half of dashboard/sparkline.py.

export const STEP_MS = 300000;
export const STEPS = 48;
const HEIGHT = 16;

/** @param {number} now */
const baseOf = (now) => Math.floor(now / STEP_MS) - STEPS + 1;

/** The points of a drawn path as [steps from the left, height]. @param {string} path @returns {[number, number][]} */
export function pointsOf(path) {
  let x = 0;
  let y = 0;
  return [...path.matchAll(/([Ml])(\d+) (-?\d+)/g)].map(([, how, right, down]) => {
    x = how === "M" ? Number(right) : x + Number(right);
    y = how === "M" ? Number(down) : y + Number(down);
    return [x, y];
  });
}

/** `gap`: so many steps apart two points are joined. @param {[number, number][]} points */
export function pathOf(points, gap = 2) {
  let [left, high] = [-Infinity, 0];
  let path = "";
  for (const [x, y] of points) {
    path += x - left > gap ? `M${x} ${y}h0` : `l${x - left} ${y - high}`;
    [left, high] = [x, y];
  }
  return path;
}

/** One sparkline that goes on: it keeps grid points by their step since the epoch, so that time moves them left. */
export class Sparkline {
  /**
   * @param {string} path as the hub drew it at `now` (epoch ms) @param {number} top the value at full height @param {number} now
   * @param {number} [gap] so many steps apart two points are joined
   */
  constructor(path, now, top = 100, gap = 2) {
    this.top = top;
    this.gap = gap;
    const base = baseOf(now);
    this.points = new Map(pointsOf(path).map(([x, y]) => [base + x, y]));
  }

  /** @param {number} at @param {number | null | undefined} value */
  add(at, value) {
    if (value === null || value === undefined) return;
    const step = Math.floor(at / STEP_MS);
    // Later ones are of a clock that was ahead and has been set back.
    for (const later of this.points.keys()) if (later > step) this.points.delete(later);
    const share = Math.min(1, Math.max(0, value / this.top));
    this.points.set(step, HEIGHT - Math.round(share * HEIGHT));
  }

  /** @param {number} now */
  path(now) {
    const base = baseOf(now);
    for (const step of this.points.keys()) if (step < base) this.points.delete(step);
    const grid = [...this.points]
      .map(([step, y]) => /** @type {[number, number]} */ ([step - base, y]))
      .filter(([x]) => x < STEPS);
    return pathOf(
      grid.sort((a, b) => a[0] - b[0]),
      this.gap,
    );
  }
}
