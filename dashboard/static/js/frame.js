// What every page has at once: forms that are sent once (those without a target: what has one leaves the page as it is), and the way back to the list as it was left.

import { find, setAttribute } from "./dom.js";

const SENT_MS = 60000;

/** @param {import("./link_state.js").LinkState} [link] of a page that has a feed */
export function frame(link) {
  const sent = new WeakSet();
  // At the window: whoever sends a form by script has taken it by then.
  addEventListener("submit", (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    const stays = form.target || event.submitter?.hasAttribute("formtarget");
    if (event.defaultPrevented || form.method !== "post") return;
    if (link && (link.away || (link.silent && !navigator.onLine))) {
      event.preventDefault();
      return link.refuse();
    }
    if (stays) return;
    if (sent.has(form)) event.preventDefault();
    sent.add(form);
    const { submitter } = event;
    setAttribute(submitter, "aria-busy", "true");
    const over = () => {
      sent.delete(form);
      submitter?.removeAttribute("aria-busy");
    };
    setTimeout(over, SENT_MS); // whoever presses again on a slow network sends one more
    addEventListener("pagehide", over); // Back may bring the page as it is now
  });
  const home = `${BASE_PATH}/`;
  setAttribute(find(`.crumb a[href="${home}"]`), "href", sessionStorage.getItem("fleet") ?? home);
}

/** Whoever loses the machine of the page is led to all of them, and reads there which it was. */
export const leave = () =>
  location.assign(`${BASE_PATH}/?${new URLSearchParams({ gone: find(".whose").textContent })}`);
