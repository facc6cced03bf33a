// What leases show beyond their own page: the chip in the bar of whoever holds one, and a sign in the fleet's rows.

import { all, find, icon, make, setAttribute, setText, show } from "./dom.js";
import { countdown, OPEN, ownLease } from "./lease_words.js";
import { t } from "./texts.js";

/** @typedef {Pick<Lease, "status" | "expires_at">} Left */

/** @param {Left} lease @param {number} now */
const left = (lease, now) =>
  lease.status === "active" && lease.expires_at ? countdown(lease.expires_at - now) : t(`lease.${lease.status}`);

/** The chip as the feed reports it. @param {Iterable<Machine>} machines @param {number} person @param {number} now */
export function drawChip(machines, person, now) {
  const own = ownLease(machines, person);
  const chip = find("#lease-chip");
  show(chip, own !== null);
  if (!own) return;
  setAttribute(chip, "href", `${BASE_PATH}/machines/${own.m.id}/remote`);
  setText(find("bdi", chip), own.m.name);
  fill(chip, own.lease, now);
}

/** The chip as the hub made it, on pages that hear no feed. @param {number} now */
export function tickChip(now) {
  const chip = find("#lease-chip");
  if (!chip.hidden) fill(chip, { status: chip.dataset.status, expires_at: Number(chip.dataset.expires) }, now);
}

/** @param {Part} chip @param {Left} lease @param {number} now */
function fill(chip, lease, now) {
  setText(find("[data-left]", chip), left(lease, now));
  chip.toggleAttribute("data-soon", lease.status === "active" && (lease.expires_at ?? Infinity) - now < 120000);
}

/** The sign in the row of each machine that somebody is on. @param {Map<number, Machine>} machines @param {number} now */
export function drawRows(machines, now) {
  for (const row of all("#machines tbody tr")) {
    const lease = machines.get(Number(row.dataset.id))?.lease;
    const sign = find("[data-lease]", row);
    if (!lease || !OPEN.includes(lease.status)) sign?.remove();
    else setSign(sign ?? addSign(row), lease, now);
  }
}

/** @param {Part} row */
function addSign(row) {
  const sign = make(
    "span",
    { class: "lease-sign", "data-lease": "" },
    icon("remote", "quiet"),
    make("span", { class: "vh" }),
    make("span", {}),
  );
  find(".n small", row).before(" ", sign);
  return sign;
}

/** @param {Part} sign @param {Lease} lease @param {number} now */
function setSign(sign, lease, now) {
  const words = t("lease.by", { name: lease.name });
  setAttribute(sign, "title", words);
  setText(sign.children[1], words);
  setText(sign.lastElementChild, left(lease, now));
}
