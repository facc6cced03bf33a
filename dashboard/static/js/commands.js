// Asks the hub for something by REST. What became of it is told by the feed, never assumed here.

import { t } from "./texts.js";

/**
 * @param {string} address @param {Record<string, any>} body
 * @returns {Promise<{ok: boolean, data: any, message: string}>}
 */
export async function patch(address, body) {
  try {
    const answer = await fetch(address, {
      method: "PATCH",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": document.body.dataset.csrf ?? "", "Idempotency-Key": [...crypto.getRandomValues(new Uint32Array(4))].join("-") },
      body: JSON.stringify(body),
    });
    const said = await answer.json();
    return { ok: answer.ok, data: said.data, message: said.detail ?? "" };
  } catch {
    return { ok: false, data: null, message: t("fault.network") };
  }
}

/** Ask a machine to take a status. Members that are empty are left out. */
export function askStatus(id, body) {
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  return patch(`/api/v2/rvms/${id}/status`, given);
}
