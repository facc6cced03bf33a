// What is wrong with machines, as codes and as values. The browser's half of dashboard/trouble.py.

import { all, setText } from "./dom.js";
import { worth } from "./format.js";
import { language } from "./texts.js";

const NEARLY_FULL = 95;
const CLOCK_OFF_S = 300;
const CLOCK_UNSET_S = 365 * 86400;

/** What was reported of a machine, each with the codes it means: other codes are other troubles. @param {Partial<Machine>} m */
export function codes({ lasting, capacity, clock_offset_s }) {
  /** @type {[string, string][]} */
  const found = [];
  if (lasting) found.push(["health", lasting.map(({ code }) => code).join()]);
  if (capacity !== undefined) found.push(["capacity", capacity >= NEARLY_FULL ? "nearly_full" : ""]);
  if (clock_offset_s !== undefined) found.push(["clock", clock(clock_offset_s ?? 0)]);
  return found;
}

/** @param {number} off */
function clock(off) {
  if (Math.abs(off) <= CLOCK_OFF_S) return "";
  return off < -CLOCK_UNSET_S ? "clock_unset" : "clock";
}

/** The value behind a trouble, as long as there is one. @param {Machine | undefined} m @param {string} cause */
export function valueBehind(m, cause) {
  if (cause === "nearly_full") return m?.capacity;
  if (cause.startsWith("clock")) return m?.clock_offset_s;
  return m?.readings?.[/** @type {Metric} */ (cause === "hot" ? "temperature" : `${cause}_usage`)];
}

/** The values in sentences of the hub, as the feed reports them. @param {Map<number, Machine>} machines */
export function drawValues(machines) {
  for (const node of all("[data-worth]")) {
    const cause = node.dataset.worth;
    const value = valueBehind(machines.get(Number(node.dataset.rvm)), cause);
    if (typeof value === "number") setText(node, worth(cause, value, language));
  }
}
