// The Jobs page and the page of one job, live.

import { Announcer } from "../announcer.js";
import { countFleet } from "../counts.js";
import { all, find, make, setText, show } from "../dom.js";
import { Feed } from "../feed.js";
import { number, span } from "../format.js";
import { frame } from "../frame.js";
import { JobBoard } from "../job_board.js";
import { OPEN, results, what } from "../job_words.js";
import { keyboard } from "../keyboard.js";
import { guardButtons, LinkState } from "../link_state.js";
import { matches } from "../order.js";
import { language, t } from "../texts.js";

const TALLY_MS = 500;
const single = document.body.dataset.page === "job" ? document.body.dataset.id : "";
const query = JSON.parse(document.body.dataset.query ?? "{}");
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));
const [open, ended] = [find("#open"), find("#ended")];
let counting = 0;

const feed = new Feed(null, {
  /** @param {number[]} ids @param {number[]} _removed @param {boolean} whole */
  changed(ids, _removed, whole) {
    board.changed(ids, whole);
    count(countFleet(feed));
    // What moved between the making of this page and the first word of the feed, or while it was away.
    if (whole && query.group) tallySoon();
  },
  /** @param {Job} job */
  job(job) {
    board.heard(job);
    if (query.group && job.group_id === query.group) tallySoon();
  },
  link: (state) => link.set(state),
  version: (name) => link.version(name),
});
const link = new LinkState(feed);
const board = new JobBoard(feed, { root: find("#main"), wants, place, ended: over });

/**
 * Whether a job belongs on this page, which shows what its address asks for.
 * @param {Job} job @param {Machine | undefined} machine
 */
function belongs(job, machine) {
  if (query.name && job.name !== query.name) return false;
  if (query.group && job.group_id !== query.group) return false;
  if (query.rvm !== null && job.rvm_id !== query.rvm) return false;
  return !query.text || Boolean(machine && matches(machine, { text: query.text }));
}

/** @param {Job} job @param {Machine | undefined} machine */
function wants(job, machine) {
  if (single || !query.first || !belongs(job, machine)) return false;
  if (job.finished_at === null) return open !== null;
  return ended !== null && ["", "ended", job.state].includes(query.state);
}

/** Newest on top; a card that is being read or used stays where it is. @param {import("../job_card.js").JobCard} card @param {boolean} isNew */
function place(card, isNew) {
  const list = card.job.finished_at === null ? open : ended;
  const held = card.node.matches(":hover") || card.node.contains(document.activeElement);
  if (single || !list || !query.first || (held && !isNew)) return;
  if (card.job.finished_at !== null && !["", "ended", card.job.state].includes(query.state)) return;
  list.prepend(card.node);
  show(find("#none-open"), !open?.children.length);
  show(find("#none-ended"), !ended?.children.length);
}

/** @param {import("../job_card.js").JobCard} card */
function over(card) {
  const { job } = card;
  const name = feed.fleet.machines.get(job.rvm_id)?.name ?? "";
  spoken.add(t("said.job", { name, what: what(job), word: find("[data-job-word]", card.node).textContent }));
  if (single) detail(job);
}

/** @param {Machine[]} machines */
function count(machines) {
  if (single || !find("#open-count")) return;
  const total = machines.reduce((sum, m) => sum + m.pending.filter((job) => belongs(job, m)).length, 0);
  setText(find("#open-count"), number(total, language));
}

/** What the page of one job says beside its card, once it has ended. @param {Job} job */
function detail(job) {
  setText(find("[data-detail=error_code] bdi"), job.error?.code ?? "");
  show(find("[data-detail=error_code]").parentNode, Boolean(job.error?.code));
  const rows = results(job.result).map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi", {}, value))),
  );
  find("#result dl").replaceChildren(...rows);
  show(find("#result"), rows.length > 0);
  const words = `${find("[data-job-word]").textContent}: ${what(job)}`;
  document.body.dataset.title = [words, feed.fleet.machines.get(job.rvm_id)?.name].filter(Boolean).join(" – ");
}

/** A deadline that comes nearer. */
function tick() {
  const node = find("[data-detail=deadline] bdi");
  const until = Number(node?.parentNode.dataset.at);
  const job = board.cards.get(single ?? "")?.job;
  if (!node || !job) return;
  const left = until - feed.clock.now();
  const ahead = OPEN.includes(job.state) && left > 0;
  setText(
    node,
    ahead
      ? t("job.deadline.open", { time: node.parentNode.dataset.words, age: span(left / 1000, language) })
      : node.parentNode.dataset.words,
  );
}

function tallySoon() {
  clearTimeout(counting);
  counting = setTimeout(tally, TALLY_MS);
}

async function tally() {
  try {
    const answer = await fetch(`/jobs/tally.json?${new URLSearchParams({ group: query.group })}`, {
      credentials: "same-origin",
    });
    if (!answer.ok) return;
    const parts = (await answer.json()).map((/** @type {{words: string, address?: string}} */ { words, address }) =>
      make("span", {}, words, ...(address ? [" ", make("a", { href: address }, `[${t("tally.show")}]`)] : [])),
    );
    find("#tally").replaceChildren(...parts);
  } catch {
    // The next job that moves asks again.
  }
}

/** The next (1) or previous (-1) job. @param {number} way */
function step(way) {
  const links = all("[data-job-what]").filter((node) => node.offsetParent);
  const card = document.activeElement?.closest("[data-job]");
  const at = card ? links.indexOf(find("[data-job-what]", card)) : -1;
  links[Math.min(links.length - 1, Math.max(0, at + way))]?.focus();
}

for (const select of all("#tools select")) select.addEventListener("change", () => select.form.requestSubmit());
if (single) setInterval(tick, 1000);
frame();
guardButtons();
keyboard({
  "/": () => find("#tools input")?.focus(),
  j: () => step(1),
  k: () => step(-1),
});
feed.start();
