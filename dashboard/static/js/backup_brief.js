// How a machine's backups stand, in a word: the browser's half of `brief` in dashboard/backups.py.

import { age } from "./format.js";
import { language, t } from "./texts.js";

/** @type {Record<string, string>} */
export const MARKS = {
  running: "auto",
  asked: "late",
  drill: "warn",
  failed: "warn",
  late: "warn",
  unverified: "warn",
  only_agent: "warn",
  cancelled: "inactive",
  verified: "active",
  untried: "inactive",
  none: "never",
};

/** @param {Backup | undefined} backup @param {number} now */
export function briefCode(backup, now) {
  if (backup?.open_status === "uploading") return "running";
  if (backup?.drill_failed_at) return "drill";
  if (backup?.failed_at) return "failed";
  if (backup?.late_at && backup.late_at <= now) return "late";
  if (backup?.unverified_at && backup.unverified_at <= now) return "unverified";
  if (backup?.open) return "asked";
  if (backup?.only_agent) return "only_agent";
  if (backup?.cancelled_at) return "cancelled";
  return backup?.verified_at ? "verified" : backup?.good_at ? "untried" : "none";
}

/** The same in a line. @param {Backup | undefined} backup @param {number} now */
export function backupShort(backup, now) {
  const words = t(`backup.short.${briefCode(backup, now)}`);
  if (!backup?.good_at) return words;
  return t("backup.short.at", { age: age((now - backup.good_at) / 1000, language), words });
}
