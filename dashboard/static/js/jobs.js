// The jobs that the hub draws on a page: cancelled from within, and announced when they end.

import { refusal, sendCommand } from "./commands.js";
import { all, begin, find, setText, showWords } from "./dom.js";
import { span } from "./format.js";
import { language, t } from "./texts.js";

const OPEN = ["queued", "sent", "accepted", "running"];

export class Jobs {
  /** @param {import("./announcer.js").Announcer} spoken */
  constructor(spoken) {
    this.spoken = spoken;
    this.open = this.standing();
    document.addEventListener("submit", (event) => {
      const job = /** @type {Part} */ (event.target).closest("[data-job]");
      if (job) cancel(event, job);
    });
  }

  standing() {
    return new Set(all("[data-job]").flatMap(({ dataset }) => (OPEN.includes(dataset.state) ? [dataset.job] : [])));
  }

  /** The hub has drawn jobs anew. */
  drawn() {
    const before = this.open;
    this.open = this.standing();
    for (const node of all("[data-job]"))
      if (before.has(node.dataset.job) && !this.open.has(node.dataset.job)) this.announce(node);
  }

  /** @param {Part} node */
  announce(node) {
    /** @param {string} part */
    const words = (part) => find(part, node)?.textContent ?? "";
    const name = words("[data-job-machine]") || (find("#head h1")?.textContent ?? "");
    this.spoken.add(t("said.job", { name, what: words("[data-job-what]"), word: words("[data-job-word]") }));
  }
}

/** How long a job still waits for whoever is in front of the machine. @param {number} now the hub's */
export function countDown(now) {
  for (const node of all("[data-gives-up]")) {
    const left = Math.max(0, Number(node.dataset.givesUp) - now);
    setText(node, t("job.gives_up", { span: span(left / 1000, language) }));
  }
}

/** @param {Event} event @param {Part} job */
async function cancel(event, job) {
  event.preventDefault();
  const button = find(".confirm button", job);
  if (!begin(button)) return;
  const answer = await sendCommand(`${BASE_PATH}/api/v2/commands/${job.dataset.job}/cancel`, {});
  button.removeAttribute("aria-busy");
  const fault = find("[data-job-fault]", job);
  showWords(fault, refusal(answer));
  // Its outcome comes by the feed.
  if (!answer.ok) return;
  const question = find(".confirm", job);
  // What is shut loses the focus, and soon there is nothing to cancel.
  if (question.contains(document.activeElement)) (find("a[data-job-what]", job) ?? find("summary", question)).focus();
  question.open = false;
}
