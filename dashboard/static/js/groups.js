// In which group of the Machines page a machine stands, and their order: the browser's half of dashboard/fleet.py.

import { natural, STATUS_ORDER } from "./order.js";

/** With several tags, that of the first. @param {Machine} m @param {string} group */
export function groupOf(m, group) {
  if (group === "status") return m.effective_status;
  return (group === "tag" ? m.tags[0] : m.location_description) ?? "";
}

/** A group after the other, in each the order that there was. @param {Machine[]} machines @param {string} group */
export function grouped(machines, group) {
  /** @param {string} a @param {string} b */
  const between = (a, b) =>
    group === "status" ? STATUS_ORDER[a] - STATUS_ORDER[b] : Number(!a) - Number(!b) || natural(a, b);
  return [...machines].sort((a, b) => between(groupOf(a, group), groupOf(b, group)));
}
