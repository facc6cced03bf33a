// How fresh what we show of a machine is: the browser's half of dashboard/trouble.py.

import { age } from "./format.js";
import { language, t } from "./texts.js";

const EXPECTED_BACK_MS = 10 * 60000;

/** Nothing comes from the hub: whatever it sent last is of the past. */
let silent = false;
/** @param {boolean} on */
export const doubt = (on) => (silent = on);

/** @param {Machine} m */
const there = (m) => m.connection === "live" || m.connection === "late";
/** What it reported is of now. @param {Machine} m */
export const isCurrent = (m) => !silent && there(m);
/** It is late, or nobody knows: each value needs its age. @param {Machine} m */
export const aging = (m) => m.connection === "late" || (silent && there(m));

/** It sent a bye for a reboot or an update, and that is not long ago. @param {Machine} m @param {number} now */
export function goneExpectedly(m, now) {
  const asked = m.connection_reason === "reboot" || m.connection_reason === "update";
  return m.connection === "offline" && asked && now - (m.connection_since ?? now) <= EXPECTED_BACK_MS;
}

/** Two machines fight for one key: the hub lets neither in until then. @param {Machine} m @param {number} now */
export const quarantined = (m, now) => (m.quarantined_until ?? 0) > now;

/** @returns {{mark: string, words: string, quiet: boolean}} @param {Machine} m @param {number} now */
export function freshness(m, now) {
  /** @param {number | null} ms */
  const since = (ms) => age((now - (ms ?? now)) / 1000, language);
  if (silent && there(m)) return { mark: "late", words: t("ago", { age: since(m.last_seen_at) }), quiet: false };
  if (m.connection === "live") return { mark: "live", words: t("connection.live"), quiet: true };
  if (m.connection === "late")
    return { mark: "late", words: t("late.by", { age: since(m.last_seen_at) }), quiet: false };
  if (m.connection === "never") return { mark: "never", words: t("connection.never"), quiet: false };
  if (goneExpectedly(m, now)) return { mark: "offline", words: t(`away.${m.connection_reason}`), quiet: false };
  return {
    mark: "offline",
    words: t("offline.for", { age: since(m.connection_since ?? m.last_seen_at) }),
    quiet: false,
  };
}
