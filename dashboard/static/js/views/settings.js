// The settings of one machine, or of the fleet: a form, and what the hub and the machine say of it meanwhile.

import { machinePage } from "../machine_top.js";
import { morph } from "../morph.js";
import { SettingsForm } from "../settings_form.js";

const { feed } = machinePage({ allows });
const form = new SettingsForm();

/** The form keeps what is typed, and nothing comes between while it is sent. @param {Part} part @param {Part} fresh */
function allows(part, fresh) {
  if (part !== form.form) return true;
  if (!form.sending && !form.leaving) form.news(() => morph(part, fresh));
  return false;
}

feed.start();
