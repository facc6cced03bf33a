// Why a machine is not simply fine, in plain words: cause, since, next step. The browser's half of dashboard/machine.py.

import { find, make, setAttribute, show } from "./dom.js";
import { age, day, worth } from "./format.js";
import { language, t } from "./texts.js";
import { clockCause, goneExpectedly, healthCauses, quarantined } from "./trouble.js";

/** @typedef {{code: string, since: number | null, value: number | null}} Cause */

/** @param {Machine} m @param {number} now */
export function whys(m, now) {
  /** @type {Cause[]} */
  const found = [];
  /** @param {string} code @param {number | null} since @param {number | null} [value] */
  const add = (code, since, value = null) => found.push({ code, since, value });
  if (quarantined(m, now)) add("quarantined", m.connection_since);
  else if (m.connection === "never") add("never", m.created_at);
  else if (m.connection === "offline") {
    const said = m.connection_reason;
    const planned = said === "reboot" || said === "update";
    const code = planned ? (goneExpectedly(m, now) ? said : "not_back") : said === "shutdown" ? said : "offline";
    add(code, m.connection_since ?? m.last_seen_at);
  } else if (m.connection === "late") add("late", m.last_seen_at);
  if (m.effective_status !== "active" && m.connection !== "never") add(m.effective_status, m.status_since);
  for (const [cause, value] of healthCauses(m)) add(cause, null, value ?? null);
  const clock = clockCause(m);
  if (clock) add(clock, null, m.clock_offset_s);
  return found;
}

/** Draw the panel again when what it says has changed (its ages alone are no reason). */
export class Why {
  /** @param {string} zone */
  constructor(zone) {
    this.panel = find("#why");
    this.zone = zone;
    this.drawn = "";
  }

  /** @param {Machine} m @param {number} now */
  draw(m, now) {
    const found = whys(m, now);
    const key = JSON.stringify([
      found.map((why) => [why.code, why.since, Math.round(why.value ?? 0)]),
      m.status_reason,
    ]);
    if (key === this.drawn) return;
    this.drawn = key;
    show(this.panel, found.length > 0);
    setAttribute(this.panel, "class", `card why ${m.effective_status}`);
    find("dl", this.panel).replaceChildren(...found.flatMap((why) => this.lines(why, m, now)));
  }

  /** @param {Cause} why @param {Machine} m @param {number} now */
  lines(why, m, now) {
    const cause = make("b", {}, t(`why.${why.code}`, { value: worth(why.code, why.value ?? 0, language) }));
    const reason =
      why.code === m.effective_status && m.status_reason ? [" “", make("bdi", {}, m.status_reason), "”"] : [];
    /** @param {string} name @param {...(string | Node)} children */
    const pair = (name, ...children) => [make("dt", {}, t(name)), make("dd", {}, ...children)];
    const since =
      why.since === null
        ? []
        : pair(
            "why.since",
            `${day(why.since, now, this.zone, language)} (${t("ago", { age: age((now - why.since) / 1000, language) })})`,
          );
    return [...pair("why.cause", cause, ...reason), ...since, ...pair("why.next", t(`why.${why.code}.next`))];
  }
}
