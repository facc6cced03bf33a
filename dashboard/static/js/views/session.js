// What a lease allows, on its page: terminal and files. Fetched when there is a lease of one's own.

import { all, find, setText, show } from "../dom.js";
import { FilesPanel } from "../files_panel.js";
import { countdown } from "../lease_words.js";
import { TerminalView } from "../terminal_view.js";
import { t } from "../texts.js";

const SOON_MS = 120000;
const { body } = document;
const work = find("#work");
const session = Number(work.dataset.work);
const zone = body.dataset.zone ?? "";
// The page that fetched this script has a feed.
const now = () => /** @type {import("../feed.js").Feed} */ (body.feed).clock.now();
/** @param {string} sentence */
const announce = (sentence) => setText(find("#announcer"), sentence);

const terminal = find("#terminal");
const files = find("#files");
const view = terminal && new TerminalView(terminal, { session, zone, now, announce });
if (files) new FilesPanel(files, { machine: Number(body.dataset.id), session, zone, now });
let warned = false;

/** The time that is left stands in the terminal's head as well; two minutes before the end it is announced. */
function tick() {
  const card = find(`[data-session="${session}"]`);
  const over = card?.dataset.status === "ended";
  const left = over ? 0 : Number(card?.dataset.expires ?? 0) - now();
  for (const node of all("[data-left]", work)) setText(node, countdown(left));
  const soon = left > 0 && left < SOON_MS;
  const warning = find("[data-soon]", work);
  show(warning, soon);
  if (soon && !warned) announce(t("lease.soon"));
  warned = soon;
}

tick();
setInterval(tick, 1000);
if (location.hash === "#pages") find("#pages")?.scrollIntoView();
// Who came for the terminal has given the reason for it and was informed that it is recorded.
if (view && location.hash === "#terminal") {
  history.replaceState(null, "", location.pathname);
  terminal.scrollIntoView();
  view.connect();
  if (matchMedia("(pointer: coarse), (max-width: 719px)").matches) view.full(true);
}
