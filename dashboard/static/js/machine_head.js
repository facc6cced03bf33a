// The top of every tab of a machine, kept true: name, status, until when, connection, busy, facts, a fight for its key.

import { backupShort } from "./backup_brief.js";
import { entitle } from "./counts.js";
import { all, find, make, mark, setAttribute, setIcon, setText, show } from "./dom.js";
import { age, clock, day, offset, span, zoneLabel } from "./format.js";
import { freshness, isCurrent, quarantined } from "./freshness.js";
import { language, t } from "./texts.js";

/** `user:3` as a name, `machine:7` as "the machine". @param {string} actor @param {Record<string, string>} names */
export function who(actor, names) {
  const [kind, number] = actor.split(":");
  return kind === "user" ? (names[number] ?? t("who.user", { id: number })) : t(`who.${kind}`);
}

/**
 * Until when the status holds and what comes then; what a special status covers. "" when there is nothing to say.
 * @param {Pick<Machine, "status" | "special_status" | "status_until" | "returns_to">} m @param {(ms: number) => string} when
 */
export function untilWords(m, when) {
  if (m.status_until !== null && m.returns_to)
    return t("status.until.back", { when: when(m.status_until), status: t(`status.${m.returns_to}`) });
  if (m.status_until !== null) return t("status.until", { when: when(m.status_until) });
  return m.special_status ? t("status.over", { status: t(`status.${m.status}`) }) : "";
}

/** @param {string} name @param {string} text */
function fact(name, text) {
  setText(find(`[data-fact=${name}] bdi`), text);
}

/** A value of one that reports nothing now is past. @param {Machine} m @param {string} value */
const ofNow = (m, value) => (isCurrent(m) ? value : t("past_value", { value }));

export class MachineHead {
  /** @param {import("./announcer.js").Announcer} spoken */
  constructor(spoken) {
    this.spoken = spoken;
    const { zone, clockZone } = document.body.dataset;
    this.zone = zone ?? "";
    this.clockZone = clockZone ?? "";
    this.names = JSON.parse(document.body.dataset.names ?? "{}");
    this.before = "";
    this.called = find("h1 bdi")?.textContent ?? "";
  }

  /** The tab is called as the machine is. @param {string} name */
  entitle(name) {
    if (name === this.called) return;
    const { dataset } = document.body;
    dataset.title = (dataset.title ?? "").replace(this.called, () => name);
    this.called = name;
    entitle();
  }

  /** The machine as the hub reports it now. @param {Machine} m @param {number} now */
  patch(m, now) {
    const never = m.connection === "never";
    setText(find("#status-pill [data-said]"), t(never ? "connection.never" : `status.${m.effective_status}`));
    setIcon(find("#status-pill .i"), never ? "never" : m.effective_status);
    mark(find("#head"), "past", !isCurrent(m));
    show(find("#status-known"), !never && !isCurrent(m));
    show(find("#status-since"), !never);
    show(find("#connection"), !never);
    for (const name of all("h1 bdi, .whose bdi")) setText(name, m.name);
    this.entitle(m.name);
    setText(find("[data-f=location_description]"), m.location_description ?? "");
    const tags = find("#tags");
    if (tags.textContent !== m.tags.join(""))
      tags.replaceChildren(
        ...m.tags.map((tag) => make("a", { class: "tag", href: `${BASE_PATH}/?tag=${encodeURIComponent(tag)}` }, tag)),
      );
    show(find("#busy"), m.busy === true && isCurrent(m));
    if (m.agent_version) fact("agent", m.agent_version);
    if (m.last_ip) fact("ip", m.last_ip);
    if (m.clock_offset_s !== null) fact("clock", ofNow(m, offset(m.clock_offset_s, language)));
    this.tick(m, now);
    this.announce(m);
  }

  /** What grows by itself. @param {Machine} m @param {number} now */
  tick(m, now) {
    const fresh = freshness(m, now);
    /** @param {number} ms */
    const when = (ms) => day(ms, now, this.zone, language);
    setIcon(find("#connection .i"), fresh.mark);
    setText(find("#connection [data-said]"), fresh.words);
    setAttribute(find("#connection [data-said]"), "class", `${fresh.mark}-age`);
    setText(
      find("#status-since"),
      t("since.by", { age: age((now - m.status_since) / 1000, language), who: who(m.status_by, this.names) }),
    );
    const until = untilWords(m, when);
    setText(find("#status-until"), until);
    show(find("#status-until"), until !== "");
    const locked = quarantined(m, now);
    show(find("#quarantine"), locked);
    if (locked)
      setText(find("#quarantine [data-until]"), t("quarantine.until", { when: when(m.quarantined_until ?? now) }));
    if (m.readings?.uptime_s) {
      const since = m.connection === "live" && isCurrent(m) ? (now - m.readings.taken_at) / 1000 : 0;
      fact("uptime", ofNow(m, span(m.readings.uptime_s + since, language)));
    }
    fact("backup", backupShort(m.backup, now));
    if (m.clock_offset_s !== null) {
      const ahead = m.clock_offset_s * 1000;
      const ticks = m.connection === "live" && isCurrent(m);
      fact(
        "time",
        ticks
          ? `${clock(now + ahead, this.clockZone, language, true)} ${zoneLabel(this.clockZone, now)}`
          : t("past_value", { value: day((m.last_seen_at ?? now) + ahead, now, this.clockZone, language) }),
      );
    }
  }

  /** Status and connection are spoken when they change. @param {Machine} m */
  announce(m) {
    const is = `${m.effective_status} ${m.connection}`;
    if (this.before && this.before !== is) {
      const [status] = this.before.split(" ");
      this.spoken.add(
        status === m.effective_status
          ? t("said.connection", { name: m.name, connection: t(`connection.${m.connection}`) })
          : t("said.status", { name: m.name, status: t(`status.${m.effective_status}`) }),
      );
    }
    this.before = is;
  }
}
