// Why there is no terminal, or no more: a code as what happened and what to do, in the reader's language.

import { t, textOf } from "./texts.js";

/** Codes of the hub and of the machine that mean the same to a person. @type {Record<string, string>} */
const SAME = {
  no_tunnel: "agent_gone",
  timeout: "agent_gone",
  link_lost: "agent_gone",
  offline: "machine_offline",
  forbidden: "denied",
  not_allowed: "denied",
  stopped: "lease_over",
  timed_out: "lease_over",
  no_lease: "lease_over",
  not_active: "lease_over",
  session_over: "lease_over",
  hub_restarted: "lease_over",
  agent_restarted: "lease_over",
  revoked: "denied",
  unknown_terminal: "gone",
  not_found: "gone",
  browser_gone: "gone",
  not_recorded: "recording_failed",
  hub_restarting: "no_answer",
};
/** After these another try on the same lease makes sense. */
const AGAIN = [
  "exited",
  "closed",
  "agent_gone",
  "machine_offline",
  "no_answer",
  "gone",
  "internal",
  "too_many",
  "no_shell",
];

/** @param {string} code @param {number | null} exit @returns {{code: string, what: string, hint: string, again: boolean}} */
export function explain(code, exit = null) {
  const known = Object.hasOwn(SAME, code) ? SAME[code] : String(code);
  const what = textOf("term_over.", known, t("term_over.internal"));
  const ended = known === "exited" && exit !== null && exit !== 0 ? t("term.exit", { code: exit }) : what;
  return {
    code: known,
    what: ended,
    hint: textOf("term_hint.", known, t("term_hint.internal")),
    again: AGAIN.includes(known),
  };
}
