// The settings of one machine, or of the fleet: a form, and what the hub and the machine say of it meanwhile.

import { Announcer } from "../announcer.js";
import { applied } from "../applied.js";
import { countFleet } from "../counts.js";
import { all, find, setIcon, setText, show } from "../dom.js";
import { Feed } from "../feed.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { guardButtons, LinkState } from "../link_state.js";
import { MachineTop } from "../machine_top.js";
import { refusal } from "../refusals.js";
import { SettingsForm } from "../settings_form.js";

const id = Number(document.body.dataset.id ?? 0);
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));

const feed = new Feed(null, {
  /** @param {number[]} ids @param {number[]} removed */
  changed(ids, removed) {
    if (id && removed.includes(id)) return location.assign("/");
    countFleet(feed);
    if (id && ids.includes(id) && !feed.paused) requestAnimationFrame(draw);
    return undefined;
  },
  news: (frame) => top?.parts.heard(frame),
  /** @param {Happened} event */
  event(event) {
    if (!id && event.code === "config.changed" && event.rvm_id === null) form.news(event.params.version);
  },
  link: (state) => link.set(state),
  version: (name) => link.version(name),
});
const link = new LinkState(feed);
const top = id ? new MachineTop(id, feed, spoken, () => link.draw()) : null;
const form = new SettingsForm(feed);
/** When the machine last told which settings it runs. @type {number | null | undefined} */
let seen;

function draw() {
  const m = feed.fleet.machines.get(id);
  if (!m || !top) return;
  top.patch(m, feed.clock.now());
  const state = applied(m);
  setIcon(find("#applied > .i"), state.mark);
  setText(find("#applied [data-said]"), state.words);
  setText(find("#applied [data-errors]"), state.errors);
  if (seen !== m.config_applied_at) refused();
  seen = m.config_applied_at;
  form.news(m.config_wanted);
}

/** What the machine could not take, by key: it words that itself, so the feed does not carry it. */
async function refused() {
  const answer = await fetch(`/api/v2/rvms/${id}`, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return;
  const errors = (await answer.json()).data.config_errors ?? {};
  for (const node of all("[data-key]")) {
    const words = refusal(errors, node.dataset.key);
    const place = find("[data-refused]", node);
    setText(find("span", place), words);
    show(place, words !== "");
  }
}

if (id)
  setInterval(() => {
    const m = feed.fleet.machines.get(id);
    if (m && !document.hidden && !feed.paused) top?.tick(m, feed.clock.now());
  }, 1000);
frame();
guardButtons();
keyboard(top ? { ".": () => top.actions.toggle() } : {});
feed.start();
