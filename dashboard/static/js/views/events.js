// The record of events, of the fleet or of one machine: older lines on request, newer ones announced and never pushed in.

import { find, make, setAttribute, setText, show } from "../dom.js";
import { EventList, linesAt } from "../event_list.js";
import { EventNews, linesAddress } from "../event_news.js";
import { age } from "../format.js";
import { machinePage } from "../machine_top.js";
import { language, t } from "../texts.js";

const node = find("#events");
const asked = JSON.parse(node.dataset.asked);
const rvm = node.dataset.rvm;
const pill = find("#news");
const list = new EventList(node);
const news = new EventNews(list, { asked, rvm }, showCount);
const follows = node.dataset.live === "1";

const { feed, spoken } = machinePage({
  // A new picture after a gap: events may have been missed.
  changed: (whole) => whole && follows && news.look(),
  event: (event) => follows && !feed.paused && news.receive(event),
  keys: { "/": () => find("[name=q]").focus() },
});

/** @param {number} count @param {boolean} whole */
function showCount(count, whole) {
  const n = String(count);
  const text = whole ? t("events.new", { n }) : t("events.new.many", { n });
  setText(find("[data-said]", pill), text);
  if (count && pill.hidden) spoken.add(text);
  show(pill, count > 0);
}

find("button", pill).addEventListener("click", () => {
  if (!news.show()) return location.reload();
  show(find("#none"), false);
  scrollTo({ top: 0 });
  return undefined;
});

/** "Load more": the next older lines, at the end of the list. @param {Part} button */
async function more(button) {
  setAttribute(button, "aria-busy", "true");
  show(find("#fault"), false);
  try {
    const page = await linesAt(linesAddress(asked, rvm, { before: button.dataset.onward }));
    list.put(page.lines);
    onward(button, page);
  } catch {
    show(find("#fault"), true);
  }
  button.removeAttribute("aria-busy");
}

/** @param {Part} button @param {{onward: string | null, reached?: string}} page */
function onward(button, page) {
  if (page.onward === null) return button.replaceWith(make("span", { class: "muted" }, t("events.end")));
  const there = new URL(button.href);
  there.searchParams.set("before", page.onward);
  setAttribute(button, "href", there.pathname + there.search);
  setAttribute(button, "data-onward", String(page.onward));
  setText(button, page.reached ? t("events.older.from", { when: page.reached }) : t("events.older"));
  return undefined;
}

find("#more").addEventListener("click", (event) => {
  const button = /** @type {Part} */ (event.target).closest("a");
  if (!button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (!button.hasAttribute("aria-busy")) more(button);
});
// How long ago is true at the moment somebody asks for it.
node.addEventListener("pointerover", (event) => {
  const time = /** @type {Part} */ (event.target).closest("time");
  const line = time?.closest("[data-at]");
  if (line)
    setAttribute(
      time,
      "title",
      t("events.time.ago", {
        time: time.dataset.utc,
        age: age((feed.clock.now() - Number(line.dataset.at)) / 1000, language),
      }),
    );
});
feed.start();
