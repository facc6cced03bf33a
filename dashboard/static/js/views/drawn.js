// A page that the hub draws whole, kept live: of somebody in front of a machine, of the map, of the hub itself; and every
// other page without values of its own that somebody signed in reads.

import { countJobs, entitle } from "../counts.js";
import { all, find, setText } from "../dom.js";
import { fields } from "../fields.js";
import { leave } from "../frame.js";
import { livePage } from "../live_page.js";

/** Of the page's machine; of no machine it is none. */
const id = Number(document.body.dataset.id);

/** What the machine is called by now, wherever the page and its tab name it. @param {string} [name] */
function call(name) {
  const was = find(".whose bdi")?.textContent;
  if (!name || !was || name === was) return;
  for (const node of all("main bdi, .whose bdi")) if (node.textContent === was) setText(node, name);
  const { dataset } = document.body;
  dataset.title = dataset.title?.replace(was, () => name);
  entitle();
}

const { feed } = livePage({
  /** @param {number[]} _ids @param {number[]} removed */
  changed(_ids, removed) {
    if (removed.includes(id)) return leave();
    call(feed.fleet.machines.get(id)?.name);
    countJobs(feed);
    return undefined;
  },
});

fields();
feed.start();
