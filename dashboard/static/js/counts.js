// What the frame around every page counts: machines that need attention, which the hub counts, and open jobs.

import { find, setAttribute, setText, show } from "./dom.js";

/** What the page and its tab are called. */
export function entitle() {
  const alarms = find("#alarms");
  const count = alarms && !alarms.hidden ? alarms.textContent : "";
  const wanted = `${count ? `(${count}) ` : ""}${document.body.dataset.title} – RVM`;
  if (document.title !== wanted) document.title = wanted;
  const link = find("link[rel=icon]");
  setAttribute(link, "href", count ? link.dataset.badge : link.dataset.plain);
}

/** How many jobs are open, in the navigation. @param {import("./feed.js").Feed} feed */
export function countJobs(feed) {
  let open = 0;
  for (const m of feed.fleet.machines.values()) open += m.pending.length;
  const count = find("[data-open-jobs]");
  setText(count, String(open));
  show(count, open > 0);
}
