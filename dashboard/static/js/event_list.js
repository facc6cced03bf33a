// The list of events on the page: older lines go to its end, newer ones in when they are asked for. The hub draws them.

import { all, find, make } from "./dom.js";

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

/** @param {Part} node */
const placeOf = (node) => ({ id: Number(node.dataset.id), at: Number(node.dataset.at) });

/** @typedef {{lines: EventLine[], onward: string | null, reached: string}} Lines one answer of the hub */

/** Lines as the hub draws them; raises when it does not. @param {string} address @returns {Promise<Lines>} */
export async function linesAt(address) {
  const answer = await fetch(address, { redirect: "manual" });
  if (!answer.ok) throw new Error(String(answer.status));
  const list = find("ol", new DOMParser().parseFromString(await answer.text(), "text/html"));
  const lines = all("[data-id]", list).map((node) => ({ ...placeOf(node), node }));
  return { lines, onward: list.dataset.onward ?? null, reached: list.dataset.reached ?? "" };
}

export class EventList {
  /** @param {Part} list */
  constructor(list) {
    this.list = list;
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
      // A happening that has grown stands where its newest event stands.
      const { key } = line.node.dataset;
      if (key) this.items.find((there) => there.dataset.key === key)?.remove();
      const node = /** @type {Part} */ (document.importNode(line.node, true));
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
