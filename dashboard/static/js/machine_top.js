// What every tab of a machine has beside its own: head, jobs, actions and their key.

import { Announcer } from "./announcer.js";
import { countJobs } from "./counts.js";
import { find, setText } from "./dom.js";
import { leave } from "./frame.js";
import { countDown, Jobs } from "./jobs.js";
import { livePage } from "./live_page.js";
import { MachineActions } from "./machine_actions.js";
import { MachineHead } from "./machine_head.js";

/**
 * What a tab has of its own. `watch`: every second of the machine is wanted; `draw`: the machine as the hub reports it now;
 * `tick`: what grows or fades by itself.
 * @typedef {object} Own
 * @property {boolean} [watch]
 * @property {(m: Machine, now: number) => void} [draw]
 * @property {(m: Machine, now: number) => void} [tick]
 * @property {(whole: boolean) => void} [changed]
 * @property {import("./live_page.js").Own["event"]} [event]
 * @property {import("./live_page.js").Own["drawn"]} [drawn]
 * @property {import("./live_page.js").Own["allows"]} [allows]
 * @property {import("./live_page.js").Own["linked"]} [linked]
 * @property {import("./live_page.js").Own["keys"]} [keys]
 */

/** A page of one machine; or of all of them, by the same script: `id` 0, without a head. @param {Own} own */
export function machinePage(own) {
  const id = Number(document.body.dataset.id ?? 0);
  const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));
  const { feed, parts } = livePage({
    watch: own.watch ? { machine: id, rate: 1 } : null,
    /** @param {number[]} ids @param {number[]} removed @param {boolean} whole */
    changed(ids, removed, whole) {
      if (removed.includes(id)) return leave();
      countJobs(feed);
      own.changed?.(whole);
      if (ids.includes(id) && !feed.paused) requestAnimationFrame(draw);
      return undefined;
    },
    event: own.event,
    drawn(part) {
      if (part.id === "machine-jobs") top?.jobs.drawn();
      own.drawn?.(part);
    },
    allows: own.allows,
    linked: own.linked,
    keys: { ".": () => top?.actions.toggle(), ...own.keys },
  });
  const top = id ? { head: new MachineHead(spoken), jobs: new Jobs(spoken), actions: new MachineActions(id) } : null;

  function draw() {
    const m = feed.fleet.machines.get(id);
    if (!m) return;
    const now = feed.clock.now();
    top?.head.patch(m, now);
    top?.actions.patch(m);
    own.draw?.(m, now);
  }

  setInterval(() => {
    const m = feed.fleet.machines.get(id);
    if (!m || document.hidden || feed.paused) return;
    const now = feed.clock.now();
    top?.head.tick(m, now);
    countDown(now);
    own.tick?.(m, now);
  }, 1000);
  return { id, feed, parts, spoken };
}
