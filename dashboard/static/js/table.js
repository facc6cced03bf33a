// The fleet table: which rows stand in it and in which order. The order does not move under a pointer or the focus.

import { all, find, setAttribute, setText, show } from "./dom.js";
import { movedCount, shown } from "./order.js";
import { Row } from "./row.js";
import { t } from "./texts.js";

const STILL_MS = 1500;

export class Table {
  /** @param {Part} node @param {number} now */
  constructor(node, now) {
    this.node = node;
    this.body = find("tbody", node);
    this.rows = new Map(all("tr[data-id]", this.body).map((row) => [Number(row.dataset.id), new Row(row, now)]));
    this.pointed = false;
    /** @type {number[] | null} */
    this.wanted = null;
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

  /** @param {Map<number, Machine>} machines @param {Iterable<number>} ids those that changed @param {number} now */
  patch(machines, ids, now) {
    for (const id of ids) {
      const machine = machines.get(id);
      if (!machine) continue;
      if (!this.rows.has(id)) this.add(id, now);
      this.rows.get(id)?.patch(machine, now);
    }
    for (const [id, row] of this.rows)
      if (!machines.has(id)) {
        row.node.remove();
        this.rows.delete(id);
      }
  }

  /** @param {number} id @param {number} now */
  add(id, now) {
    const node = find("#row").content.firstElementChild.cloneNode(true);
    node.dataset.id = find(".x input", node).value = String(id);
    node.hidden = true;
    this.body.append(node);
    this.rows.set(id, new Row(node, now));
  }

  /**
   * Take note of what should stand where; do it unless somebody is reading (`now`: do it anyway).
   * @param {Map<number, Machine>} machines @param {Query} query
   */
  order(machines, query) {
    const rows = shown(machines.values(), query);
    this.wanted = (this.node.grouped?.(rows) ?? rows).map((m) => m.id);
    this.arrange();
  }

  arrange(now = false) {
    if (!this.wanted) return;
    const before = this.standing();
    const moved = movedCount(before, this.wanted);
    if (!moved && before.length === this.wanted.length) {
      this.node.headed?.();
      return show(this.note, false);
    }
    if (this.held && !now) {
      setText(find("[data-said]", this.note), t("moved", { n: moved, count: moved }));
      return show(this.note, moved > 0);
    }
    this.place(this.wanted);
    show(this.note, false);
  }

  standing() {
    return [...this.body.children].filter((row) => row.dataset.id && !row.hidden).map((row) => Number(row.dataset.id));
  }

  /** @param {number[]} order */
  place(order) {
    const focused = /** @type {Part | null} */ (document.activeElement);
    const wanted = new Set(order);
    for (const [id, row] of this.rows) row.hide(!wanted.has(id));
    let at = this.body.firstElementChild;
    for (const id of order) {
      const node = this.rows.get(id)?.node;
      if (!node) continue;
      if (node === at) at = at.nextElementSibling;
      else this.body.insertBefore(node, at);
    }
    this.node.headed?.();
    if (focused !== document.activeElement && this.body.contains(focused)) focused?.focus({ preventScroll: true });
    show(this.node, order.length > 0);
  }

  /** @param {Query} query */
  heads(query) {
    for (const head of all("thead [data-sort]", this.node)) {
      if (head.dataset.sort === query.sort)
        setAttribute(head, "aria-sort", query.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  /** @param {Map<number, Machine>} machines @param {number} now */
  tick(machines, now) {
    for (const [id, row] of this.rows) {
      const machine = machines.get(id);
      if (machine && !row.node.hidden) row.tick(machine, now);
    }
  }

  /** Move the focus to the next (1) or previous (-1) row. @param {number} way */
  step(way) {
    const links = all("tbody tr:not([hidden]) .n a", this.node);
    const row = document.activeElement?.closest("tr");
    const at = row ? links.indexOf(find(".n a", row)) : -1;
    links[Math.min(links.length - 1, Math.max(0, at + way))]?.focus();
  }
}
