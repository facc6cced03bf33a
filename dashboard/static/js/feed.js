// The page's end of the feed: keeps the fleet and the hub's clock true, watches while the page is seen, and notifies the view.

import { bring } from "./dom.js";
import { emptyFleet, merge } from "./fleet_store.js";
import { HubClock } from "./hub_clock.js";
import { whenBack } from "./link_watch.js";
import { Socket } from "./socket.js";

const LEASE_MS = 15000;
const QUIET_MS = 5000;

/**
 * `watch`: the machine whose every second is wanted.
 * @typedef {object} View what a page may want to know
 * @property {(ids: number[], removed: number[], whole: boolean) => void} [changed]
 * @property {(event: Happened) => void} [event]
 * @property {(frame: Frame) => void} [news] every frame, after it was taken in
 * @property {(state: string) => void} [link]
 * @property {(name: string) => void} [version]
 */
export class Feed {
  /** @param {{machine: number | null, rate: number} | null} watch @param {View} view @param {World} [world] */
  constructor(watch, view, world = {}) {
    this.watch = watch;
    this.view = view;
    this.fleet = emptyFleet();
    this.clock = world.clock ?? new HubClock(Number(document.body.dataset.now));
    this.paused = false;
    this.hidden = false;
    this.leases = false;
    const url =
      world.url ?? `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${document.body.dataset.feed}`;
    this.socket = new Socket(
      url,
      {
        state: (state) => view.link?.(state),
        frame: (frame) => this.frame(frame),
        opened: () => this.opened(),
      },
      world,
    );
  }

  /** Nothing came for three intervals, or for five seconds: what the page shows may be of the past. */
  get silent() {
    const { watch, state } = this.socket;
    const most = this.watch ? Math.min(QUIET_MS, 3000 * this.watch.rate) : QUIET_MS;
    return state === "lost" || watch.doubt || (!this.hidden && watch.silence() >= most);
  }

  start() {
    document.body.feed = this;
    this.socket.start();
    setInterval(() => this.renew(), LEASE_MS);
    whenBack((surely) => {
      this.socket.retry(surely);
      if (surely) this.view.link?.(this.socket.state);
    });
    document.addEventListener("visibilitychange", () => this.quiet(document.hidden));
  }

  opened() {
    // A new connection knows nothing of what this page had asked for on the old one.
    if (this.paused || this.hidden) this.socket.send({ type: "pause" });
    this.renew();
  }

  renew() {
    if (this.watch && !this.hidden && !this.paused) this.socket.send({ type: "watch", ...this.watch });
  }

  /** The tab is hidden: state changes only, and no machine works for it. @param {boolean} hidden */
  quiet(hidden) {
    this.hidden = this.socket.watch.hidden = hidden;
    this.settle();
  }

  /** The person asked for stillness. @param {boolean} paused */
  pause(paused) {
    this.paused = paused;
    this.settle();
  }

  settle() {
    const still = this.hidden || this.paused;
    this.socket.send({ type: still ? "pause" : "resume" });
    if (still) this.socket.send({ type: "unwatch" });
    else this.renew();
  }

  /** @param {Frame} frame */
  frame(frame) {
    if (frame.type === "hello") {
      this.clock.sync(frame.hub_time);
      this.view.version?.(frame.version);
    } else if (frame.type === "pong") {
      this.clock.sync(frame.hub_time);
      this.view.link?.(this.socket.state);
    } else if (frame.type === "event") this.view.event?.(frame);
    else if (frame.type === "snapshot" || frame.type === "delta") this.merge(frame);
    this.view.news?.(frame);
  }

  /** @param {Frame & { type: "snapshot" | "delta" }} frame */
  merge(frame) {
    const at = frame.type === "snapshot" ? frame.hub_time : frame.t;
    if (at) this.clock.sync(at);
    const result = merge(this.fleet, frame);
    this.fleet = result.fleet;
    // Few hours see a lease: what draws it comes with the first one.
    if (!this.leases && (frame.type === "snapshot" ? frame.machines : frame.m)?.some((m) => m.lease)) {
      this.leases = true;
      bring(document.body.dataset.lease);
    }
    if (result.ask) this.socket.send({ type: "snapshot" });
    if (result.whole || result.changed.length || result.removed.length)
      this.view.changed?.(result.changed, result.removed, result.whole);
  }
}
