// What every tab of a machine has above its own: head, jobs and actions, told together.

import { MachineActions } from "./machine_actions.js";
import { MachineHead } from "./machine_head.js";
import { MachineJobs } from "./machine_jobs.js";

export class MachineTop {
  /** @param {number} id @param {import("./feed.js").Feed} feed @param {import("./announcer.js").Announcer} spoken */
  constructor(id, feed, spoken) {
    this.id = id;
    this.head = new MachineHead(spoken);
    this.jobs = new MachineJobs(id, feed, spoken);
    this.actions = new MachineActions(id);
  }

  /** Machines changed; `whole`: it is a full picture. @param {number[]} ids @param {boolean} whole */
  changed(ids, whole) {
    if (ids.includes(this.id)) this.jobs.changed([this.id], whole);
  }

  /** A command of any machine moved. @param {Job} job */
  heard(job) {
    this.jobs.heard(job);
  }

  /** The machine as the hub tells it now. @param {Machine} m @param {number} now */
  patch(m, now) {
    this.head.patch(m, now);
    this.actions.patch(m);
  }

  /** What grows or fades by itself. @param {Machine} m @param {number} now */
  tick(m, now) {
    this.head.tick(m, now);
    this.jobs.tick();
  }
}
