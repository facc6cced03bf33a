// The Machines page on a wall: a clock, how fresh the page is, and one group after the other.

import { all, find, setText } from "../dom.js";
import { age, clock } from "../format.js";
import { language, t } from "../texts.js";

const { body } = document;
let at = -1;

/** That the page hears nothing of the hub, or that it is signed out. */
function doubt() {
  const { link } = body.dataset;
  const bar = find("#link-bar");
  if (link !== "lost" && link !== "silent") return "";
  return find("[data-said]", bar.hidden ? find("#link-chip") : bar).textContent;
}

/** The newest sign of life of any machine shows how fresh the page is. */
function tick() {
  const { feed } = body;
  if (!feed) return;
  const now = feed.clock.now();
  setText(find("#kiosk-clock"), clock(now, body.dataset.zone ?? "", language));
  const newest = Math.max(0, ...[...feed.fleet.machines.values()].map((m) => m.last_seen_at ?? 0));
  const words = newest ? t("kiosk.updated", { age: age((now - newest) / 1000, language) }) : "";
  setText(find("#kiosk-updated"), words);
  // What stands above the rows, where nobody scrolls a wall back to.
  const outages = all('#attention li[data-key^="outage-"] > a:not(.btn)').map((one) => one.textContent);
  setText(find("#kiosk-outage"), [doubt(), ...outages].filter(Boolean).join(" · "));
}

/** How far down the page the screen stands, one after the other: at its top, at each head of a group, and at the first row that the stop before does not show whole. */
function stops() {
  const bars = find("#kiosk").offsetHeight + find("#machines thead").offsetHeight;
  const found = [0];
  let end = innerHeight;
  let headed = false;
  for (const row of all("#machines tbody tr:not([hidden])")) {
    const head = row.dataset.group !== undefined;
    // A head alone at the lower edge says nothing.
    const { bottom } = (head && row.nextElementSibling ? row.nextElementSibling : row).getBoundingClientRect();
    if ((head && headed) || bottom + scrollY > end) {
      const top = row.getBoundingClientRect().top + scrollY - bars;
      found.push(top);
      end = top + innerHeight;
    }
    headed ||= head;
  }
  return found;
}

function turn() {
  const to = stops();
  at = (at + 1) % to.length;
  scrollTo({ top: to[at] });
  body.dataset.turn = String(at);
}

setInterval(tick, 1000);
setInterval(turn, Number(body.dataset.kiosk) * 1000);
tick();
