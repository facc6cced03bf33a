// The leases of a machine on its page, kept true: countdown, extend, end, approve; and the form that begins one.

import { sendCommand } from "./commands.js";
import { all, find, setAttribute, setText, show } from "./dom.js";
import { countdown } from "./lease_words.js";
import { t } from "./texts.js";

/** What the page shows of a machine's lease, as one word: another word is another page. @param {Pick<Lease, "id" | "status"> | null} lease */
export const shownAs = (lease) => (lease ? `${lease.id} ${lease.status}` : "");

export class LeaseCard {
  /** @param {number} id @param {import("./feed.js").Feed} feed */
  constructor(id, feed) {
    this.id = id;
    this.feed = feed;
    this.root = find("#leases");
    for (const form of all("form[data-ask]")) form.addEventListener("submit", (event) => this.submit(event, form));
  }

  /** The machine as the hub tells it now. @param {Machine} m */
  patch(m) {
    if (m.lease) setAttribute(find(`[data-session="${m.lease.id}"]`, this.root), "data-expires", m.lease.expires_at);
    if (shownAs(m.lease) === this.root.dataset.shown) return;
    this.changed();
    const before = this.root.dataset.shown.split(" ")[0];
    for (const over of all("[data-session]", this.root))
      if (!m.lease || (over.dataset.session === before && before !== String(m.lease.id))) close(over);
  }

  /** @param {number} now */
  tick(now) {
    for (const card of all("[data-session]:not([data-status=ended])", this.root)) {
      const left = Number(card.dataset.expires) - now;
      setText(find("[data-left]", card), countdown(left));
      card.toggleAttribute("data-soon", left < 120000);
    }
  }

  /** Another state needs another page; who has a terminal open or is typing is asked first. */
  changed() {
    const typing = find("#start-form")?.elements.reason.value;
    if (!find("[data-used]") && !find("[data-moving]:not([hidden])") && !typing) return location.reload();
    show(find("#stale"), true);
    return undefined;
  }

  /**
   * By REST, so that a terminal stays open; what comes of it is told by the feed.
   * @param {Event} event @param {Part} form
   */
  async submit(event, form) {
    event.preventDefault();
    const button = find("button", form);
    if (button.getAttribute("aria-busy") === "true" || button.getAttribute("aria-disabled") === "true") return;
    setAttribute(button, "aria-busy", "true");
    /** @type {Free} */
    const given = { session_id: Number(form.elements.session_id.value) };
    if (form.elements.duration) given.duration = Number(form.elements.duration.value);
    if (form.elements.reason?.value) given.reason = form.elements.reason.value;
    const answer = await sendCommand(`/api/v2/rvms/${this.id}/remote-access/${form.dataset.ask}`, given);
    button.removeAttribute("aria-busy");
    const fault = find("#lease-fault");
    setText(find("span", fault), answer.ok ? "" : answer.message || t("fault.unknown"));
    show(fault, !answer.ok);
  }
}

/** A session that is over while its page stays for what the terminal shows: nothing of it can be used any more. @param {Part} card */
function close(card) {
  if (card.dataset.status === "ended") return;
  setAttribute(card, "data-status", "ended");
  card.removeAttribute("data-soon");
  find(".pill", card).replaceChildren(t("lease.ended"));
  for (const part of [find(".lease-acts", card), find("[data-left]", card)?.closest("div")])
    if (part) show(part, false);
  if (find("#work")?.dataset.work === card.dataset.session) for (const part of all("#pages, #files")) part.inert = true;
}
