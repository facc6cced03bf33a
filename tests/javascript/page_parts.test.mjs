// The small deciding parts of pages: sparkline, series, range, clock, announcer, the status control's "until".

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { Announcer } from "../../dashboard/static/js/announcer.js";
import { plain } from "../../dashboard/static/js/format.js";
import { HubClock } from "../../dashboard/static/js/hub_clock.js";
import { LiveRange } from "../../dashboard/static/js/live_range.js";
import { movedCount } from "../../dashboard/static/js/order.js";
import { Series } from "../../dashboard/static/js/series.js";
import { pathOf, pointsOf, Sparkline } from "../../dashboard/static/js/sparkline.js";
import { untilFrom } from "../../dashboard/static/js/status_control.js";
import { t, useTexts } from "../../dashboard/static/js/texts.js";

const NOW = 1795370531000;
const read = (/** @type {string} */ path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf-8"));
useTexts(read("../../dashboard/locales/en.json"), "en");

test("a value with braces stays as it is", () => {
  assert.equal(t("said.status", { name: "{status}", status: "Full" }), "{status}: Full");
  assert.equal(t("no.such"), "no.such");
});

test("what a machine says freely is text, a number, or nothing", () => {
  assert.equal(plain("Orin"), "Orin");
  assert.equal(plain(4), "4");
  for (const hostile of [JSON.parse('{"toString": 1, "valueOf": 1}'), ["a"], null, undefined, true])
    assert.equal(plain(hostile), "");
});

test("the hub's time goes on without asking this computer's clock", () => {
  let passed = 0;
  const clock = new HubClock(NOW, () => passed);
  passed = 2500;
  assert.equal(clock.now(), NOW + 2500);
  clock.sync(NOW);
  assert.equal(clock.now(), NOW);
});

test("the hub's sparkline is read back, goes on, and moves left", () => {
  const drawn = "M20 0h0M43 16h0l2 -8";
  assert.equal(pathOf(pointsOf(drawn)), drawn);
  const spark = new Sparkline(drawn, NOW);
  spark.add(NOW, 100);
  assert.equal(spark.path(NOW), "M20 0h0M43 16h0l2 -8l2 -8");
  spark.add(NOW, null);
  assert.equal(spark.path(NOW + 21 * 300000), "M22 16h0l2 -8l2 -8");
  assert.equal(spark.path(NOW + 48 * 300000), "");
  assert.equal(pathOf(pointsOf("M1 2h0M4 6h0"), 3), "M1 2h0l3 4", "a machine that keeps its samples more rarely");
});

/** @returns {[number, number]} */
const row = (at, cpu) => [at, cpu];

test("history stands before what came meanwhile, and the same sample counts once", () => {
  const series = new Series(["cpu_usage"]);
  assert.equal(series.add({ taken_at: NOW, cpu_usage: 5 }), true);
  assert.equal(series.add({ taken_at: NOW, cpu_usage: 5 }), false);
  series.load([row(NOW - 2000, 1), row(NOW, 9)]);
  assert.deepEqual(series.points, [
    [NOW - 2000, 1],
    [NOW, 5],
  ]);
});

test("a clock that is set back lets the line go on from there, with a gap and without what it dated later", () => {
  const series = new Series(["cpu_usage"]);
  series.load([row(NOW - 1000, 1), row(NOW + 239000, 2)]);
  assert.equal(series.add({ taken_at: NOW + 240000, cpu_usage: 3 }), true);
  assert.equal(series.add({ taken_at: NOW, cpu_usage: 4 }), true);
  assert.equal(series.add({ taken_at: NOW + 1000, cpu_usage: 5 }), true);
  assert.deepEqual(series.points, [row(NOW - 1000, 1), row(NOW, 4), row(NOW + 1000, 5)]);
  assert.deepEqual(series.columns().y, [[1, null, 4, 5]]);
  assert.deepEqual([series.summary("cpu_usage", NOW + 1000)?.now, series.gaps(NOW + 1000)], [5, []]);
  for (let i = 1; i < 1000; i += 1) {
    series.add({ taken_at: NOW - i, cpu_usage: 6 });
    series.trim(NOW);
  }
  assert.equal(series.steps.size, 1, "what is let go is forgotten");
  const spark = new Sparkline("M45 16h0l2 -8", NOW);
  spark.add(NOW - 600000, 100);
  assert.equal(spark.path(NOW), "M45 0h0");
});

test("a line breaks where the machine was away, where a kept sample is missing, and where we watched in vain", () => {
  const series = new Series(["cpu_usage"]);
  series.load([row(NOW - 900000, 1), row(NOW - 400000, 2), row(NOW - 100000, 3)]);
  assert.deepEqual(series.gaps(NOW), [[NOW - 900000, NOW - 400000]]);
  series.away = [[NOW - 300000, NOW - 200000]];
  assert.deepEqual(series.columns().y, [[1, null, 2, null, 3]]);
  series.watchedSince = NOW - 100000;
  assert.deepEqual(series.gaps(NOW).at(-1), [NOW - 100000, NOW]);
});

test("an axis fits what is shown, with the limits in view", () => {
  const series = new Series(["cpu_usage", "temperature"]);
  series.load([
    [NOW - 900000, 50, 20],
    [NOW - 2000, 50, 84.5],
    [NOW - 1000, 50, null],
    [NOW, 50, 88],
  ]);
  assert.deepEqual(series.fitted(["temperature"], [80, 90], [NOW - 600000, NOW]), [75, 95]);
  assert.deepEqual(series.fitted(["temperature"], [], [NOW - 600000, NOW]), [80, 90]);
  assert.deepEqual(series.fitted(["temperature"], [], [NOW - 900000, NOW - 600000]), [15, 25]);
  assert.equal(series.fitted(["temperature"], [], [NOW - 800000, NOW - 600000]), null);
});

test("the points stay bounded through a day of live values", () => {
  const series = new Series(["cpu_usage"]);
  for (let second = 0; second < 86400; second += 1) {
    series.add({ taken_at: NOW + second * 1000, cpu_usage: 50 });
    if (second % 60 === 0) series.trim(NOW + second * 1000);
  }
  assert.ok(series.points.length < 2300, String(series.points.length));
  assert.deepEqual(series.summary("cpu_usage", NOW + 86400000)?.mean, 50);
  assert.equal(series.summary("cpu_usage", NOW + 99999999), null);
});

test("a person's zoom pauses the window and is kept until they go back", () => {
  const live = new LiveRange(600000);
  assert.deepEqual(live.range(NOW), [NOW - 600000, NOW]);
  assert.equal(live.relayout({ "yaxis.range[0]": 1 }, NOW), false);
  assert.equal(
    live.relayout(
      { "xaxis.range[0]": "2026-11-23 01:00:00", "xaxis.range[1]": "2026-11-23 01:01:00.5" },
      NOW,
      7 * 3600000,
    ),
    true,
  );
  const kept = live.range(NOW);
  assert.deepEqual(live.range(NOW + 60000), kept);
  assert.equal(kept[0], Date.UTC(2026, 10, 22, 18));
  assert.equal(live.behind(NOW + 60000), 60000);
  live.live();
  assert.deepEqual(live.range(NOW + 1), [NOW - 599999, NOW + 1]);
});

test("one sentence in five seconds, many grouped into one", () => {
  const spoken = [];
  const timers = [];
  const announcer = new Announcer(
    (sentence) => spoken.push(sentence),
    (fn) => timers.push(fn),
  );
  for (const sentence of ["a", "b", "c", "d"]) announcer.add(sentence);
  timers.shift()();
  timers.shift()();
  assert.deepEqual(spoken, ["a", "3 machines changed"]);
});

test("until tomorrow is seven o'clock where the machine stands", () => {
  for (const [now, zone, then] of read("../dashboard/fixtures/until.json"))
    assert.equal(untilFrom("tomorrow", Date.parse(now), zone), then.replace("Z", ".000Z"), `${now} ${zone}`);
  assert.equal(untilFrom("4", NOW, "Asia/Jakarta"), new Date(NOW + 4 * 3600000).toISOString());
  assert.equal(untilFrom("", NOW, "Asia/Jakarta"), "");
});

test("how many rows stand elsewhere", () => {
  assert.equal(movedCount([1, 2, 3], [1, 2, 3]), 0);
  assert.equal(movedCount([1, 2, 3], [2, 1, 3]), 2);
  assert.equal(movedCount([1, 2, 3], [1, 3]), 0);
  assert.equal(movedCount([1, 2], [3, 1, 2]), 1);
});
