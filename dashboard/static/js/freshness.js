// How fresh what we show of a machine is: the browser's half of dashboard/freshness.py.

import { age } from "./format.js";
import { language, t } from "./texts.js";
import { goneExpectedly } from "./trouble.js";

/** @returns {{mark: string, words: string, quiet: boolean}} @param {Machine} m @param {number} now */
export function freshness(m, now) {
  /** @param {number | null} ms */
  const since = (ms) => age((now - (ms ?? now)) / 1000, language);
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
