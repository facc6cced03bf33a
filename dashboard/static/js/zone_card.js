// The buttons of the time zone card, sent without leaving the page. What comes of them the hub draws.

import { patch, refusal, sendCommand } from "./commands.js";
import { begin, find, showWords } from "./dom.js";

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
  if (!begin(button)) return;
  const answer =
    request === "sync"
      ? await sendCommand(`${BASE_PATH}/api/v2/timezone/sync/manual`, { device_id: id })
      : await patch(`${BASE_PATH}/api/v2/rvms/${id}/config/pinned_timezone`, {
          value: request === "pin" ? form.elements.zone.value : null,
        });
  button.removeAttribute("aria-busy");
  showWords(find("#zone [data-fault]"), refusal(answer));
}
