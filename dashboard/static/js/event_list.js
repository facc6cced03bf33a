// The list of events on the page: older lines go to its end, newer ones in when they are asked for. Lines come from the
// hub in words; they are only ever put in as text.

import { all, find, icon, make } from "./dom.js";

/** @typedef {{id: number, at: number}} Place where a line stands */

/** Newest first; within one instant the highest number. @param {Place} a @param {Place} b */
export function follows(a, b) {
  return b.at - a.at || b.id - a.id;
}

/**
 * Those of `lines` that are not among `known` and not older than the last line there (those come with "load more").
 * @template {Place} L @param {L[]} lines @param {Set<number>} known @param {Place | null} last
 */
export function fresh(lines, known, last) {
  return lines.filter((line) => !known.has(line.id) && (!last || follows(line, last) < 0)).sort(follows);
}

/** A text, and where it leads. @param {string} text @param {string} address */
function words(text, address) {
  const inside = make("bdi", {}, text);
  return address ? make("a", { href: address }, inside) : inside;
}

/** @param {EventLine} line @param {boolean} oneMachine */
function item(line, oneMachine) {
  /** @type {Node[]} */
  const parts = [
    make("time", { title: line.title, "data-utc": line.utc }, line.time),
    icon(line.shape, line.look),
    make("p", {}, words(line.sentence, line.job_at)),
  ];
  if (!oneMachine) parts.push(make("span", { class: "where" }, words(line.machine, line.machine_at)));
  parts.push(make("span", { class: "by" }, make("bdi", {}, line.who)));
  return make("li", { "data-id": String(line.id), "data-at": String(line.at), "data-day": line.day }, ...parts);
}

/** @param {Part} node */
const placeOf = (node) => ({ id: Number(node.dataset.id), at: Number(node.dataset.at) });

export class EventList {
  /** @param {Part} list */
  constructor(list) {
    this.list = list;
    this.oneMachine = list.dataset.rvm !== undefined;
  }

  get items() {
    return all("[data-id]", this.list);
  }

  get known() {
    return new Set(this.items.map((node) => Number(node.dataset.id)));
  }

  /** The oldest line there, or null. */
  get last() {
    const node = this.items.at(-1);
    return node ? placeOf(node) : null;
  }

  /** Put lines in their places; what is there stays the same nodes. @param {EventLine[]} lines */
  put(lines, mark = "") {
    const known = this.known;
    for (const line of lines) {
      if (known.has(line.id)) continue;
      const node = item(line, this.oneMachine);
      if (mark) node.classList.add(mark);
      this.list.insertBefore(node, this.items.find((there) => follows(line, placeOf(there)) < 0) ?? null);
    }
    this.days();
    this.list.hidden = !this.items.length;
  }

  /** A heading before the first line of each day, and nowhere else. */
  days() {
    let day = "";
    for (const node of [...this.list.children]) {
      if (!node.dataset.id) {
        const next = node.nextElementSibling;
        if (!next?.dataset.id || next.dataset.day === day || find("h2", node).textContent !== next.dataset.day)
          node.remove();
        continue;
      }
      const before = node.previousElementSibling;
      if (node.dataset.day !== day && (!before || before.dataset.id)) {
        this.list.insertBefore(make("li", { class: "day" }, make("h2", {}, node.dataset.day)), node);
      }
      day = node.dataset.day;
    }
  }
}
