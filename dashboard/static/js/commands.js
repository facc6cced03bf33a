// Asks the hub for something by REST. Its outcome comes by the feed, never assumed here.

import { t } from "./texts.js";

/** A key for one request: repeated with the same one, it is done once. */
export const newKey = () => [...crypto.getRandomValues(new Uint32Array(4))].join("-");

/**
 * @param {string} method @param {string} address @param {Free} body @param {string} [key]
 * @returns {Promise<Answer>} `status` 0: nobody knows whether it arrived
 */
async function ask(method, address, body, key = newKey()) {
  try {
    const answer = await fetch(address, {
      method,
      headers: {
        "Content-Type": "application/json",
        "X-CSRF-Token": document.body.dataset.csrf ?? "",
        "Idempotency-Key": key,
      },
      body: JSON.stringify(body),
    });
    const found = await answer.json();
    return {
      ok: answer.ok,
      status: answer.status,
      data: found.data,
      message: found.detail ?? "",
      errors: found.errors ?? {},
    };
  } catch {
    return { ok: false, status: 0, data: null, message: t("fault.network"), errors: {} };
  }
}

/** Why it was not done, "" when it was. @param {Answer} answer */
export const refusal = (answer) => (answer.ok ? "" : answer.message || t("fault.unknown"));

/** @param {string} address @param {Free} body */
export const patch = (address, body) => ask("PATCH", address, body);

/**
 * A new command, or a cancel. `key`: the request's own, so that trying again cannot do it twice.
 * @param {string} address @param {Free} body @param {string} [key]
 */
export const sendCommand = (address, body, key) => ask("POST", address, body, key);

/** Ask a machine to take a status. Members that are empty are left out. @param {number} id @param {Record<string, string>} body */
export function askStatus(id, body) {
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value));
  return patch(`${BASE_PATH}/api/v2/rvms/${id}/status`, given);
}
