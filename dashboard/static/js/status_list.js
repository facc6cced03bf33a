// The status history as a list: what happens while the page is open comes on top. Pages of older entries stay as they are.

import { all, find, icon, make, setText } from "./dom.js";
import { day, span } from "./format.js";
import { who } from "./machine_head.js";
import { language, t } from "./texts.js";

/** @typedef {"effective_status" | "special_status" | "status" | "status_by" | "status_reason" | "status_until"} Spell */

/** What makes an entry: the same status for the same reason by the same hand goes on. @param {Pick<Machine, Spell>} m */
export function spellOf(m) {
  return JSON.stringify([
    m.effective_status,
    m.special_status ? m.status : null,
    m.status_by,
    m.status_reason,
    m.status_until,
  ]);
}

export class StatusList {
  /** @param {string} zone @param {Record<string, string>} names */
  constructor(zone, names) {
    this.zone = zone;
    this.names = names;
    /** @type {string | null} */
    this.spell = null;
    this.body = find("#statuses tbody");
    this.live = this.body.dataset.newest === "1";
  }

  /** The machine as the hub tells it now. @param {Machine} m @param {number} now */
  patch(m, now) {
    const spell = spellOf(m);
    const first = this.spell === null;
    const top = find("tr", this.body);
    if (!this.live || spell === this.spell) return;
    this.spell = spell;
    // The first picture is what the page was made from, unless something happened in between.
    if (first && top && Number(top.dataset.since) >= m.status_since) return;
    if (top) setText(find("[data-for]", top), span((m.status_since - Number(top.dataset.since)) / 1000, language));
    this.body.prepend(this.row(m, now));
    for (const old of all("tr", this.body).slice(40)) old.remove();
  }

  /** @param {Machine} m @param {number} now */
  row(m, now) {
    /** @param {number} ms */
    const when = (ms) => day(ms, now, this.zone, language);
    /** @param {string} name @param {...(string | Node)} children */
    const cell = (name, ...children) => make("td", { "data-l": t(`spell.${name}`) }, ...children);
    const covered =
      m.special_status && m.special_status !== m.status
        ? [" ", make("span", { class: "muted" }, t("spell.covers", { status: t(`status.${m.status}`) }))]
        : [];
    const lasting = cell(
      "for",
      t("spell.still") + (m.status_until === null ? "" : `, ${t("status.until", { when: when(m.status_until) })}`),
    );
    lasting.dataset.for = "";
    return make(
      "tr",
      { "data-since": String(m.status_since) },
      make(
        "th",
        { scope: "row" },
        make(
          "span",
          { class: "mk" },
          icon(m.effective_status),
          make("span", {}, t(`status.${m.effective_status}`), ...covered),
        ),
      ),
      cell("since", when(m.status_since)),
      lasting,
      cell("by", make("bdi", {}, who(m.status_by, this.names))),
      cell("reason", ...(m.status_reason ? [make("bdi", {}, m.status_reason)] : [])),
    );
  }
}
