// What may be asked of a machine, by the table that also holds the hub's half.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { offer, wanted } from "../../dashboard/static/js/machine_actions.js";

const table = JSON.parse(readFileSync(new URL("../dashboard/fixtures/jobs.json", import.meta.url), "utf-8"));

test("what a machine may be asked now", () => {
  for (const each of table.offers)
    assert.deepEqual(
      each.offers.map(({ name }) => offer(name, each.machine, each.may)),
      each.offers,
      each.about,
    );
});

test("a form becomes the request it shows", () => {
  assert.deepEqual(wanted("sync_timezone", {}), { name: "sync_timezone", args: {} });
  assert.deepEqual(wanted("restart_service", { service: " a.service ", reason: "stuck" }), {
    name: "restart_service",
    args: { service: "a.service" },
    reason: "stuck",
  });
  assert.deepEqual(wanted("reboot", { reason: "hangs ", force: "1" }), {
    name: "reboot",
    args: { force: true },
    reason: "hangs",
  });
  assert.deepEqual(wanted("reboot", { reason: "hangs" }), { name: "reboot", args: {}, reason: "hangs" });
});
