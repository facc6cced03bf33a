// How long to wait before the next try: 0.5, 1, 2, 4, 8, 15 s, each shortened by chance so that a room full of browsers
// does not come back in step.

const FIRST_MS = 500;
const MOST_MS = 15000;
/** A connection that did not last so long was none: what ends it at once would end the next one, too. */
const STEADY_MS = 10000;

/** @param {number} attempt 0 for the first try after a loss @param {() => number} [random] @returns {number} ms */
export function delay(attempt, random = Math.random) {
  const most = Math.min(FIRST_MS * 2 ** attempt, MOST_MS);
  return most / 2 + (most / 2) * random();
}

export class Backoff {
  /** @param {World} world */
  constructor(world) {
    this.random = world.random ?? Math.random;
    this.now = world.now ?? (() => performance.now());
    this.attempt = 0;
    /** @type {number | null} */
    this.since = null;
  }

  connected() {
    this.since = this.now();
  }

  /** The connection is lost, or could not be made: ms until the next try. */
  next() {
    if (this.since !== null && this.now() - this.since >= STEADY_MS) this.attempt = 0;
    this.since = null;
    this.attempt += 1;
    return delay(this.attempt - 1, this.random);
  }
}
