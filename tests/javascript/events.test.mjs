// The list of events: what is new, what may match, and when it is asked for.

import assert from "node:assert/strict";
import test from "node:test";

import { follows, fresh } from "../../dashboard/static/js/event_list.js";
import { EventNews, linesAddress, mayMatch } from "../../dashboard/static/js/event_news.js";

Object.assign(globalThis, { BASE_PATH: "" });

/** @returns {any} */
const line = (id, at = id) => ({ id, at });
/** @returns {Happened} */
const event = (code, more = {}) => ({ id: 1, at: 1, params: {}, code, actor: "clock", rvm_id: 1, ...more });
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("lines stand newest first, and by number within one instant", () => {
  assert.deepEqual([line(1, 5), line(3, 5), line(2, 9)].sort(follows), [line(2, 9), line(3, 5), line(1, 5)]);
});

test("new is what is not there and not older than the list's end, also when it happened between", () => {
  const known = new Set([8, 4]);
  const lines = [line(9), line(8), line(7, 6), line(4), line(2)];
  assert.deepEqual(fresh(lines, known, line(4)), [line(9), line(7, 6)]);
  assert.deepEqual(fresh(lines, new Set(), null).length, 5);
});

test("an event that the filters cannot let through is no reason to ask", () => {
  assert.ok(mayMatch(event("status.changed"), {}, undefined));
  assert.ok(mayMatch(event("status.changed"), { kind: "status,command" }, "1"));
  assert.ok(!mayMatch(event("sign_in.failed"), { kind: "status" }, undefined));
  assert.ok(!mayMatch(event("status.changed"), {}, "2"));
  assert.ok(mayMatch(event("a.b", { actor: "user:3" }), { actor: "user" }, undefined));
  assert.ok(!mayMatch(event("a.b", { actor: "user:33" }), { actor: "user:3" }, undefined));
});

test("the address of lines carries the page's filters", () => {
  assert.equal(linesAddress({ q: "a b" }, "7", { before: 3 }), "/events/lines?q=a+b&rvm=7&before=3");
  assert.equal(linesAddress({}, undefined), "/events/lines?");
});

/** @param {any[]} answers @param {{known?: number[], last?: {id: number, at: number} | null}} [there] */
function news(answers, { known = [], last = null } = {}) {
  const asked = [];
  const timers = [];
  const put = [];
  const reported = [];
  const list = { known: new Set(known), last, put: (lines) => put.push(...lines) };
  const made = new EventNews(list, { asked: {}, rvm: undefined }, (...what) => reported.push(what), {
    get: async (address) => {
      asked.push(address);
      const answer = answers.shift();
      if (!answer) throw new Error("away");
      return answer;
    },
    later: (fn) => timers.push(fn),
  });
  return { made, asked, timers, put, reported };
}

test("many events are one question at a time, and nothing is put in before it is asked for", async () => {
  const { made, asked, timers, put, reported } = news(
    [
      { lines: [line(5), line(4)], onward: 4 },
      { lines: [line(6), line(5), line(4)], onward: 4 },
    ],
    { known: [4], last: line(4) },
  );
  for (let n = 0; n < 20; n += 1) made.receive(event("status.changed"));
  await settle();
  assert.equal(asked.length, 1);
  assert.deepEqual(reported, [[1, true]]);
  assert.deepEqual(put, []);
  timers.shift()();
  await settle();
  assert.equal(asked.length, 2);
  assert.deepEqual(reported.at(-1), [2, true]);
  assert.equal(made.show(), true);
  assert.deepEqual(put, [line(6), line(5)]);
  assert.deepEqual(reported.at(-1), [0, true]);
});

test("more than one page of news has to be loaded anew", async () => {
  const { made, reported } = news([{ lines: [line(9), line(8)], onward: 8 }], { known: [4], last: line(4) });
  made.receive(event("a.b"));
  await settle();
  assert.deepEqual(reported, [[2, false]]);
  assert.equal(made.show(), false);
});

test("a hub that is away is asked again later", async () => {
  const { made, asked, timers } = news([]);
  made.receive(event("a.b"));
  await settle();
  timers.shift()();
  made.receive(event("a.b"));
  await settle();
  assert.equal(asked.length, 2);
});
