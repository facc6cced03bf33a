// The settings of one machine, or of the fleet: a form, and what the hub and the machine say of it meanwhile.

import { Announcer } from "../announcer.js";
import { countJobs } from "../counts.js";
import { find, setText } from "../dom.js";
import { Feed } from "../feed.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { guardButtons, LinkState } from "../link_state.js";
import { MachineTop } from "../machine_top.js";
import { morph } from "../morph.js";
import { Parts } from "../parts.js";
import { SettingsForm } from "../settings_form.js";

const id = Number(document.body.dataset.id ?? 0);
const spoken = new Announcer((sentence) => setText(find("#announcer"), sentence));

const feed = new Feed(null, {
  /** @param {number[]} ids @param {number[]} removed */
  changed(ids, removed) {
    if (id && removed.includes(id)) return location.assign(`${BASE_PATH}/`);
    countJobs(feed);
    if (id && ids.includes(id) && !feed.paused) requestAnimationFrame(draw);
    return undefined;
  },
  news: (frame) => parts.receive(frame),
  link: (state) => link.set(state),
  version: (name) => link.version(name),
});
const link = new LinkState(feed);
const top = id ? new MachineTop(id, feed, spoken, () => link.draw(), allows) : null;
const parts = top?.parts ?? new Parts(feed, () => link.draw(), { allows });
const form = new SettingsForm();

/** The form keeps what is typed, and nothing comes between while it is sent. @param {Part} part @param {Part} fresh */
function allows(part, fresh) {
  if (part !== form.form) return true;
  if (!form.sending && !form.leaving) form.news(() => morph(part, fresh));
  return false;
}

function draw() {
  const m = feed.fleet.machines.get(id);
  if (m) top?.patch(m, feed.clock.now());
}

if (id)
  setInterval(() => {
    const m = feed.fleet.machines.get(id);
    if (m && !document.hidden && !feed.paused) top?.tick(m, feed.clock.now());
  }, 1000);
guardButtons();
frame();
keyboard(top ? { ".": () => top.actions.toggle() } : {});
feed.start();
