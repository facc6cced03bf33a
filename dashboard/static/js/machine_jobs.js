// The jobs of one machine on its own page: everything open, then what ended in the last minutes, as after a reload.

import { find, show } from "./dom.js";
import { JobBoard } from "./job_board.js";
import { what } from "./job_words.js";
import { t } from "./texts.js";

const RECENT_MS = 10 * 60000;

export class MachineJobs {
  /** @param {number} id @param {import("./feed.js").Feed} feed @param {import("./announcer.js").Announcer} spoken */
  constructor(id, feed, spoken) {
    this.id = id;
    this.feed = feed;
    this.spoken = spoken;
    this.section = find("#machine-jobs");
    this.list = find(".cards", this.section);
    this.board = new JobBoard(feed, {
      root: this.section,
      wants: (job) => job.rvm_id === id && (job.finished_at === null || feed.clock.now() - job.finished_at < RECENT_MS),
      place: (card, isNew) => this.place(card, isNew),
      ended: (card) => this.tell(card),
    });
  }

  /** @param {Job} job */
  heard(job) {
    if (job.rvm_id === this.id) this.board.heard(job);
  }

  /** @param {number[]} ids @param {boolean} whole */
  changed(ids, whole) {
    this.board.changed(ids, whole);
  }

  /** @param {import("./job_card.js").JobCard} card @param {boolean} isNew */
  place(card, isNew) {
    if (isNew) this.list.prepend(card.node);
    show(this.section, true);
  }

  /** @param {import("./job_card.js").JobCard} card */
  tell({ job, node }) {
    const name = this.feed.fleet.machines.get(this.id)?.name ?? "";
    this.spoken.add(t("said.job", { name, what: what(job), word: find("[data-job-word]", node).textContent }));
  }

  /** What is over for long leaves; nothing under the pointer or the focus moves. */
  tick() {
    const now = this.feed.clock.now();
    if (this.section.matches(":hover") || this.section.contains(document.activeElement)) return;
    for (const [id, { job, node }] of this.board.cards)
      if (job.finished_at && now - job.finished_at > RECENT_MS) {
        node.remove();
        this.board.cards.delete(id);
      }
    show(this.section, this.board.cards.size > 0);
  }
}
