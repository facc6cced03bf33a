// The job cards of a page: adopts those the hub made, adds what begins, moves along what ends, and misses nothing that
// happened while the page was away.

import { all } from "./dom.js";
import { JobCard } from "./job_card.js";
import { follows, OPEN } from "./job_words.js";
import { who } from "./machine_head.js";

const MOST = 100;

/** A command as REST tells it, with times as the feed tells them. @param {Free} job @returns {Job} */
export function fromRest(job) {
  const read = Object.fromEntries(
    Object.entries(job).map(([name, value]) => [
      name,
      name.endsWith("_at") && value !== null ? Date.parse(value) : value,
    ]),
  );
  return /** @type {Job} */ (/** @type {unknown} */ (read));
}

export class JobBoard {
  /**
   * @param {import("./feed.js").Feed} feed
   * @param {{root: Part, wants: (job: Job, machine: Machine | undefined) => boolean, place: (card: JobCard, isNew: boolean) => void, ended?: (card: JobCard) => void}} page
   */
  constructor(feed, page) {
    this.feed = feed;
    this.page = page;
    /** @type {Map<string, JobCard>} */
    this.cards = new Map();
    this.names = JSON.parse(document.body.dataset.names ?? "{}");
    for (const node of all("[data-job]", page.root)) {
      const open = OPEN.includes(node.dataset.state);
      this.cards.set(
        node.dataset.job,
        new JobCard(
          /** @type {Job} */ ({
            id: node.dataset.job,
            rvm_id: 0,
            state: node.dataset.state,
            finished_at: open ? null : 0,
          }),
          node,
        ),
      );
    }
  }

  /** A command moved. @param {Job} job */
  heard(job) {
    const machine = this.feed.fleet.machines.get(job.rvm_id);
    const known = this.cards.get(job.id);
    if (known && !follows(known.job, job)) return;
    const isNew = !known;
    if (isNew && (!this.page.wants(job, machine) || this.cards.size > MOST)) return;
    const card = known ?? new JobCard(job);
    this.cards.set(job.id, card);
    const wasOpen = isNew || card.job.finished_at === null;
    this.draw(card, job);
    if (isNew || job.finished_at !== null) this.page.place(card, isNew);
    if (wasOpen && job.finished_at !== null) this.page.ended?.(card);
  }

  /** @param {JobCard} card @param {Job} job */
  draw(card, job) {
    const machine = this.feed.fleet.machines.get(job.rvm_id);
    const zone = machine?.timezone || document.body.dataset.zone || "UTC";
    card.patch(job, machine, { who: who(job.issued_by, this.names), zone, now: this.feed.clock.now() });
  }

  /**
   * Machines changed: what is said of their jobs may differ. `whole`: it is a full picture, so nothing else is open.
   * @param {number[]} ids @param {boolean} whole
   */
  changed(ids, whole) {
    const touched = new Set(ids);
    const open = new Set();
    for (const id of ids) {
      for (const job of this.feed.fleet.machines.get(id)?.pending ?? []) {
        open.add(job.id);
        if (whole) this.heard(job);
      }
    }
    for (const card of this.cards.values()) {
      if (card.job.finished_at !== null) continue;
      if (whole && !open.has(card.job.id)) this.missed(card);
      else if (touched.has(card.job.rvm_id)) this.draw(card, card.job);
    }
  }

  /** It ended while nobody told this page. @param {JobCard} card */
  async missed(card) {
    try {
      const answer = await fetch(`/api/v2/commands/${card.job.id}`, { credentials: "same-origin" });
      if (answer.ok) this.heard(fromRest((await answer.json()).data));
    } catch {
      // The next full picture asks again.
    }
  }
}
