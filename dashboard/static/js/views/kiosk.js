// The Machines page on a wall: a clock, how fresh the page is, and one group after the other.

import { all, find, setText } from "../dom.js";
import { age, clock } from "../format.js";
import { language, t } from "../texts.js";

const { body } = document;
let at = -1;

/** The newest sign of life of any machine shows how fresh the page is. */
function tick() {
  const { feed } = body;
  if (!feed) return;
  const now = feed.clock.now();
  setText(find("#kiosk-clock"), clock(now, body.dataset.zone ?? "", language));
  const newest = Math.max(0, ...[...feed.fleet.machines.values()].map((m) => m.last_seen_at ?? 0));
  const words = newest ? t("kiosk.updated", { age: age((now - newest) / 1000, language) }) : "";
  setText(find("#kiosk-updated"), words);
  // Its line is above the rows, where nobody scrolls a wall back to.
  const lost = all('#attention li[data-key^="outage-"] > a:not(.btn)').map((one) => one.textContent);
  setText(find("#kiosk-outage"), lost.join(" · "));
}

/** Heads of groups; without groups, screens of rows. */
function turn() {
  const rows = all("#machines tbody tr:not([hidden])");
  const heads = rows.filter((row) => row.dataset.group !== undefined);
  const height = rows[0]?.offsetHeight || 1;
  const screen = Math.max(1, Math.floor((innerHeight - 120) / height));
  const stops = heads.length ? heads : rows.filter((_, i) => i % screen === 0);
  at = stops.length ? (at + 1) % stops.length : -1;
  const top = at > 0 ? stops[at].getBoundingClientRect().top + scrollY - find("#kiosk").offsetHeight - 48 : 0;
  scrollTo({ top });
  body.dataset.turn = String(at);
}

setInterval(tick, 1000);
setInterval(turn, Number(body.dataset.kiosk) * 1000);
tick();
