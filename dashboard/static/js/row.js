// One row of the fleet table (a card on a phone): patched node by node, never replaced, so that focus and pointer stay.

import { briefCode, MARKS } from "./backup_brief.js";
import { all, find, icon, make, mark, setAttribute, setIcon, setText, show } from "./dom.js";
import { age, reading } from "./format.js";
import { freshness, isCurrent } from "./freshness.js";
import { openAlerts } from "./order.js";
import { Sparkline } from "./sparkline.js";
import { language, t, textOf } from "./texts.js";

export class Row {
  /** @param {Part} node @param {number} now */
  constructor(node, now) {
    this.node = node;
    this.id = Number(node.dataset.id);
    this.link = find(".n a", node);
    this.site = find(".n small bdi", node);
    this.status = find(".s .mk span", node);
    this.seen = find(".e span", node);
    this.cells = all("[data-m]", node);
    this.line = find(".spark path", node);
    this.spark = new Sparkline(this.line.getAttribute("d") ?? "", now, 100, Number(this.line.dataset.gap));
    this.takenAt = 0;
  }

  /** @param {Machine} m @param {number} now */
  patch(m, now) {
    setText(this.link.firstElementChild, m.name);
    setAttribute(this.link, "href", `${BASE_PATH}/machines/${m.id}`);
    setAttribute(find(".x input", this.node), "aria-label", t("bulk.select", { name: m.name }));
    const menu = find(".c-menu > a", this.node);
    setAttribute(menu, "href", `${BASE_PATH}/machines/${m.id}`);
    setAttribute(menu, "aria-label", t("actions.of", { name: m.name }));
    setText(this.site, m.location_description ?? "");
    this.patchStatus(m);
    mark(this.node, "old", !isCurrent(m));
    setAttribute(find(".c-cap .v", this.node), "width", `${m.capacity}%`);
    const capacity = m.connection === "never" ? "—" : reading("capacity", m.capacity, language);
    setText(find(".c-cap b", this.node), capacity);
    const over = new Set(isCurrent(m) ? m.health_reasons.map((r) => r.code) : []);
    for (const cell of this.cells) this.patchReading(cell, m, over.has(cell.dataset.m));
    if (m.readings && m.readings.taken_at !== this.takenAt) {
      this.takenAt = m.readings.taken_at;
      this.spark.add(this.takenAt, m.readings[/** @type {Metric} */ (this.line.dataset.metric)]);
    }
    this.tick(m, now);
  }

  /** @param {Machine} m */
  patchStatus(m) {
    const never = m.connection === "never";
    const word = never ? "—" : t(`status.${m.effective_status}`);
    if (this.status.textContent !== word) {
      setText(this.status, word);
      setIcon(find(".s .i", this.node), never ? "never" : m.effective_status);
      const cell = find(".s", this.node);
      cell.classList.remove("changed");
      requestAnimationFrame(() => cell.classList.add("changed"));
    }
    const tag = find(".n .tag", this.node);
    if (m.simulated && !tag) {
      find(".n small", this.node).prepend(make("span", { class: "tag" }, t("simulated")), " ");
    }
  }

  /** @param {Part} cell @param {Machine} m @param {boolean} over */
  patchReading(cell, m, over) {
    const metric = /** @type {Metric} */ (cell.dataset.m);
    const value = m.readings?.[metric] ?? null;
    setText(find("b", cell), value === null ? "—" : reading(metric, value, language));
    const reason = value === null && m.readings ? textOf("none.", m.readings.reasons[metric] ?? "unknown") : "";
    setAttribute(cell, "title", reason);
    mark(cell, "over", over);
    const glyph = find(".i", cell);
    if (over && !glyph) cell.prepend(icon("warn"));
    else if (!over && glyph) glyph.remove();
  }

  /** What grows by itself: ages, and the line that moves left. @param {Machine} m @param {number} now */
  tick(m, now) {
    const fresh = freshness(m, now);
    const never = m.connection === "never";
    setIcon(find(".e .i", this.node), fresh.mark);
    setText(this.seen, fresh.words);
    setAttribute(this.seen, "class", fresh.quiet ? "vh" : `${fresh.mark}-age`);
    setText(find(".s small", this.node), never ? "" : age((now - m.status_since) / 1000, language));
    const alerts = find(".c-alerts a", this.node);
    setAttribute(alerts, "href", `${BASE_PATH}/alerts?rvm=${m.id}`);
    setText(find("b", alerts), String(openAlerts(m, now)));
    show(alerts, openAlerts(m, now) > 0);
    this.backup(m.backup, now);
    setAttribute(this.line, "d", this.spark.path(now));
  }

  /** How old the last good backup is. @param {Backup} backup @param {number} now */
  backup(backup, now) {
    const code = briefCode(backup, now);
    const cell = find(".c-backup", this.node);
    const words = t(`backup.brief.${code}`);
    setIcon(find(".i", cell), MARKS[code]);
    setText(find(".val", cell), backup?.good_at ? age((now - backup.good_at) / 1000, language) : "—");
    setText(find(".vh", cell), words);
    setAttribute(cell, "title", words);
  }
}
