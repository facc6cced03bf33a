// Zone and clock of a machine, kept true: the browser's half of dashboard/zone.py and hub/web/zone_card.py.

import { patch, sendCommand } from "./commands.js";
import { all, find, mark, setAttribute, setIcon, setText, show } from "./dom.js";
import { age, number, offset, zoneLabel } from "./format.js";
import { cardOf } from "./job_words.js";
import { language, said, t } from "./texts.js";
import { CLOCK_OFF_S } from "./trouble.js";

/** @type {Record<string, string>} */
const MARKS = {
  ok: "active",
  off: "warn",
  never: "unknown",
  unknown: "unknown",
  lookup_failed: "error",
  not_permitted: "error",
  failed: "error",
  clock: "warn",
};
/**
 * GET /timezone/status as JSON.
 * @typedef {object} Zone
 * @property {string | null} system_timezone @property {string | null} current_timezone
 * @property {string | null} pinned_timezone @property {string | null} guess @property {string | null} source
 * @property {string | null} city @property {string | null} country @property {boolean | null} in_step
 * @property {boolean | null} ntp @property {number | null} clock_offset_s @property {string | null} last_sync
 * @property {string} sync_method @property {Record<string, number>} counts @property {string[]} restart
 * @property {{code: string, message?: string, timezone?: string} | null} error
 */

const QUIET = ["ok", "clock"];
const OWN_WORDS = ["lookup_failed", "not_permitted"];
const LEFT = ["sent", "accepted", "running"];

/** never, lookup_failed, not_permitted, failed, off, unknown, clock (the right zone, but a wrong clock all the same) or ok. @param {Zone} view */
export function stateOf(view) {
  if (view.last_sync === null && view.system_timezone === null) return "never";
  if (view.error) return OWN_WORDS.includes(view.error.code) ? view.error.code : "failed";
  if (view.in_step === null) return "unknown";
  if (!view.in_step) return "off";
  return Math.abs(view.clock_offset_s ?? 0) > CLOCK_OFF_S ? "clock" : "ok";
}

/** The zone the machine should be in. @param {Zone} view */
export function wantedOf(view) {
  return view.pinned_timezone ?? view.error?.timezone ?? view.current_timezone;
}

/** How many of sent, applied, verified a sync_timezone has behind it. @param {Job} job */
export function reached(job) {
  if (job.state === "succeeded") return 3;
  if (!LEFT.includes(job.state)) return 0;
  return job.progress?.phase === "verifying" ? 2 : 1;
}

export class ZoneCard {
  /** @param {import("./feed.js").Feed} feed @param {number} id @param {string} zone */
  constructor(id, feed, zone) {
    this.id = id;
    this.feed = feed;
    this.zone = zone;
    /** @type {Machine | null} */
    this.machine = null;
    /** @type {Job | null} */
    this.job = null;
    /** @type {string | undefined} */
    this.key = undefined;
    /** @type {Timer | undefined} */
    this.soon = undefined;
    this.card = find("#zone");
    this.device = this.card.dataset.device;
    for (const form of all("form", this.card)) form.addEventListener("submit", (event) => this.submit(event, form));
  }

  /** The machine as the hub tells it now. @param {Machine} m */
  patch(m) {
    this.machine = m;
    show(
      find("[data-away]", this.card),
      ["offline", "never"].includes(m.connection) && !find("[data-wish=sync] button", this.card).disabled,
    );
    const open = m.pending.filter((job) => job.name === "sync_timezone").at(-1);
    if (open) this.heard(open);
    const key = JSON.stringify([m.timezone, m.clock_offset_s, m.ntp, m.config_wanted, m.connection]);
    if (this.key !== undefined && key !== this.key) this.load();
    this.key = key;
  }

  /** A command of this machine moved. @param {Job} job */
  heard(job) {
    if (job.rvm_id !== this.id || job.name !== "sync_timezone") return;
    if (this.job && (this.job.id === job.id ? this.job.finished_at !== null : job.issued_at < this.job.issued_at))
      return;
    this.job = job;
    const asked = find("[data-asked]", this.card);
    const steps = reached(job);
    const away = this.machine !== null && !["live", "late"].includes(this.machine.connection);
    show(asked, true);
    for (const [place, step] of all("[data-step]", asked).entries()) step.toggleAttribute("data-done", place < steps);
    setText(find("[data-how]", asked), cardOf(job, { who: "", away, zone: this.zone, now: this.feed.clock.now() }).how);
    mark(asked, "bad", ["failed", "rejected", "expired"].includes(job.state));
    if (job.finished_at !== null) this.load();
  }

  /** Something of the zone may have changed: ask how it is, once for several news at a time. */
  load() {
    clearTimeout(this.soon);
    this.soon = setTimeout(async () => {
      try {
        const answer = await fetch(`/api/v2/timezone/status/${encodeURIComponent(this.device)}`, {
          credentials: "same-origin",
        });
        if (answer.ok) this.draw((await answer.json()).data);
      } catch {
        // The link's own bar says that the hub is away; what is shown stays.
      }
    }, 150);
  }

