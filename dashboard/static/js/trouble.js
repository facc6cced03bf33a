// What is wrong with a machine, as a code and a rank: the browser's half of dashboard/trouble.py.

const OFFLINE_ALARM_MS = 15 * 60000;
const NEARLY_FULL = 95;
const EXPECTED_BACK_MS = 10 * 60000;
export const CLOCK_OFF_S = 300;
const CLOCK_UNSET_S = 365 * 86400;
/** @type {Record<string, string>} */
const CAUSES = {
  temperature: "hot",
  disk_usage: "disk",
  memory_usage: "memory",
  cpu_usage: "cpu",
  gpu_usage: "gpu",
  throttled: "throttled",
};
const RANKS = [
  "quarantined",
  "error",
  "full",
  "offline",
  "hot",
  "throttled",
  "disk",
  "nearly_full",
  "clock",
  "memory",
  "cpu",
  "gpu",
  "unknown",
];

/** @param {Machine} m */
export const heard = (m) => m.connection === "live" || m.connection === "late";

/** It said goodbye for a reboot or an update, and that is not long ago. @param {Machine} m @param {number} now */
export function goneExpectedly(m, now) {
  const asked = m.connection_reason === "reboot" || m.connection_reason === "update";
  return m.connection === "offline" && asked && now - (m.connection_since ?? now) <= EXPECTED_BACK_MS;
}

/** The health reasons as [cause, value], worst first. @param {Machine} m @returns {[string, number | null][]} */
export function healthCauses(m) {
  if (!heard(m)) return [];
  const told = (m.health_reasons ?? []).filter((r) => CAUSES[r.code]);
  const found = told.map((r) => /** @type {[string, number | null]} */ ([CAUSES[r.code], r.value]));
  return found.sort((a, b) => RANKS.indexOf(a[0]) - RANKS.indexOf(b[0]));
}

/** Two machines fight for one key: the hub lets neither in until then. @param {Machine} m @param {number} now */
export const quarantined = (m, now) => (m.quarantined_until ?? 0) > now;

/**
 * `clock` when the machine's clock is too wrong to believe its times, `clock_unset` when nobody ever set it.
 * @param {Machine} m
 */
export function clockCause(m) {
  const off = m.clock_offset_s ?? 0;
  if (!heard(m) || Math.abs(off) <= CLOCK_OFF_S) return null;
  return off < -CLOCK_UNSET_S ? "clock_unset" : "clock";
}

/**
 * @param {Machine} m @param {number} now @returns {Trouble | null}
 */
export function trouble(m, now) {
  /** @param {string} cause @param {number | null} value @param {number | null} since */
  const is = (cause, value, since) => ({ id: m.id, cause, value, since });
  const status = m.effective_status;
  if (quarantined(m, now)) return is("quarantined", null, m.connection_since);
  if (status === "error") return is("error", null, m.status_since);
  if (status === "full") return is("full", m.capacity, m.status_since);
  if (status === "maintenance" || status === "inactive" || m.connection === "never") return null;
  if (m.connection === "offline") {
    const since = m.connection_since ?? m.last_seen_at ?? now;
    return now - since > OFFLINE_ALARM_MS ? is("offline", null, since) : null;
  }
  const causes = healthCauses(m);
  if (m.capacity >= NEARLY_FULL) causes.push(["nearly_full", m.capacity]);
  if (clockCause(m)) causes.push(["clock", m.clock_offset_s]);
  causes.sort((a, b) => RANKS.indexOf(a[0]) - RANKS.indexOf(b[0]));
  if (causes.length) return is(causes[0][0], causes[0][1] ?? null, null);
  return status === "unknown" ? is("unknown", null, m.status_since) : null;
}

/**
 * Every trouble of the fleet: worst cause first, then the oldest.
 * @param {Iterable<Machine>} machines @param {number} now
 */
export function troubles(machines, now) {
  const found = [...machines].map((m) => trouble(m, now)).filter((each) => each !== null);
  return found.sort(
    (a, b) => RANKS.indexOf(a.cause) - RANKS.indexOf(b.cause) || (a.since ?? now) - (b.since ?? now) || a.id - b.id,
  );
}
