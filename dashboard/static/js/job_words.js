// A command as people read it: the browser's half of dashboard/jobs.py.

import { clock, day, number } from "./format.js";
import { language, said, t } from "./texts.js";

export const OPEN = ["queued", "sent", "accepted", "running"];
export const BAD = ["failed", "rejected", "expired"];
const ENDED = ["succeeded", ...BAD, "cancelled"];
/** @type {Record<string, number>} */
const REACHED = { queued: 1, sent: 2, accepted: 3, running: 3, succeeded: 4, failed: 4 };
/** @type {Record<string, string>} */
const MARKS = {
  queued: "late",
  sent: "auto",
  accepted: "auto",
  running: "auto",
  succeeded: "active",
  failed: "error",
  rejected: "error",
  expired: "warn",
  cancelled: "inactive",
};

/** @typedef {{who: string, away: boolean, zone: string, now: number}} About whose words, and where and when they are read */

/** Whether `job` is news after `known`, an earlier word of the same command. An end is final. @param {Pick<Job, "state" | "finished_at">} known @param {Pick<Job, "state" | "finished_at">} job */
export function follows(known, job) {
  return known.finished_at === null && (job.finished_at !== null || REACHED[job.state] >= REACHED[known.state]);
}

/**
 * Everything a job's card says.
 * @param {Job} job @param {About} about
 */
export function cardOf(job, about) {
  const { who, zone, now } = about;
  return {
    id: job.id,
    state: job.state,
    mark: MARKS[job.state] ?? "unknown",
    what: what(job),
    word: word(job.state),
    ended: job.finished_at === null ? "" : clock(job.finished_at, zone, language, true),
    asked: t("job.asked", { who, time: day(job.issued_at, now, zone, language) }),
    reason: job.reason || (passedOn(job) || job.name === "stop_remote_access" ? "" : job.args.reason) || "",
    steps: steps(job, zone),
    bar: bar(job),
    how: how(job, about),
    behind: OPEN.includes(job.state) && job.cancel_at === null ? behind(job) : "",
  };
}

/** @param {Job} job */
export function what(job) {
  const { args, name } = job;
  if (passedOn(job)) return told(args);
  if (name === "set_status")
    return t("what.set_status", { status: said("status.", String(args.special_status || args.status)) });
  if (name === "sync_timezone" && args.timezone) return t("what.set_timezone", { zone: args.timezone });
  if (name === "restart_service") return t("what.restart_service", { service: args.service ?? "" });
  return name === "reboot" && args.force ? t("what.reboot_forced") : said("what.", name);
}

/**
 * A machine or the clock wishes nothing: the agent is told what was declared past it, whoever's reason it is.
 * @param {Job} job
 */
function passedOn(job) {
  return job.name === "set_status" && ["machine", "clock"].includes(String(job.issued_by).split(":")[0]);
}

/** @param {Free} args */
function told(args) {
  const status = said("status.", String(args.status));
  if (!args.special_status) return t("what.tell_status", { status });
  return t("what.tell_status_under", { status, special: said("status.", String(args.special_status)) });
}

/** @param {string} state */
function word(state) {
  const names = /** @type {Record<string, string>} */ ({ accepted: "running", succeeded: "done" });
  return said("step.", names[state] ?? state);
}

/** Where it is, or how it ended, as a sentence. @param {Job} job @param {About} about */
function how(job, { away, zone, now }) {
  const { state } = job;
  const left = job.sent_at !== null;
  if (OPEN.includes(state) && job.cancel_at !== null) return t("how.cancelling");
  if (state === "queued")
    return away ? t("how.queued", { until: day(job.expires_at, now, zone, language) }) : t("how.sending");
  if (OPEN.includes(state) && away)
    return job.name === "reboot" && state !== "sent" ? t("how.rebooting") : t("how.sent_away");
  if (state === "running" && job.progress) return progress(job.progress);
  if (state === "failed" || state === "rejected") return t(`how.${state}`, { why: why(job.error) });
  if (state === "expired" && left) {
    const refused = job.error?.code === "expired" && job.error.by !== "hub";
    return t(refused ? "how.expired_refused" : "how.expired_sent");
  }
  if (state === "cancelled" && (job.error?.code ?? "cancelled") !== "cancelled")
    return t("how.cancelled_why", { why: why(job.error) });
  if (state === "cancelled") return left ? t("how.cancelled_sent") : t("how.cancelled_unsent");
  return said("how.", state);
}

/** A failure in the reader's language; the machine's own sentence for a code nobody here knows. @param {Free | null} error */
export function why(error) {
  const code = String(error?.code ?? "");
  return said("failure.", code, String(error?.message || code));
}

/** @param {Free} at */
function progress({ phase: told, done, total }) {
  const phase = said("phase.", String(told ?? ""));
  const amount = (/** @type {number} */ value) => number(value, language);
  if ((done ?? null) === null) return phase;
  return (total ?? null) === null
    ? t("phase.done", { phase, done: amount(done) })
    : t("phase.amount", { phase, done: amount(done), total: amount(total) });
}

/** Only while the machine is at it: a bar that stands at nothing reads as a hang. @param {Job} job */
function bar(job) {
  if (job.state !== "running") return null;
  const { done, total } = job.progress ?? {};
  return (done ?? null) !== null && total > 0
    ? { value: Math.max(0, Math.min(done, total)), most: total }
    : { value: 0, most: null };
}

/** @param {Job} job @param {string} zone */
function steps(job, zone) {
  const ended = ENDED.includes(job.state);
  const reached = REACHED[job.state] ?? (job.sent_at === null ? 1 : 2);
  const times = [job.issued_at, job.sent_at, null, job.finished_at];
  const words = [t("step.queued"), t("step.sent"), t("step.running"), ended ? word(job.state) : t("step.done")];
  return words.map((name, place) => ({
    word: name,
    time: (times[place] ?? null) === null ? "" : clock(Number(times[place]), zone, language, true),
    done: place < reached || (ended && place === 3),
  }));
}

/** What a cancel leaves as it is. @param {Job} job */
function behind(job) {
  return job.state === "queued" && job.sent_at === null
    ? t("behind.unsent")
    : said("behind.", job.name, t("behind.other"));
}

/** What the machine answered, as [name, value]; a value inside a value keeps its path. @param {Free | null} told */
export function results(told) {
  /** @type {[string, string][]} */
  const found = [];
  /** @param {string} path @param {any} value */
  const add = (path, value) => {
    if (Array.isArray(value)) found.push([path, value.map(plainly).join(", ")]);
    else if (value !== null && typeof value === "object")
      for (const [name, inner] of Object.entries(value)) add(path ? `${path}.${name}` : name, inner);
    else found.push([path, plainly(value)]);
  };
  add("", told ?? {});
  return found.map(([name, value]) => [said("result.", name), value]);
}

/** @param {any} value @returns {string} */
function plainly(value) {
  if (typeof value === "boolean") return value ? t("yes") : t("no");
  if (typeof value === "number") return number(value, language, Number.isInteger(value) ? 0 : 2);
  return value === null || value === undefined || value === "" ? "—" : String(value);
}
