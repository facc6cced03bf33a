// What every live page has: a feed, what it tells of its link, parts that the hub draws, forms that are sent once, and keys.

import { all, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { age } from "./format.js";
import { frame } from "./frame.js";
import { keyboard } from "./keyboard.js";
import { LinkState } from "./link_state.js";
import { Parts } from "./parts.js";
import { language, t } from "./texts.js";

/**
 * What a page has of its own. `drawn`: the hub has drawn a part; `allows`: whether a part may become the fresh one.
 * @typedef {object} Own
 * @property {ConstructorParameters<typeof Feed>[0]} [watch]
 * @property {import("./feed.js").View["changed"]} changed
 * @property {import("./feed.js").View["event"]} [event]
 * @property {(part: Part) => void} [drawn]
 * @property {(part: Part, fresh: Part) => unknown} [allows]
 * @property {(state: string) => unknown} [linked] the link to the hub is in another state
 * @property {Record<string, () => unknown>} [keys]
 */

/** Live once its feed is started. @param {Own} own */
export function livePage({ watch = null, changed, event, drawn, allows, linked, keys = {} }) {
  const feed = new Feed(watch, {
    changed,
    event,
    news: (frame) => parts.receive(frame),
    link(state) {
      link.set(state);
      linked?.(state);
    },
    version: (name) => link.version(name),
  });
  const link = new LinkState(feed);
  const parts = new Parts(
    feed,
    (part) => {
      drawn?.(part);
      link.draw();
    },
    { allows },
  );
  setInterval(() => {
    const now = feed.clock.now();
    parts.tick(now);
    if (!feed.paused) ages(now);
  }, 1000);
  frame(link);
  keyboard(keys);
  return { feed, parts };
}

/** How long ago trouble began. @param {number} now */
function ages(now) {
  for (const node of all("[data-ago]"))
    setText(node, t("ago", { age: age((now - Number(node.dataset.ago)) / 1000, language) }));
}
