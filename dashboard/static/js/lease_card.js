// The leases of a machine on its page: countdown, extend, end, approve; and who works with one is not disturbed.

import { refusal, sendCommand } from "./commands.js";
import { all, begin, bring, find, setAttribute, setText, show, showWords } from "./dom.js";
import { countdown } from "./lease_words.js";
import { t } from "./texts.js";

export class LeaseCard {
  /** @param {number} id */
  constructor(id) {
    this.id = id;
    this.brought = false;
    document.addEventListener("submit", (event) => {
      const form = /** @type {Part} */ (event.target);
      if (form.dataset.ask) this.submit(event, form);
    });
    this.bring();
  }

  /** Terminal and files come only for whoever has a lease here. */
  bring() {
    if (this.brought || !find("#work")) return;
    this.brought = true;
    bring(document.body.dataset.session);
  }

  /** Who was signed out reads nothing more of it: it may be over. */
  leave() {
    for (const card of all("#leases [data-session]")) close(card, false);
  }

  /** @param {number} now */
  tick(now) {
    for (const card of all("#leases [data-session]:not([data-status=ended])")) {
      const left = Number(card.dataset.expires) - now;
      setText(find("[data-left]", card), countdown(left));
      card.toggleAttribute("data-soon", left < 120000);
    }
  }

  /**
   * Whether a part may become the fresh one: not while somebody works in it, whose lease is over or another now.
   * @param {Part} part @param {Part} fresh
   */
  allows(part, fresh) {
    if (part.id === "leases") {
      const over = all("[data-session]", part).filter(
        (card) => !find(`[data-session="${card.dataset.session}"]`, fresh),
      );
      if (!over.length || !inUse()) return true;
      for (const card of over) close(card);
    } else if (part.id === "lease-place") {
      if (part.dataset.place === fresh.dataset.place) return !find("#work");
      if (!inUse()) return find("#work", fresh) && this.brought ? location.reload() : true;
      for (const used of all("#pages, #files")) used.inert = true;
      const why = find("[data-closed]", fresh);
      // Also where the eyes of whoever typed are.
      if (why) for (const node of all("#stale [data-said], [data-term=note] b")) setText(node, why.textContent.trim());
    } else return true;
    show(find("#stale"), true);
    return false;
  }

  /**
   * By REST, so that a terminal stays open; what comes of it the hub draws.
   * @param {Event} event @param {Part} form
   */
  async submit(event, form) {
    event.preventDefault();
    const button = find("button", form);
    if (!begin(button)) return;
    /** @type {Free} */
    const given = { session_id: Number(form.elements.session_id.value) };
    if (form.elements.duration) given.duration = Number(form.elements.duration.value);
    if (form.elements.reason?.value) given.reason = form.elements.reason.value;
    const answer = await sendCommand(`${BASE_PATH}/api/v2/rvms/${this.id}/remote-access/${form.dataset.ask}`, given);
    button.removeAttribute("aria-busy");
    const fault = find("#lease-fault");
    showWords(fault, refusal(answer), find("span", fault));
  }
}

/** A terminal is open, a file is on its way, or somebody types why they want a lease. */
function inUse() {
  return find("[data-used]") || find("[data-moving]:not([hidden])") || find("#start-form")?.elements.reason.value;
}

/** A session that is over while its page stays for what the terminal shows: nothing of it can be used any more. @param {Part} card @param {boolean} [ended] that is known */
function close(card, ended = true) {
  if (card.dataset.status === "ended") return;
  setAttribute(card, "data-status", "ended");
  card.removeAttribute("data-soon");
  find(".pill", card).replaceChildren(t("lease.ended"));
  show(find(".pill", card), ended);
  for (const part of [find(".lease-acts", card), find("[data-left]", card)?.closest("div")])
    if (part) show(part, false);
}
