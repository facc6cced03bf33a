// One job's card, the same on every page: made from the page's template, patched node by node, cancelled from within.

import { sendCommand } from "./commands.js";
import { all, find, mark, setAttribute, setIcon, setText, show } from "./dom.js";
import { BAD, cardOf } from "./job_words.js";
import { t } from "./texts.js";

/** @typedef {ReturnType<typeof cardOf>} Card */

export class JobCard {
  /** @param {Job} job @param {Part} [node] the card the hub made */
  constructor(job, node = find("#job-card").content.firstElementChild.cloneNode(true)) {
    this.node = node;
    this.job = job;
    node.dataset.job = job.id;
    this.confirm = find(".confirm", node);
    find("form", this.confirm).addEventListener("submit", (event) => this.cancel(event));
  }

  /** @param {Job} job @param {Machine | undefined} machine may be unknown @param {{who: string, zone: string, now: number}} about */
  patch(job, machine, about) {
    this.job = job;
    const away = !machine || !["live", "late"].includes(machine.connection);
    const card = cardOf(job, { ...about, away });
    /** @param {string} name */
    const part = (name) => find(`[data-job-${name}]`, this.node);
    setAttribute(this.node, "data-state", card.state);
    mark(this.node, "bad", BAD.includes(card.state));
    setIcon(find(".i", this.node), card.mark);
    setText(part("what"), card.what);
    setAttribute(part("what"), "href", `/jobs/${card.id}`);
    setText(part("word"), card.word);
    setText(part("ended"), card.ended);
    setText(part("asked"), card.asked);
    setText(part("reason"), card.reason && `“${card.reason}”`);
    this.machine(part("machine"), machine);
    this.line(card);
    this.bar(find("progress", this.node), card.bar);
    setText(part("how"), card.how);
    this.cancelling(card);
  }

  /** @param {Part | null} link @param {Machine | undefined} machine */
  machine(link, machine) {
    if (!link || !machine) return;
    setText(find("bdi", link), machine.name);
    setAttribute(link, "href", `/machines/${machine.id}`);
  }

  /** @param {Card} card */
  line(card) {
    all("li", this.node).forEach((step, place) => {
      const { word, time, done } = card.steps[place];
      setText(find("span", step), word);
      setText(find("time", step), time);
      step.toggleAttribute("data-done", done);
    });
  }

  /** @param {Part} node @param {Card["bar"]} bar */
  bar(node, bar) {
    show(node, bar !== null);
    if (!bar || bar.most === null) return node.removeAttribute("value");
    setAttribute(node, "max", bar.most);
    return setAttribute(node, "value", bar.value);
  }

  /** @param {Card} card */
  cancelling(card) {
    if (document.body.dataset.mayCommand !== "1") return show(this.confirm, false);
    // Somebody whose cancel was overtaken by the end is told where the focus goes: to the job itself.
    if (!card.behind && this.confirm.contains(document.activeElement)) find("[data-job-what]", this.node).focus();
    setText(find("[data-job-behind]", this.confirm), card.behind);
    setAttribute(find("form", this.confirm), "action", `/jobs/${card.id}/cancel`);
    return show(this.confirm, card.behind !== "");
  }

  /** @param {Event} event */
  async cancel(event) {
    event.preventDefault();
    const button = find("button", this.confirm);
    if (button.getAttribute("aria-busy") === "true" || button.getAttribute("aria-disabled") === "true") return;
    setAttribute(button, "aria-busy", "true");
    const answer = await sendCommand(`/api/v2/commands/${this.job.id}/cancel`, {});
    button.removeAttribute("aria-busy");
    const fault = find("[data-job-fault]", this.confirm);
    setText(fault, answer.ok ? "" : answer.message || t("fault.unknown"));
    show(fault, !answer.ok);
    // What became of it is told by the feed.
    if (answer.ok) this.confirm.open = false;
  }
}
