// When a part of a page is fetched again: for what it tells of, together with others, not too often, and after a loss.

import assert from "node:assert/strict";
import test from "node:test";

import { Parts } from "../../dashboard/static/js/parts.js";
import { valueBehind } from "../../dashboard/static/js/trouble.js";

const ZONE = {
  id: "zone",
  address: "/machines/7/parts",
  of: 7,
  on: ["timezone", "event:timezone"],
  until: 0,
  always: false,
};
const JOBS = { id: "jobs", address: "/machines/7/parts", of: 7, on: ["pending"], until: 0, always: false };
const LIST = {
  id: "list",
  address: "/machines/attention",
  of: 0,
  on: ["codes", "removed"],
  until: 9000,
  always: false,
};

/** A page with these parts, whose time goes on when it is told to. */
function stage(listed, answers = []) {
  /** @type {any} */
  const feed = { paused: false, hidden: false };
  /** @type {any} */
  const made = { feed, at: 0, asked: [], drawn: 0, put: [], held: [], timers: [] };
  const parts = new Parts(feed, undefined, {
    list: () => listed,
    get: async (address, etag, late) => {
      made.asked.push(etag ? `${address} ${etag}` : address);
      const answer = answers.shift() ?? 200;
      if (answer instanceof Error) throw answer;
      if (answer === "nothing")
        await new Promise((_, gone) => late.addEventListener("abort", () => gone(new Error("late"))));
      return /** @type {any} */ ({
        status: answer,
        ok: answer === 200,
        text: async () => "<p>",
        headers: { get: () => '"a"' },
      });
    },
    put: (_html, ids) => {
      made.put.push(ids.join());
      return made.held;
    },
    values: () => {
      made.drawn += 1;
    },
    later: (act, ms) => made.timers.push({ at: made.at + ms, act }),
    now: () => made.at,
    random: () => 0.5,
  });
  const pass = async (ms) => {
    const end = made.at + ms;
    for (;;) {
      await new Promise((done) => setImmediate(done));
      made.timers.sort((a, b) => a.at - b.at);
      if (!made.timers.length || made.timers[0].at > end) break;
      const { at, act } = made.timers.shift();
      made.at = at;
      act();
    }
    made.at = end;
  };
  return { made, parts, pass };
}

/** @returns {any} */
const delta = (id, members) => ({ type: "delta", seq: 1, t: 1, m: [{ id, ...members }] });

test("only what a part tells of makes it stale, and one moment is one fetch", async () => {
  const { made, parts, pass } = stage([ZONE, JOBS]);
  parts.receive(delta(7, { capacity: 3 }));
  parts.receive(delta(8, { timezone: "UTC" }));
  await pass(5000);
  assert.deepEqual(made.asked, []);
  parts.receive(delta(7, { timezone: "UTC", pending: [] }));
  parts.receive(/** @type {any} */ ({ type: "event", rvm_id: 7, code: "timezone.reported" }));
  await pass(100);
  assert.deepEqual(made.asked, ["/machines/7/parts?of=zone+jobs"]);
  assert.deepEqual(made.put, ["zone,jobs"]);
});

test("an answer that never comes is not waited for", async () => {
  const { made, parts, pass } = stage([ZONE], ["nothing"]);
  parts.receive(delta(7, { timezone: "UTC" }));
  await pass(7000);
  assert.equal(made.asked.length, 1);
  await pass(8000);
  assert.equal(made.asked.length, 2);
  assert.deepEqual(made.put, ["zone"]);
});

test("news while one is under way bring one more, after a rest", async () => {
  const { made, parts, pass } = stage([ZONE]);
  for (let news = 0; news < 20; news += 1) {
    parts.receive(delta(7, { timezone: String(news) }));
    await pass(100);
  }
  assert.ok(made.asked.length >= 3 && made.asked.length <= 4, String(made.asked.length));
  const before = made.asked.length;
  await pass(2000);
  assert.ok(made.asked.length <= before + 1);
});