  /** @param {string | null | undefined} zone @returns {string} */
  named(zone) {
    return zone === null || zone === undefined ? t("tz.none") : `${zone}, ${zoneLabel(zone, this.feed.clock.now())}`;
  }

  /** @param {Zone} view @param {string} state */
  words(view, state) {
    const code = state === "ok" && view.clock_offset_s !== null ? "ok.clock" : state;
    const wanted = wantedOf(view);
    return t(`tz.${code}`, {
      zone: this.named(view.current_timezone),
      system: this.named(view.system_timezone),
      offset: offset(view.clock_offset_s ?? 0, language),
      wanted: state === "not_permitted" ? (wanted ?? "") : this.named(wanted),
      why: view.error?.message || view.error?.code || "",
    });
  }

  /** @param {Zone} view */
  draw(view) {
    const state = stateOf(view);
    const card = this.card;
    setIcon(find("[data-state] .i", card), MARKS[state]);
    setText(find("[data-state] b", card), this.words(view, state));
    this.facts(view);
    const sync = find("[data-wish=sync] button", card);
    setText(sync, t(QUIET.includes(state) ? "tz.again" : "tz.sync"));
    mark(sync, "main", !QUIET.includes(state));
    const restart = find("[data-restart]", card);
    show(restart, view.restart.length > 0);
    setText(find("span", restart), t("tz.restart", { services: view.restart.join(", ") }));
    const asks = view.guess !== null && view.pinned_timezone !== null;
    const known = find("[data-question] [data-said]", card);
    const words = asks
      ? t("tz.question", { guess: this.named(view.guess), pinned: this.named(view.pinned_timezone) })
      : "";
    // Whoever kept the pinned zone answered this question; another pair of zones is another question.
    const answered = card.dataset.kept === "1" && known.textContent === words;
    show(find("[data-question]", card), asks && !answered);
    if (!asks) show(find("p[data-kept]", card), false);
    setText(known, words);
    this.pins(view);
  }

  /** @param {Zone} view */
  facts(view) {
    const now = this.feed.clock.now();
    const place = [view.city, view.country].filter(Boolean).join(", ");
    const from = view.pinned_timezone
      ? t("tz.by.pinned")
      : view.source === "lookup" && place
        ? t("tz.by.place", { place })
        : view.source
          ? said("tz.by.", view.source)
          : t("tz.none");
    const wanted = wantedOf(view);
    /** @param {string} name @param {string} text */
    const fact = (name, text) => setText(find(`[data-zone=${name}] bdi`, this.card), text);
    fact("device", this.named(view.system_timezone));
    fact("site", wanted ? `${this.named(wanted)} (${from})` : "—");
    fact("offset", view.clock_offset_s === null ? "—" : offset(view.clock_offset_s, language));
    fact("ntp", t(view.ntp === null ? "tz.ntp.unknown" : view.ntp ? "tz.ntp.yes" : "tz.ntp.no"));
    fact(
      "last",
      view.last_sync === null
        ? "—"
        : t("tz.checked", {
            age: age((now - Date.parse(view.last_sync)) / 1000, language),
            method: said("tz.method.", view.sync_method),
          }),
    );
    const counts = Object.fromEntries(
      Object.entries(view.counts).map(([name, value]) => [name, number(value, language)]),
    );
    fact("counts", t("tz.count", counts));
  }

  /** The forms name the zones of now. @param {Zone} view */
  pins(view) {
    for (const form of all("[data-wish=pin]", this.card)) {
      const zone = form.closest("[data-question]") ? view.guess : wantedOf(view);
      if (!zone) continue;
      form.elements.zone.value = zone;
      setText(find("button", form), t("tz.pin", { zone }));
    }
    const keep = find("[data-wish=keep] button", this.card);
    if (keep && view.pinned_timezone) setText(keep, t("tz.keep", { zone: view.pinned_timezone }));
    const pinned = view.pinned_timezone !== null;
    for (const form of all(".acts form", this.card)) {
      if (form.dataset.wish !== "sync")
        show(form, form.dataset.wish === "unpin" ? pinned : !pinned && form.elements.zone.value !== "");
    }
  }

  /** @param {Event} event @param {Part} form */
  async submit(event, form) {
    const wish = form.dataset.wish;
    // The page that comes back says who kept it, and since when.
    if (wish === "keep") return undefined;
    event.preventDefault();
    const button = find("button", form);
    if (button.getAttribute("aria-busy") === "true" || button.getAttribute("aria-disabled") === "true")
      return undefined;
    setAttribute(button, "aria-busy", "true");

    const answer =
      wish === "sync"
        ? await sendCommand("/api/v2/timezone/sync/manual", { device_id: this.id })
        : await patch(`/api/v2/rvms/${this.id}/config/pinned_timezone`, {
            value: wish === "pin" ? form.elements.zone.value : null,
          });
    button.removeAttribute("aria-busy");
    const fault = find("p[data-fault]", this.card);
    setText(fault, answer.ok ? "" : answer.message || t("fault.unknown"));
    show(fault, !answer.ok);
    if (answer.ok && wish !== "sync") this.load();
    return undefined;
  }
}
