// Jobs in the browser: what a card says, what may be asked, which word counts, by the table that also holds the hub's half.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { fromRest } from "../../dashboard/static/js/job_board.js";
import { cardOf, follows, results } from "../../dashboard/static/js/job_words.js";
import { offer, wanted } from "../../dashboard/static/js/machine_actions.js";
import { useTexts } from "../../dashboard/static/js/texts.js";

const table = JSON.parse(readFileSync(new URL("../dashboard/fixtures/jobs.json", import.meta.url), "utf-8"));
const words = (code) =>
  JSON.parse(readFileSync(new URL(`../../dashboard/locales/${code}.json`, import.meta.url), "utf-8"));

for (const language of ["en", "id"]) {
  test(`a card says the same as the hub's, ${language}`, () => {
    useTexts(words(language), language);
    for (const each of table.cases) {
      const about = { who: table.who, away: each.away, zone: table.zone, now: table.now };
      assert.deepEqual(cardOf(each.job, about), each[language], each.about);
    }
    assert.deepEqual(results(table.result.told), table.result[language]);
    assert.deepEqual(results(null), []);
  });
}

test("what a machine may be asked now", () => {
  for (const each of table.offers)
    assert.deepEqual(
      each.offers.map(({ name }) => offer(name, each.machine, each.may)),
      each.offers,
      each.about,
    );
});

test("a form becomes the wish it shows", () => {
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

test("an end is final, and a late word changes nothing", () => {
  const job = (state) => ({ id: "a", state, finished_at: ["succeeded", "expired"].includes(state) ? 2 : null });
  assert.equal(follows(job("running"), job("succeeded")), true);
  assert.equal(follows(job("succeeded"), job("running")), false);
  assert.equal(follows(job("expired"), job("succeeded")), false);
  assert.equal(follows(job("running"), job("sent")), false);
  assert.equal(follows(job("running"), job("running")), true);
});

test("a command by REST is read like one from the feed", () => {
  const told = {
    id: "a",
    issued_at: "2026-11-23T13:05:09.120Z",
    finished_at: null,
    args: { until: "2026-11-23T13:05:09Z" },
  };
  assert.deepEqual(fromRest(told), {
    id: "a",
    issued_at: Date.UTC(2026, 10, 23, 13, 5, 9, 120),
    finished_at: null,
    args: { until: "2026-11-23T13:05:09Z" },
  });
});
