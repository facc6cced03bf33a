// What the frame around every page counts: machines that need attention, and open jobs.

import { all, find, setAttribute, setText, show } from "./dom.js";
import { troubles } from "./trouble.js";

/** @param {number} count machines that need somebody */
export function setAlarms(count) {
  const title = document.body.dataset.title;
  const wanted = `${count ? `(${count}) ` : ""}${title} – RVM`;
  if (document.title !== wanted) document.title = wanted;
  for (const badge of all("[data-alarms]")) {
    setText(badge, String(count));
    show(badge, count > 0);
  }
  const link = find("link[rel=icon]");
  setAttribute(link, "href", count ? link.dataset.badge : link.dataset.plain);
}

/** How many jobs are open, in the navigation. @param {Iterable<Machine>} machines all this person sees */
export function setJobs(machines) {
  let open = 0;
  for (const m of machines) open += m.pending.length;
  const count = find("[data-open-jobs]");
  setText(count, String(open));
  show(count, open > 0);
}

/** Both, as the feed tells them now. @param {import("./feed.js").Feed} feed @returns {Machine[]} the machines it counted */
export function countFleet(feed) {
  const machines = [...feed.fleet.machines.values()];
  setAlarms(troubles(machines, feed.clock.now()).length);
  setJobs(machines);
  return machines;
}
