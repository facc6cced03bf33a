// Why a machine does not take a setting, in the reader's language: the browser's half of dashboard/refusals.py.

import { said, t } from "./texts.js";

const SAID = /^([a-z][a-z0-9_]{0,39}):\s+(\S[\s\S]*)$/;
const DETAILS = new Map([
  ["environment", /\(([A-Za-z0-9_]{1,80})\)/],
  ["out_of_bounds", /from (-?[0-9.e+]{1,20}) to (-?[0-9.e+]{0,19}[0-9])/],
  ["too_many", /([0-9]{1,6})/],
]);

/** @param {string} told what the machine says: `code: sentence` */
export function why(told) {
  const [, code, sentence] = SAID.exec(told) ?? [];
  if (code === undefined) return told;
  const words = said("refusal.", code, "");
  if (!words) return sentence;
  const [, ...detail] = DETAILS.get(code)?.exec(sentence) ?? [];
  return detail.length ? `${words} (${detail.join(" … ")})` : words;
}

/**
 * The words beside a field; "" when the machine takes it. A key may be called `constructor`.
 * @param {Record<string, string>} errors @param {string} key
 */
export function refusal(errors, key) {
  return Object.hasOwn(errors, key) ? t("applied.key", { why: why(errors[key]) }) : "";
}