test("other codes are news within a second; values alone fetch nothing and are drawn at once", async () => {
  const { made, parts, pass } = stage([LIST, { ...LIST, id: "alarms", address: "/alarms", always: true }]);
  const news = [
    { lasting: [{ code: "cpu_usage", since: 1 }] },
    { capacity: 95 },
    { clock_offset_s: -301 },
    { clock_offset_s: -365 * 86400 - 1 },
    { clock_offset_s: null },
    { capacity: 94 },
    { lasting: [] },
  ];
  for (const [at, members] of news.entries()) {
    parts.receive(delta(1, members));
    await pass(1000);
    assert.equal(made.asked.length, 2 * at + 2, JSON.stringify(members));
  }
  const before = made.asked.length;
  made.drawn = 0;
  parts.receive(delta(1, { lasting: [{ code: "cpu_usage", since: 1 }] }));
  await pass(1000);
  assert.equal(made.drawn, 3, "as told, and again over what was fetched");
  for (const members of [{ lasting: [{ code: "cpu_usage", since: 1 }] }, { capacity: 50 }, { clock_offset_s: 9 }])
    parts.receive(delta(1, members));
  assert.equal(made.drawn, 6);
  await pass(60000);
  assert.equal(made.asked.length, before + 2);
});

test("the value behind a trouble is that of its code", () => {
  /** @type {any} */
  const m = {
    capacity: 96,
    clock_offset_s: 400,
    readings: { cpu_usage: 91, temperature: 85 },
  };
  const causes = ["nearly_full", "clock", "clock_unset", "cpu", "hot", "disk"];
  assert.deepEqual(
    causes.map((cause) => valueBehind(m, cause)),
    [96, 400, 400, 91, 85, undefined],
  );
});

test("a whole picture makes everything stale; the same answer is only named", async () => {
  const { made, parts, pass } = stage([ZONE, JOBS]);
  /** @type {any} */
  const whole = { type: "snapshot", epoch: "a", seq: 1, machines: [] };
  parts.receive(whole);
  await pass(1000);
  parts.receive(whole);
  await pass(1000);
  assert.deepEqual(made.asked, ["/machines/7/parts?of=zone+jobs", '/machines/7/parts?of=zone+jobs "a"']);
});

test("who does not look asks for nothing, and at once when they come back", async () => {
  const { made, parts, pass } = stage([ZONE]);
  made.feed.hidden = true;
  parts.receive(delta(7, { timezone: "UTC" }));
  await pass(60000);
  assert.deepEqual(made.asked, []);
  made.feed.hidden = false;
  parts.receive(/** @type {any} */ ({ type: "snapshot", epoch: "a", seq: 1, machines: [] }));
  await pass(700);
  assert.equal(made.asked.length, 1);
});

test("a hub that is away is asked again, less and less often, and a refusal is not", async () => {
  const { made, parts, pass } = stage([ZONE], [new Error("away"), 503, 429, 200, 404]);
  parts.receive(delta(7, { timezone: "UTC" }));
  await pass(20000);
  assert.equal(made.asked.length, 4);
  assert.deepEqual(made.put, ["zone"]);
  parts.receive(delta(7, { timezone: "UTC" }));
  await pass(60000);
  assert.equal(made.asked.length, 5);
});

test("a part is stale by the clock alone, and again when it could not be done under somebody's hand", async () => {
  const { made, parts, pass } = stage([LIST]);
  parts.tick(8999);
  await pass(100);
  assert.equal(made.asked.length, 0);
  made.held = ["list"];
  parts.tick(9000);
  await pass(100);
  assert.equal(made.asked.length, 1);
  made.held = [];
  await pass(2000);
  assert.deepEqual(made.asked, ["/machines/attention?of=list", "/machines/attention?of=list"]);
});

test("what is seen from outside is fetched while nobody looks, now and then; what waits at its address comes along", async () => {
  const alarms = { ...LIST, id: "alarms", until: 0, always: true };
  const { made, parts, pass } = stage([LIST, alarms]);
  made.feed.hidden = true;
  for (let news = 0; news < 20; news += 1) {
    parts.receive(delta(1, { lasting: [{ code: String(news), since: 1 }] }));
    await pass(100);
  }
  assert.deepEqual(made.asked, ["/machines/attention?of=alarms"]);
  await pass(2000);
  assert.equal(made.asked.length, 2);
  made.feed.hidden = false;
  parts.receive(delta(1, { lasting: [] }));
  await pass(200);
  assert.equal(made.asked[2], "/machines/attention?of=list+alarms");
});
