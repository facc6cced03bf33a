// A page that the hub draws whole, kept live: of somebody in front of a machine, of the map, of the hub itself; and every
// other page without values of its own that somebody signed in reads.

import { countJobs, entitle } from "../counts.js";
import { all, find, setText } from "../dom.js";
import { Feed } from "../feed.js";
import { fields } from "../fields.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { guardButtons, LinkState } from "../link_state.js";
import { Parts } from "../parts.js";

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

const feed = new Feed(null, {
  /** @param {number[]} _ids @param {number[]} removed */
  changed(_ids, removed) {
    if (removed.includes(id)) return location.assign(`${BASE_PATH}/`);
    call(feed.fleet.machines.get(id)?.name);
    countJobs(feed);
    return undefined;
  },
  news: (frame) => parts.receive(frame),
  link: (state) => link.set(state),
  version: (name) => link.version(name),
});
const link = new LinkState(feed);
const parts = new Parts(feed, () => link.draw());

setInterval(() => parts.tick(feed.clock.now()), 1000);
guardButtons();
fields();
frame();
keyboard({});
feed.start();
