// Parts of a page that the hub draws, fetched again when the feed reports that they are stale. What they show is the hub's;
// this only knows what makes them stale:
//   data-part  the address they come from      data-of    the machine they show; without it, all
//   data-on    members of a machine, "job", "event:<kind>": what makes them stale at once
//   data-until when they are stale by themselves, in epoch milliseconds
//   data-always also while nobody looks: it is seen from outside
//   data-still nothing in them moves under the pointer, for a moment
// The values in them (data-worth) are drawn from the feed; other codes than before make them stale (trouble.js).

import { delay } from "./backoff.js";
import { entitle } from "./counts.js";
import { all, find } from "./dom.js";
import { morph } from "./morph.js";
import { codes, drawValues } from "./trouble.js";

/** News of one moment are one fetch, and a room full of browsers does not ask in step. */
const SPREAD_MS = 150;
/** What a page shows first is not waited for. */
const WHOLE_LEAST_MS = 300;
const WHOLE_SPREAD_MS = 500;
const ALWAYS_REST_MS = 3000;
const REST_MS = 700;
/** How long what changed in a part waits for a pointer that rests there. */
const HELD_MS = 2000;
const UNTIL_REST_MS = 1500;
/** A network that died without a word answers nothing, and nothing else is asked meanwhile. */
const ANSWER_MS = 8000;

/** @typedef {{id: string, address: string, of: number, on: string[], until: number, always: boolean}} Stated */

/** @param {Part} node @returns {Stated} */
function stated(node) {
  const { part, of, on, until, always } = node.dataset;
  return {
    id: node.id,
    address: part,
    of: Number(of ?? 0),
    on: on ? on.split(" ") : [],
    until: Number(until || 0),
    always: always !== undefined,
  };
}

export class Parts {
  /**
   * @param {Pick<import("./feed.js").Feed, "paused" | "hidden" | "fleet">} feed @param {(part: Part) => void} [drawn]
   * @param {Partial<{allows: (part: Part, fresh: Part) => unknown, list: () => Stated[], get: (address: string, etag: string, late: AbortSignal) => Promise<Response>, put: (html: string, ids: string[]) => string[], values: () => void, later: (act: () => void, ms: number) => Timer, now: () => number, random: () => number}>} [world]
   */
  constructor(feed, drawn = () => {}, world = {}) {
    this.feed = feed;
    this.list = world.list ?? (() => all("[data-part]").map(stated));
    this.get = world.get ?? get;
    this.put =
      world.put ?? ((html, ids) => put(html, ids, drawn, world.allows ?? (() => true), (id) => this.need(id, 0)));
    this.values = world.values ?? (() => drawValues(feed.fleet.machines));
    this.later = world.later ?? ((act, ms) => setTimeout(act, ms));
    this.now = world.now ?? (() => performance.now());
    this.random = world.random ?? Math.random;
    /** When which part is to be fetched. @type {Map<string, number>} */
    this.due = new Map();
    /** @type {Map<string, number>} */
    this.last = new Map();
    /** What was asked for last, and the mark of what came. */
    this.newest = { full: "", etag: "" };
    /** Of what is wrong with a machine, by the machine and what it is judged by. @type {Map<string, string>} */
    this.codes = new Map();
    this.armed = Number.POSITIVE_INFINITY;
    this.busy = false;
    this.failed = 0;
  }

  /** A frame of the feed, after it was taken in. @param {Frame} frame */
  receive(frame) {
    if (frame.type === "job") {
      moved(frame);
      this.changed(frame.rvm_id, ["job"]);
    } else if (frame.type === "event") this.changed(frame.rvm_id, [`event:${frame.code.split(".")[0]}`]);
    else if (frame.type === "snapshot") {
      for (const m of frame.machines) this.judged(m);
      for (const { id } of this.list()) this.need(id, 0, WHOLE_SPREAD_MS, WHOLE_LEAST_MS);
    } else if (frame.type === "delta") {
      const parts = this.list();
      for (const m of frame.m) this.changed(m.id, [...Object.keys(m), ...(this.judged(m) ? ["codes"] : [])], parts);
      for (const id of frame.removed ?? []) this.changed(id, ["removed"], parts);
      if (!this.feed.paused && !this.feed.hidden) this.values();
    }
  }

