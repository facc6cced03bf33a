// The status control: asks by REST, then shows what the hub tells of the command. Never shows a wish as done.

import { askStatus } from "./commands.js";
import { all, find, make, mark, setAttribute, setText, show } from "./dom.js";
import { day, zoneAhead } from "./format.js";
import { language, t } from "./texts.js";

const NEEDS_REASON = ["error", "inactive", "maintenance"];
const STEPS = { queued: 1, sent: 2, accepted: 3, running: 3, succeeded: 4 };

/** The instant an "until" choice means, as RFC 3339, or "". @param {string} choice @param {number} now hub epoch ms */
export function untilFrom(choice, now, zoneHours = 7) {
  if (!choice) return "";
  if (choice !== "tomorrow") return new Date(now + Number(choice) * 3600000).toISOString();
  const local = new Date(now + zoneHours * 3600000);
  return new Date(Date.UTC(local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate() + 1, 7) - zoneHours * 3600000).toISOString();
}

/** Whether `job` is news after `known`: a newer command, or a later state of the same one. An end is final. */
export function follows(known, job) {
  if (known.id !== job.id) return job.issued_at >= known.issued_at;
  return known.finished_at === null && (job.finished_at !== null || STEPS[job.state] >= STEPS[known.state]);
}

/** What a command's state means in words. @param {any} job @param {(ms: number) => string} when @param {boolean} away */
export function jobWords(job, when, away) {
  if (job.state === "queued") return away ? t("how.queued", { until: when(job.expires_at) }) : t("how.sending");
  if (job.state === "failed" || job.state === "rejected") return t(`how.${job.state}`, { why: job.error?.message ?? job.error?.code ?? "" });
  return t(`how.${job.state}`);
}

export class StatusControl {
  /** @param {number} id @param {import("./feed.js").Feed} feed @param {string} zone */
  constructor(id, feed, zone) {
    Object.assign(this, { id, feed, zone });
    this.form = find("#status-form");
    this.asked = find("#asked");
    this.job = null;
    this.touched = false;
    // Only for the choice itself: leaving the reason by a press on the button must not move the button away.
    this.form.addEventListener("change", (event) => event.target.name === "status" && this.chosen());
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
    show(find("[data-fault]", this.form), false);
  }

  fault(words) {
    const node = find("[data-fault]", this.form);
    setText(node, words);
    show(node, true);
  }

  async submit(event) {
    event.preventDefault();
    const button = find("[data-send]", this.form);
    if (button.getAttribute("aria-busy") === "true" || button.getAttribute("aria-disabled") === "true") return;
    const reason = this.form.elements.reason.value.trim();
    if (NEEDS_REASON.includes(this.status) && !reason) {
      this.fault(t("reason.missing"));
      return this.form.elements.reason.focus();
    }
    setAttribute(button, "aria-busy", "true");
    const timed = this.status === "inactive" || this.status === "maintenance";
    const until = timed ? untilFrom(this.form.elements.until.value, this.feed.clock.now(), zoneAhead(this.zone, this.feed.clock.now()) / 3600000) : "";
    const answer = await askStatus(this.id, { status: this.status, reason, until });
    button.removeAttribute("aria-busy");
    if (!answer.ok) return this.fault(answer.message || t("fault.unknown"));
    this.touched = false;
    this.form.elements.reason.value = "";
    return undefined;
  }

  /** The machine as the hub tells it now. */
  patch(m) {
    this.machine = m;
    for (const label of all(".options label", this.form)) this.option(label, m.effective_status);
    show(find("#when-offline"), m.connection === "offline" || m.connection === "never");
    const open = m.pending.filter((job) => job.name === "set_status").at(-1);
    if (open) this.heard(open);
  }

  option(label, status) {
    const input = find("input", label);
    const is = input.value === status;
    const now = find(".now", label);
    if (is && !now) label.append(make("span", { class: "now" }, t("status.now")));
    else if (!is) now?.remove();
    // Somebody who is choosing keeps the choice; otherwise the control shows what is.
    if (is && !this.touched && !input.checked) {
      input.checked = true;
      this.chosen(false);
    }
  }

  /** A command of this machine moved. */
  heard(job) {
    if (job.rvm_id !== this.id || job.name !== "set_status") return;
    if (this.job && !follows(this.job, job)) return;
    this.job = job;
    const away = this.machine && !["live", "late"].includes(this.machine.connection);
    const when = (ms) => day(ms, this.feed.clock.now(), this.zone, language);
    show(this.asked, true);
    setText(find("[data-what]", this.asked), t("asked", { status: t(`status.${job.args.special_status ?? job.args.status}`) }));
    setText(find("[data-how]", this.asked), jobWords(job, when, away));
    const reached = STEPS[job.state] ?? 0;
    all("[data-step]", this.asked).forEach((step, place) => step.toggleAttribute("data-done", place < reached));
    mark(this.asked, "bad", ["failed", "rejected", "expired"].includes(job.state));
  }
}
