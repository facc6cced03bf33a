// Fetched by a page that learns of a lease: draws its chip and its signs once a second, as long as the page is open.

import { HubClock } from "../hub_clock.js";
import { drawChip, drawRows, tickChip } from "../lease_chip.js";

const { body } = document;
const clock = new HubClock(Number(body.dataset.now));
const person = Number(body.dataset.person);

function draw() {
  const machines = body.feed?.fleet.machines;
  // Before the first picture of the fleet, what the hub wrote into the page is what is known.
  if (!machines?.size) return tickChip((body.feed?.clock ?? clock).now());
  const now = (body.feed?.clock ?? clock).now();
  // Who was signed out may have lost it: nobody says here for how long it lasts.
  drawChip(body.feed?.socket.state === "refused" ? [] : machines.values(), person, now);
  drawRows(machines, now);
  return undefined;
}

// Asked for twice (by the page and by the feed), it runs once.
if (!body.leases) {
  body.leases = true;
  draw();
  setInterval(() => document.hidden || draw(), 1000);
}
