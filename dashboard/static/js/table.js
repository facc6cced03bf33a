// The fleet table: which rows stand in it and in which order. The order does not move under a pointer or the focus. Of a
// great fleet the first rows stand; the others come when somebody scrolls (views/many.js).

import { all, bring, find, setText, show } from "./dom.js";
import { movedCount, shown } from "./order.js";
import { Row } from "./row.js";
import { t } from "./texts.js";

const STILL_MS = 1500;
/** As many as the hub writes into the page, and drawn at once. */
const ROWS = 100;

export class Table {
  /** @param {Part} node @param {number} now */
  constructor(node, now) {
    this.node = node;
    this.body = find("tbody", node);
    this.rows = new Map(all("tr[data-id]", this.body).map((row) => [Number(row.dataset.id), new Row(row, now)]));
    this.pointed = false;
    /** None before the first snapshot. @type {Map<number, Machine> | null} */
    this.machines = null;
    this.now = now;
    /** All that are listed, those that are not drawn too. @type {number[]} */
    this.listed = [];
    this.most = ROWS;
    node.table = this;
    this.note = find("#moved");
    find("button", this.note).addEventListener("click", () => this.arrange(true));
    this.body.addEventListener("pointerenter", () => this.hold(true));
    this.body.addEventListener("pointerleave", () => this.hold(false));
    this.body.addEventListener("focusout", () => setTimeout(() => this.arrange(), STILL_MS));
  }

  /** @param {boolean} pointed */
  hold(pointed) {
    this.pointed = pointed;
    if (!pointed) setTimeout(() => this.arrange(), STILL_MS);
  }

  get held() {
    return this.pointed || this.body.contains(document.activeElement);
  }

  /** @param {Map<number, Machine>} machines @param {Set<number>} ids those that changed @param {number} now */
  patch(machines, ids, now) {
    this.machines = machines;
    this.now = now;
    for (const [id, row] of this.rows) {
      const machine = machines.get(id);
      if (!machine) {
        row.node.remove();
        this.rows.delete(id);
      } else if (ids.has(id) && !row.node.hidden) row.patch(machine, now);
    }
  }

  /** The row of a machine, made when it is to stand there for the first time. @param {number} id */
  row(id) {
    const row = this.rows.get(id) ?? this.add(id);
    if (row.node.hidden) row.patch(/** @type {Machine} */ (this.machines?.get(id)), this.now);
    show(row.node, true);
    return row.node;
  }

  /** @param {number} id */
  add(id) {
    const node = find("#row").content.firstElementChild.cloneNode(true);
    node.dataset.id = find(".x input", node).value = String(id);
    node.hidden = true;
    const row = new Row(node, this.now);
    this.rows.set(id, row);
    return row;
  }

  /**
   * Take note of what should stand where; do it unless somebody is reading (`now`: do it anyway).
   * @param {Map<number, Machine>} machines @param {Query} query
   */
  order(machines, query) {
    const rows = shown(machines.values(), query, this.now);
    this.listed = (this.node.grouped?.(rows) ?? rows).map((m) => m.id);
    const { src } = this.node.dataset;
    // Few fleets have more.
    if (src && this.listed.length > ROWS) {
      this.node.dataset.src = "";
      bring(src);
    }
    this.arrange();
  }

  arrange(now = false) {
    if (!this.machines) return;
    const wanted = this.listed.slice(0, this.most);
    const before = this.standing();
    const moved = movedCount(before, wanted);
    const waits = this.held && !now;
    show(this.note, waits && moved > 0);
    if (!moved && before.length === wanted.length) this.node.headed?.();
    else if (waits) setText(find("[data-said]", this.note), t("moved", { n: moved, count: moved }));
    else this.place(wanted);
  }

  standing() {
    return [...this.body.children].filter((row) => row.dataset.id && !row.hidden).map((row) => Number(row.dataset.id));
  }

  /** @param {number[]} order */
  place(order) {
    const focused = /** @type {Part | null} */ (document.activeElement);
    const wanted = new Set(order);
    for (const [id, { node }] of this.rows) if (!wanted.has(id)) show(node, false);
    let at = this.body.firstElementChild;
    for (const id of order) {
      const node = this.row(id);
      if (node === at) at = at.nextElementSibling;
      else this.body.insertBefore(node, at);
    }
    this.node.headed?.();
    if (focused !== document.activeElement && this.body.contains(focused)) focused?.focus({ preventScroll: true });
    show(this.node, order.length > 0);
    this.node.grow?.();
  }

  /** @param {Map<number, Machine>} machines @param {number} now */
  tick(machines, now) {
    for (const [id, row] of this.rows) {
      const machine = machines.get(id);
      if (machine && !row.node.far) row.tick(machine, now);
    }
  }

  /** Move the focus to the next (1) or previous (-1) row. @param {number} way */
  step(way) {
    const links = all("tbody tr:not([hidden]) .n a", this.node);
    const at = links.indexOf(find("tr:focus-within .n a", this.node));
    links[Math.max(0, at + way)]?.focus();
  }
}