  /** Whether other codes than before. @param {{id: number} & Partial<Machine>} m */
  judged(m) {
    let other = false;
    for (const [name, code] of codes(m)) {
      const key = `${m.id} ${name}`;
      if ((this.codes.get(key) ?? "") !== code) other = true;
      this.codes.set(key, code);
    }
    return other;
  }

  /** @param {number | null} rvm @param {string[]} names @param {Stated[]} parts */
  changed(rvm, names, parts = this.list()) {
    for (const part of parts) {
      if (part.of && part.of !== rvm) continue;
      if (part.on.some((name) => names.includes(name)))
        this.need(part.id, part.always && this.feed.hidden ? ALWAYS_REST_MS : REST_MS);
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
    for (const { id, until } of this.list()) if (until && until <= now) this.need(id, UNTIL_REST_MS);
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
    const late = new AbortController();
    this.later(() => late.abort(), ANSWER_MS);
    try {
      const answer = await this.get(full, this.newest.full === full ? this.newest.etag : "", late.signal);
      if (answer.status === 429 || answer.status >= 500) throw new Error(String(answer.status));
      this.failed = 0;
      if (!answer.ok) return 0;
      const held = this.put(await answer.text(), ids);
      this.values();
      this.newest = { full: held.length ? "" : full, etag: answer.headers.get("etag") ?? "" };
      for (const id of held) this.need(id, HELD_MS);
      return 0;
    } catch {
      this.failed += 1;
      return delay(this.failed, this.random);
    }
  }
}

/** The bar of a job goes on at once; its words are the hub's. @param {Job} job */
function moved({ id, progress }) {
  if (!progress?.total) return;
  for (const bar of all(`[data-job="${id}"] progress`)) {
    bar.max = progress.total;
    bar.value = progress.done ?? 0;
  }
}

/** @param {string} address @param {string} etag @param {AbortSignal} signal */
function get(address, etag, signal) {
  /** @type {Record<string, string>} */
  const headers = etag ? { "If-None-Match": etag } : {};
  // To the sign-in page leads the page's own link, when its socket is refused as well.
  return fetch(address, { redirect: "manual", headers, signal });
}

/** Since when news wait for the pointer, by the part. @type {Map<string, number>} */
const waiting = new Map();

/**
 * Put parts in their places; those that could not be done whole, for the pointer is there.
 * @param {string} html @param {string[]} ids @param {(part: Part) => void} drawn
 * @param {(part: Part, fresh: Part) => unknown} allows @param {(id: string) => void} left the pointer is gone
 */
function put(html, ids, drawn, allows, left) {
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
    const near = place ? [place, place.nextElementSibling, place.previousElementSibling] : [];
    const now = performance.now();
    const since = waiting.get(id) ?? now;
    const still = old.dataset.still !== undefined && old.matches(":hover") && now - since < HELD_MS - 500;
    if (morph(old, next, still)) waiting.delete(id);
    else {
      held.push(id);
      waiting.set(id, since);
      old.addEventListener("pointerleave", () => left(id), { once: true });
    }
    if (focused && (!visible(focused) || focused.closest("[inert]"))) refocus([...near, old]);
    drawn(old);
    if (id === "alarms") entitle();
  }
  return held;
}

/** @param {Part} node */
const visible = (node) => node.offsetParent && !node.closest("details:not([open]) > :not(summary)");

/** Where somebody is led whose button has gone: to what it belonged to, or what stood beside that. @param {(Part | null)[]} near */
function refocus(near) {
  for (const node of near) {
    if (!node?.isConnected || node.inert) continue;
    const to = all("a, button:enabled, summary, [tabindex]", node).find(visible);
    if (to) return to.focus({ preventScroll: true });
  }
  return find("main a, main button")?.focus({ preventScroll: true });
}
