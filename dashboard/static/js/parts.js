// Parts of a page that the hub draws, fetched again when the feed tells that they are stale. What they say is the hub's;
// this only knows what makes them stale:
//   data-part  the address they come from      data-of    the machine they tell of; without it, all
//   data-on    members of a machine, "job", "event:<kind>": what makes them stale at once
//   data-slow  the same for what moves with each sample: they may wait for it
//   data-until when they are stale by themselves, in epoch milliseconds
//   data-always also while nobody looks: it is seen from outside
//   data-still nothing in them moves under the pointer or the focus

import { delay } from "./backoff.js";
import { entitle } from "./counts.js";
import { all, find } from "./dom.js";
import { morph } from "./morph.js";

/** News of one moment are one fetch, and a room full of browsers does not ask in step. */
const SPREAD_MS = 150;
/** What a page shows first is not waited for. */
const WHOLE_LEAST_MS = 300;
const WHOLE_SPREAD_MS = 500;
const ALWAYS_REST_MS = 3000;
const REST_MS = 700;
const SLOW_MS = 10000;
const HELD_MS = 1500;

/** @typedef {{id: string, address: string, of: number, on: string[], slow: string[], until: number, always: boolean}} Stated */

/** @param {Part} node @returns {Stated} */
function stated(node) {
  const { part, of, on, slow, until, always } = node.dataset;
  /** @param {string | undefined} names */
  const split = (names) => (names ? names.split(" ") : []);
  return {
    id: node.id,
    address: part,
    of: Number(of ?? 0),
    on: split(on),
    slow: split(slow),
    until: Number(until || 0),
    always: always !== undefined,
  };
}

export class Parts {
  /**
   * @param {Pick<import("./feed.js").Feed, "paused" | "hidden">} feed @param {(part: Part) => void} [drawn]
   * @param {Partial<{allows: (part: Part, fresh: Part) => unknown, list: () => Stated[], get: (address: string, etag: string) => Promise<Response>, put: (html: string, ids: string[]) => string[], later: (act: () => void, ms: number) => Timer, now: () => number, random: () => number}>} [world]
   */
  constructor(feed, drawn = () => {}, world = {}) {
    this.feed = feed;
    this.list = world.list ?? (() => all("[data-part]").map(stated));
    this.get = world.get ?? get;
    this.put = world.put ?? ((html, ids) => put(html, ids, drawn, world.allows ?? (() => true)));
    this.later = world.later ?? ((act, ms) => setTimeout(act, ms));
    this.now = world.now ?? (() => performance.now());
    this.random = world.random ?? Math.random;
    /** When which part is to be fetched. @type {Map<string, number>} */
    this.due = new Map();
    /** @type {Map<string, number>} */
    this.last = new Map();
    /** What was asked for last, and the mark of what came. */
    this.newest = { full: "", etag: "" };
    /** The codes of what is wrong with a machine, whatever the values. @type {Map<number, string>} */
    this.codes = new Map();
    this.armed = Number.POSITIVE_INFINITY;
    this.busy = false;
    this.failed = 0;
  }

  /** A frame of the feed, after it was taken in. @param {Frame} frame */
  heard(frame) {
    if (frame.type === "job") this.told(frame.rvm_id, ["job"]);
    else if (frame.type === "event") this.told(frame.rvm_id, [`event:${frame.code.split(".")[0]}`]);
    else if (frame.type === "snapshot") {
      for (const m of frame.machines) this.judged(m.id, m.health_reasons);
      for (const { id } of this.list()) this.need(id, 0, WHOLE_SPREAD_MS, WHOLE_LEAST_MS);
    } else if (frame.type === "delta") {
      for (const m of frame.m)
        this.told(m.id, [...Object.keys(m), ...(this.judged(m.id, m.health_reasons) ? ["codes"] : [])]);
      for (const id of frame.removed ?? []) this.told(id, ["removed"]);
    }
  }

  /** Whether other codes than before. @param {number} id @param {{code: string}[] | undefined} reasons */
  judged(id, reasons) {
    if (!reasons) return false;
    const codes = reasons.map(({ code }) => code).join();
    const other = (this.codes.get(id) ?? "") !== codes;
    this.codes.set(id, codes);
    return other;
  }

  /** @param {number | null} rvm @param {string[]} names */
  told(rvm, names) {
    for (const part of this.list()) {
      if (part.of && part.of !== rvm) continue;
      if (part.on.some((name) => names.includes(name))) this.need(part.id, part.always ? ALWAYS_REST_MS : REST_MS);
      else if (part.slow.some((name) => names.includes(name))) this.need(part.id, SLOW_MS);
    }
  }

