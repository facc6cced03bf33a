// The Jobs page and the page of one job, live.

import { Announcer } from "../announcer.js";
import { countJobs, entitle } from "../counts.js";
import { all, find, setText } from "../dom.js";
import { fields } from "../fields.js";
import { span } from "../format.js";
import { countDown, Jobs } from "../jobs.js";
import { livePage } from "../live_page.js";
import { language, t } from "../texts.js";

const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));
const { feed } = livePage({
  changed: () => countJobs(feed),
  drawn(part) {
    if (part.dataset.title) {
      document.body.dataset.title = part.dataset.title;
      entitle();
    }
    jobs.drawn();
    tick();
  },
  keys: {
    "/": () => find("#tools input")?.focus(),
    j: () => step(1),
    k: () => step(-1),
  },
});
const jobs = new Jobs(spoken);

/** A deadline that comes nearer. */
function tick() {
  countDown(feed.clock.now());
  for (const place of all("[data-detail=deadline][data-at]")) {
    const left = Number(place.dataset.at) - feed.clock.now();
    const time = place.dataset.words;
    const words = left > 0 ? t("job.deadline.open", { time, age: span(left / 1000, language) }) : time;
    setText(find("bdi", place), words);
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
setInterval(tick, 1000);
fields();
feed.start();
