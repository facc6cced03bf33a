// The buttons of the time zone card, sent without leaving the page. What comes of them the hub draws.

import { patch, sendCommand } from "./commands.js";
import { find, setAttribute, setText, show } from "./dom.js";
import { t } from "./texts.js";

/** @param {number} id */
export function zoneCard(id) {
  find("#zone").addEventListener("submit", (event) => submit(event, id));
}

/** @param {Event} event @param {number} id */
async function submit(event, id) {
  const form = /** @type {Part} */ (event.target);
  const request = form.dataset.request;
  // The page that comes back says who kept it, and since when.
  if (request === "keep") return;
  event.preventDefault();
  const button = find("button", form);
  if (button.getAttribute("aria-busy") === "true" || button.getAttribute("aria-disabled") === "true") return;
  setAttribute(button, "aria-busy", "true");
  const answer =
    request === "sync"
      ? await sendCommand(`${BASE_PATH}/api/v2/timezone/sync/manual`, { device_id: id })
      : await patch(`${BASE_PATH}/api/v2/rvms/${id}/config/pinned_timezone`, {
          value: request === "pin" ? form.elements.zone.value : null,
        });
  button.removeAttribute("aria-busy");
  const fault = find("#zone [data-fault]");
  setText(fault, answer.ok ? "" : answer.message || t("fault.unknown"));
  show(fault, !answer.ok);
}