  /** A part is stale. `rest`: how long after its last fetch it may come. @param {string} id */
  need(id, rest = REST_MS, spread = SPREAD_MS, least = 0) {
    const at = Math.max(
      this.now() + least + spread * this.random(),
      (this.last.get(id) ?? Number.NEGATIVE_INFINITY) + rest,
    );
    this.due.set(id, Math.min(at, this.due.get(id) ?? at));
    this.arm();
  }

  /** What is stale by the clock alone. @param {number} now the hub's */
  tick(now) {
    for (const { id, until } of this.list()) if (until && until <= now) this.need(id, HELD_MS);
  }

  arm() {
    const next = Math.min(...this.due.values());
    if (this.busy || next >= this.armed) return;
    this.armed = next;
    this.later(
      () => {
        if (this.armed !== next) return;
        this.armed = Number.POSITIVE_INFINITY;
        this.fetch();
      },
      Math.max(0, next - this.now()),
    );
  }

  /** Those that are due, one address at a time. Who does not look waits: coming back brings a whole picture. */
  async fetch() {
    if (this.busy || this.feed.paused) return;
    const now = this.now();
    const parts = this.list().filter(({ always }) => always || !this.feed.hidden);
    const due = parts.filter(({ id }) => (this.due.get(id) ?? Number.POSITIVE_INFINITY) <= now);
    // What waits at the same address comes along.
    const ids = parts.filter(({ id, address }) => this.due.has(id) && address === due[0]?.address).map(({ id }) => id);
    for (const id of this.due.keys()) if (!parts.some((part) => part.id === id)) this.due.delete(id);
    if (ids.length) {
      this.busy = true;
      for (const id of ids) {
        this.due.delete(id);
        this.last.set(id, now);
      }
      const wait = await this.bring(due[0].address, ids);
      if (wait) for (const id of ids) this.need(id, wait);
      this.busy = false;
    }
    this.arm();
  }

  /** How long until the same is to be asked again; 0 when all was done. @param {string} address @param {string[]} ids */
  async bring(address, ids) {
    const full = `${address}${address.includes("?") ? "&" : "?"}of=${ids.join("+")}`;
    try {
      const answer = await this.get(full, this.newest.full === full ? this.newest.etag : "");
      if (answer.status === 429 || answer.status >= 500) throw new Error(String(answer.status));
      this.failed = 0;
      if (!answer.ok) return 0;
      const held = this.put(await answer.text(), ids);
      this.newest = { full: held.length ? "" : full, etag: answer.headers.get("etag") ?? "" };
      for (const id of held) this.need(id, HELD_MS);
      return 0;
    } catch {
      this.failed += 1;
      return delay(this.failed, this.random);
    }
  }
}

/** @param {string} address @param {string} etag */
function get(address, etag) {
  /** @type {Record<string, string>} */
  const headers = etag ? { "If-None-Match": etag } : {};
  // To the sign-in page leads the page's own link, when its socket is refused as well.
  return fetch(address, { credentials: "same-origin", redirect: "manual", headers });
}

/**
 * Put parts in their places; those that could not be done whole, for somebody is using them.
 * @param {string} html @param {string[]} ids @param {(part: Part) => void} drawn
 * @param {(part: Part, fresh: Part) => unknown} allows
 */
function put(html, ids, drawn, allows) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  /** @type {ParentNode[]} */
  const roots = [fresh, ...all("template", fresh).map((node) => /** @type {any} */ (node.content))];
  for (const field of roots.flatMap((root) => all("input[name=csrf_token]", root)))
    field.setAttribute("value", document.body.dataset.csrf ?? "");
  const held = [];
  for (const id of ids) {
    const old = find(`[data-part]#${id}`);
    const next = find(`#${id}`, fresh);
    if (!old || !next || !allows(old, next)) continue;
    const focused = /** @type {Part | null} */ (old.contains(document.activeElement) ? document.activeElement : null);
    const place = focused?.closest("[data-key]");
    const still = old.dataset.still !== undefined && (old.matches(":hover") || focused !== null);
    if (!morph(old, next, still)) held.push(id);
    if (focused && !focused.offsetParent) refocus(old, place);
    drawn(old);
    if (id === "alarms") entitle();
  }
  return held;
}

/** Where somebody is led whose button has gone: to what it belonged to. @param {Part} part @param {Part | null | undefined} place */
function refocus(part, place) {
  const near = place && part.contains(place) ? place : part;
  (find("a, button, summary", near) ?? find("a, button, summary"))?.focus({ preventScroll: true });
}
