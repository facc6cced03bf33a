// How the hub itself is, drawn anew by the hub every few seconds.

import { countJobs } from "../counts.js";
import { Feed } from "../feed.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { guardButtons, LinkState } from "../link_state.js";
import { Parts } from "../parts.js";

const feed = new Feed(null, {
  changed: () => countJobs(feed),
  news: (frame) => parts.heard(frame),
  link: (state) => link.set(state),
  version: (name) => link.version(name),
});
const link = new LinkState(feed);
const parts = new Parts(feed, () => link.draw());
setInterval(() => parts.tick(feed.clock.now()), 1000);
guardButtons();
frame();
keyboard({});
feed.start();
