// What time it is on the hub. The browser is only asked how much time has passed since the hub last sent its own, a moment
// ago: by the longer of two clocks, since one stands still while the computer sleeps.

export class HubClock {
  /** @param {number} hubMs hub epoch ms when the page was made @param {() => number} [passed] monotonic milliseconds */
  constructor(hubMs, passed = () => performance.now()) {
    this.passed = passed;
    this.hub = hubMs;
    this.at = passed();
    this.wall = Date.now();
  }

  /** @param {number} hubMs */
  sync(hubMs) {
    this.hub = hubMs;
    this.at = this.passed();
    this.wall = Date.now();
  }

  now() {
    return this.hub + Math.max(this.passed() - this.at, Date.now() - this.wall);
  }
}
