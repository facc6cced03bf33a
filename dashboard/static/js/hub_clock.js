// What time it is on the hub. The browser's own clock is never asked: only how much time has passed since the hub last
// given its own, which stays right when somebody sets the clock of this computer.

export class HubClock {
  /** @param {number} hubMs hub epoch ms when the page was made @param {() => number} [passed] monotonic milliseconds */
  constructor(hubMs, passed = () => performance.now()) {
    this.passed = passed;
    this.hub = hubMs;
    this.at = passed();
  }

  /** @param {number} hubMs */
  sync(hubMs) {
    this.hub = hubMs;
    this.at = this.passed();
  }

  now() {
    return this.hub + this.passed() - this.at;
  }
}
