// What happened since the page was made: reported by the feed, fetched in words, counted, and shown when it is asked for.
// Nothing moves under the eye of whoever reads.

import { fresh, linesAt } from "./event_list.js";

const REST_MS = 1000;

/**
 * Whether an event may be one that the page's filters let through; the hub decides for sure.
 * @param {Pick<Happened, "rvm_id" | "code" | "actor">} event @param {Record<string, string>} asked @param {string} [rvm]
 */
export function mayMatch(event, asked, rvm) {
  if (rvm !== undefined && event.rvm_id !== Number(rvm)) return false;
  if (asked.kind && !asked.kind.split(",").includes(event.code.split(".")[0])) return false;
  if (!asked.actor) return true;
  return event.actor === asked.actor || event.actor.startsWith(`${asked.actor}:`);
}

/** The address of the lines that the page's filters let through. @param {Record<string, string>} asked @param {string} [rvm] @param {Record<string, string | number>} [more] */
export function linesAddress(asked, rvm, more = {}) {
  const query = new URLSearchParams(
    /** @type {Record<string, string>} */ ({ ...asked, ...(rvm === undefined ? {} : { rvm }), ...more }),
  );
  return `${BASE_PATH}/events/lines?${query}`;
}

export class EventNews {
  /**
   * @param {Pick<import("./event_list.js").EventList, "known" | "last" | "put">} list @param {{asked: Record<string, string>, rvm?: string}} page
   * @param {(count: number, whole: boolean) => void} report how many wait; `whole` false: there are more than were fetched
   * @param {{get?: typeof linesAt, later?: (act: () => void, ms: number) => void}} [world]
   */
  constructor(list, page, report, world = {}) {
    this.list = list;
    this.page = page;
    this.report = report;
    this.get = world.get ?? linesAt;
    this.later = world.later ?? ((fn, ms) => setTimeout(fn, ms));
    /** @type {EventLine[]} */
    this.waiting = [];
    this.whole = true;
    this.busy = false;
    this.again = false;
  }

  /** An event came by the feed. @param {Happened} event */
  receive(event) {
    if (mayMatch(event, this.page.asked, this.page.rvm)) this.look();
  }

  /** Ask the hub, at most once a second. */
  async look() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    this.again = false;
    try {
      this.take(await this.get(linesAddress(this.page.asked, this.page.rvm)));
    } catch {
      // The hub is away: the page says so, and asks again when it is back.
    }
    this.later(() => {
      this.busy = false;
      if (this.again) this.look();
    }, REST_MS);
  }

  /** @param {Pick<import("./event_list.js").Lines, "lines" | "onward">} page */
  take(page) {
    this.waiting = fresh(page.lines, this.list.known, this.list.last);
    this.whole = this.waiting.length < page.lines.length || page.onward === null;
    this.report(this.waiting.length, this.whole);
  }

  /** Put in what waits. False: there is more than that, the page has to be loaded anew. */
  show() {
    if (!this.whole) return false;
    this.list.put(this.waiting, "fresh");
    this.waiting = [];
    this.report(0, true);
    return true;
  }
}
