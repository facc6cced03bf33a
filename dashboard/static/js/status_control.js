// The status control: asks by REST and shows what is, never a request as done. How the command fares stands on its job's card.

import { askStatus, refusal } from "./commands.js";
import { all, begin, find, make, setAttribute, setText, show, showWords } from "./dom.js";
import { nextDayAt, number } from "./format.js";
import { isCurrent } from "./freshness.js";
import { language, t } from "./texts.js";

/** Below it the bin itself does not look full. */
const FULL_FROM = 80;
const NEEDS_REASON = ["error", "inactive", "maintenance"];

/**
 * The instant an "until" choice means, as RFC 3339, or "".
 * @param {string} choice @param {number} now hub epoch ms @param {string} zone
 */
export function untilFrom(choice, now, zone) {
  if (!choice) return "";
  return new Date(choice === "tomorrow" ? nextDayAt(7, now, zone) : now + Number(choice) * 3600000).toISOString();
}

export class StatusControl {
  /** @param {number} id @param {import("./feed.js").Feed} feed @param {string} zone */
  constructor(id, feed, zone) {
    this.id = id;
    this.feed = feed;
    this.zone = zone;
    this.form = find("#status-form");
    this.touched = false;
    /** What was asked without an answer that could be read: the hub may have it. @type {{status: string, reason: string} | null} */
    this.unanswered = null;
    // Only for the choice itself: leaving the reason by a press on the button must not move the button away.
    this.form.addEventListener(
      "change",
      (event) => /** @type {Part} */ (event.target).name === "status" && this.chosen(),
    );
    this.form.addEventListener("submit", (event) => this.submit(event));
    this.chosen(false);
  }

  get status() {
    return find("input[name=status]:checked", this.form)?.value ?? "";
  }

  chosen(touched = true) {
    this.touched ||= touched;
    const needed = NEEDS_REASON.includes(this.status);
    show(find("[data-reason]", this.form), needed || this.status === "unknown" || this.status === "full");
    show(find("[data-until]", this.form), this.status === "inactive" || this.status === "maintenance");
    show(find("[data-optional]", this.form), !needed);
    setText(find("[data-optional]", this.form), t("optional"));
    this.fault("");
  }

  /** @param {string} words */
  fault(words) {
    const node = find("[data-fault]", this.form);
    showWords(node, words, find("span", node));
    if (!words) setAttribute(this.form.elements.reason, "aria-invalid", "false");
  }

  /** @param {Event} event */
  async submit(event) {
    event.preventDefault();
    const button = find("[data-send]", this.form);
    const sure = find("[data-sure]:not([hidden]) input", this.form);
    if (this.status === "full" && sure && !sure.checked) return this.fault(t("full.unsure"));
    const field = this.form.elements.reason;
    const reason = field.value.trim();
    if (!begin(button)) return undefined;
    const timed = this.status === "inactive" || this.status === "maintenance";
    const until = timed ? untilFrom(this.form.elements.until.value, this.feed.clock.now(), this.zone) : "";
    const asked = { status: this.status, reason };
    this.unanswered = null;
    const answer = await askStatus(this.id, { ...asked, until });
    button.removeAttribute("aria-busy");
    setAttribute(field, "aria-invalid", String("reason" in answer.errors));
    if (answer.ok) {
      this.done(asked);
      return this.confirm(asked.status, answer.data.command.id);
    }
    this.unanswered = answer.status === 0 ? asked : null;
    if (answer.errors.reason && !reason) {
      this.fault(t("reason.missing"));
      return field.focus();
    }
    this.fault(refusal(answer));
    if (this.machine) this.patch(this.machine);
    return undefined;
  }

  /** Beside the button, with a way back. @param {string} status @param {string} command */
  confirm(status, command) {
    const note = find("#done");
    setText(find("[data-said]", note), t("undo.asked", { status: t(`status.${status}`) }));
    const id = find("[name=command]", note);
    id.value = command;
    show(note, false);
    void note.offsetWidth; // Its ten seconds begin again.
    show(note, true);
  }

  /** It is asked. What somebody has chosen or typed since stays. @param {{status: string, reason: string}} asked */
  done(asked) {
    const { reason } = this.form.elements;
    this.unanswered = null;
    if (reason.value.trim() === asked.reason) reason.value = "";
    if (this.status !== asked.status) return;
    this.touched = reason.value !== "";
    this.fault("");
  }

  /** The machine as the hub reports it now. @param {Machine} m */
  patch(m) {
    this.machine = m;
    const asked = this.unanswered;
    if (asked && m.effective_status === asked.status && (m.status_reason ?? "") === asked.reason) this.done(asked);
    for (const label of all(".options label", this.form)) this.option(label, m);
    const sure = find("[data-sure]", this.form);
    show(sure, m.capacity > 0 && m.capacity < FULL_FROM);
    setText(find("span", sure), t("full.sure", { value: number(m.capacity, language) }));
    show(find("#when-offline"), m.connection === "offline" || m.connection === "never");
  }

  /** @param {Part} label @param {Machine} m */
  option(label, m) {
    const input = find("input", label);
    const is = input.value === m.effective_status;
    const known = is && m.connection !== "never";
    if (!known) find(".now", label)?.remove();
    else if (!find(".now", label)) label.append(make("span", { class: "now" }));
    if (known) setText(find(".now", label), t(isCurrent(m) ? "status.now" : "last_known"));
    // Somebody who is choosing keeps the choice; otherwise the control shows what is.
    if (is && !this.touched && !input.checked) {
      input.checked = true;
      this.chosen(false);
    }
  }
}
