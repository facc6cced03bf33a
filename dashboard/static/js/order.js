// Which machines the table shows and in which order: the browser's half of dashboard/fleet.py.

import { folded, words } from "./folded.js";

/** @type {Record<string, Metric>} */
const METRICS = {
  cpu: "cpu_usage",
  memory: "memory_usage",
  disk: "disk_usage",
  gpu: "gpu_usage",
  temperature: "temperature",
};
/** @type {Record<string, string[]>} */
const KNOWN = {
  status: ["active", "inactive", "maintenance", "full", "error", "unknown"],
  connection: ["offline", "late", "never"],
  group: ["site", "tag", "status"],
};
/** From the capacity on, the worst first. */
const SORTS = ["machine", "status", "seen", "capacity", ...Object.keys(METRICS), "backup", "alerts"];
/** The chips first. @type {("status" | "connection" | "tag" | "group" | "columns" | "look" | "spark")[]} */
export const FILTERS = ["status", "connection", "tag", "group", "columns", "look", "spark"];
/** @type {Record<string, number>} */
export const STATUS_ORDER = { error: 0, full: 1, unknown: 2, maintenance: 3, inactive: 4, active: 5 };

/** @param {string} search the address's `?…` */
export function queryFrom(search) {
  const params = new URLSearchParams(search);
  /** @param {string} name */
  const text = (name) => (params.get(name) ?? "").trim().slice(0, 100);
  const sort = text("sort");
  const column = sort.replace(/^-+/, "");
  const known = SORTS.includes(column);
  const query = /** @type {Query} */ ({
    text: text("q"),
    sort: known ? column : "machine",
    descending: known && sort.startsWith("-"),
  });
  for (const name of FILTERS) query[name] = KNOWN[name]?.includes(text(name)) === false ? "" : text(name);
  return query;
}

/** The address of the page with some members changed; what is default is left out. @param {Query} query @param {Partial<Query>} [changes] */
export function address(query, changes = {}, page = "") {
  const wanted = { ...query, ...changes };
  const params = new URLSearchParams();
  if (wanted.text) params.set("q", wanted.text);
  for (const name of FILTERS) if (wanted[name]) params.set(name, wanted[name]);
  if (wanted.kiosk) params.set("kiosk", wanted.kiosk);
  const sort = (wanted.descending ? "-" : "") + wanted.sort;
  if (sort !== "machine") params.set("sort", sort);
  return `${BASE_PATH}/${page}${String(params) && `?${params}`}`;
}

/** What a click on a column head leads to. @param {Query} query @param {string} column */
export function sortAddress(query, column) {
  const worstFirst = SORTS.indexOf(column) > 2;
  return address(query, { sort: column, descending: column === query.sort ? !query.descending : worstFirst });
}

/** The status it counts for: none before it was connected once, and nothing is active that is not there. @param {Machine} m */
const countedAs = ({ connection, effective_status }) =>
  connection === "never" || (connection === "offline" && effective_status === "active") ? "" : effective_status;

/** @param {Iterable<Machine>} machines */
export function counters(machines) {
  const counts = Object.fromEntries([...KNOWN.status, ...KNOWN.connection, "live", ""].map((name) => [name, 0]));
  for (const m of machines) {
    counts[countedAs(m)] += 1;
    counts[m.connection] += 1;
  }
  return counts;
}

/** @param {Machine} m @param {Partial<Query>} query */
export function matches(m, query) {
  if (query.status && countedAs(m) !== query.status) return false;
  if (query.connection && m.connection !== query.connection) return false;
  if (query.tag && !m.tags.includes(query.tag)) return false;
  const where = [m.name, m.device_id, m.location_description, m.status_reason, ...m.tags];
  return words(query.text).every((word) => folded(where.join(" ")).includes(word));
}

/** The pieces of names. Bound: the names that machines had while this page is open. @type {Map<string, string[]>} */
const pieces = new Map();

/** @param {string} name @returns {string[]} */
function piecesOf(name) {
  const found = pieces.get(name) ?? name.toLowerCase().match(/[0-9]+|[^0-9]+/g) ?? [];
  pieces.set(name, found);
  return found;
}

/** RVM-9 before RVM-10. @param {string} a @param {string} b */
export function natural(a, b) {
  const [x, y] = [piecesOf(a), piecesOf(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i += 1) {
    const [p, q] = [x[i], y[i]];
    const [n, k] = [/^[0-9]/.test(p), /^[0-9]/.test(q)];
    if (n !== k) return n ? -1 : 1;
    const [u, v] = n ? [Number(p.slice(0, 15)), Number(q.slice(0, 15))] : [p, q];
    if (u !== v) return u < v ? -1 : 1;
  }
  return x.length - y.length;
}

/** Those that nobody left out of the count for now. @param {Machine} m @param {number} now */
export const openAlerts = (m, now) => m.troubles.filter((one) => (one.snoozed_until ?? 0) <= now).length;

/** @param {Machine} m @param {string} sort @param {number} now */
function sortValue(m, sort, now) {
  if (sort === "status") return STATUS_ORDER[m.effective_status];
  if (sort === "seen") return m.last_seen_at === null ? null : -m.last_seen_at;
  if (sort === "capacity") return m.capacity;
  if (sort === "alerts") return openAlerts(m, now);
  if (sort === "backup") return -(m.backup?.good_at ?? 0);
  if (m.connection !== "live" && m.connection !== "late") return null;
  return m.readings?.[METRICS[sort]] ?? null;
}

/**
 * Filtered and in order; what has no value for the order comes last.
 * @param {Iterable<Machine>} machines @param {Query} query
 */
export function shown(machines, query, now = 0) {
  const listed = [...machines].filter((m) => matches(m, query)).sort((a, b) => natural(a.name, b.name) || a.id - b.id);
  if (query.sort === "machine") return query.descending ? listed.reverse() : listed;
  /** @param {Machine} m */
  const value = (m) => sortValue(m, query.sort, now);
  const way = query.descending ? -1 : 1;
  /** @param {Machine} m */
  const last = (m) => Number(value(m) === null);
  return listed.sort((a, b) => last(a) - last(b) || way * (Number(value(a)) - Number(value(b))));
}

/** How many of `now` stand at another place than in `before` (rows that came or went aside). @param {number[]} before @param {number[]} now */
export function movedCount(before, now) {
  const [stood, stand] = [new Set(before), new Set(now)];
  const [a, b] = [before.filter((id) => stand.has(id)), now.filter((id) => stood.has(id))];
  return a.filter((id, i) => b[i] !== id).length + now.length - b.length;
}
