// How long to wait before the next try: 0.5, 1, 2, 4, 8, 15 s, each shortened by chance so that a room full of browsers
// does not come back in step.

const STEPS = [500, 1000, 2000, 4000, 8000, 15000];

/** @param {number} attempt 0 for the first try after a loss @param {() => number} [random] @returns {number} ms */
export function delay(attempt, random = Math.random) {
  const most = STEPS[Math.min(attempt, STEPS.length - 1)];
  return most / 2 + (most / 2) * random();
}
