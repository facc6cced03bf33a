// What every tab of a machine has above its own: head, jobs and actions; and the parts of the tab that the hub draws.

import { countJobs } from "./counts.js";
import { Feed } from "./feed.js";
import { countDown, Jobs } from "./jobs.js";
import { LinkState } from "./link_state.js";
import { MachineActions } from "./machine_actions.js";
import { MachineHead } from "./machine_head.js";
import { Parts } from "./parts.js";

/**
 * The feed of a page of one machine, and its state: `parts` and `draw` hear what is new; who watches a machine that is
 * removed goes to all of them.
 * @param {ConstructorParameters<typeof Feed>[0]} wanted @param {number} id @param {() => Parts} parts
 * @param {() => void} draw
 */
export function machineFeed(wanted, id, parts, draw) {
  const feed = new Feed(wanted, {
    /** @param {number[]} ids @param {number[]} removed */
    changed(ids, removed) {
      if (removed.includes(id)) return location.assign(`${BASE_PATH}/`);
      countJobs(feed);
      if (ids.includes(id) && !feed.paused) requestAnimationFrame(draw);
      return undefined;
    },
    news: (frame) => parts().receive(frame),
    link: (state) => link.set(state),
    version: (name) => link.version(name),
  });
  const link = new LinkState(feed);
  return { feed, link };
}

export class MachineTop {
  /**
   * @param {number} id @param {import("./feed.js").Feed} feed @param {import("./announcer.js").Announcer} spoken
   * @param {(part: Part) => void} drawn @param {(part: Part, fresh: Part) => unknown} [allows]
   */
  constructor(id, feed, spoken, drawn, allows) {
    this.head = new MachineHead(spoken);
    this.jobs = new Jobs(spoken);
    this.actions = new MachineActions(id);
    this.parts = new Parts(
      feed,
      (part) => {
        if (part.id === "machine-jobs") this.jobs.drawn();
        drawn(part);
      },
      { allows },
    );
  }

  /** The machine as the hub reports it now. @param {Machine} m @param {number} now */
  patch(m, now) {
    this.head.patch(m, now);
    this.actions.patch(m);
  }

  /** What grows or fades by itself. @param {Machine} m @param {number} now */
  tick(m, now) {
    this.head.tick(m, now);
    countDown(now);
    this.parts.tick(now);
  }
}
