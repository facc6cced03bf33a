// Leases in the browser: countdown, whose lease it is, and what a recording plays when.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { Player, parse, reached, withoutPauses } from "../../dashboard/static/js/cast.js";
import { above, joined } from "../../dashboard/static/js/files_panel.js";
import { countdown, ownLease } from "../../dashboard/static/js/lease_words.js";
import { useTexts } from "../../dashboard/static/js/texts.js";
import { amount, progress } from "../../dashboard/static/js/transfer.js";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf-8"));
useTexts(read("../../dashboard/locales/en.json"), "en");

test("what is left counts down the same way as on the hub", () => {
  for (const [ms, words] of read("../dashboard/fixtures/formats.json").countdown) assert.equal(countdown(ms), words);
});

test("one's own lease is the open one that ends first", () => {
  /** @returns {any} */
  const machine = (id, admin_id, status, expires_at) => ({ id, lease: { id, admin_id, status, expires_at } });
  const machines = [
    { id: 1, lease: null },
    machine(2, 9, "active", 500),
    machine(3, 7, "active", 900),
    machine(4, 7, "starting", 800),
    machine(5, 7, "ended", 100),
  ];
  assert.equal(ownLease(machines, 7)?.m.id, 4);
  assert.equal(ownLease(machines, 9)?.m.id, 2);
  assert.equal(ownLease(machines, 1), null);
  assert.equal(ownLease([/** @type {any} */ ({ id: 1 })], 7), null);
});

test("a folder's parent is never above what the machine declares", () => {
  assert.equal(above("/data/logs", ["/data/logs"]), null);
  assert.equal(above("/data/logs/old", ["/data/logs"]), "/data/logs");
  assert.equal(joined("/data/", "a b"), "/data/a b");
});

test("an upload says how far it is, and how long it takes once its pace is steady", () => {
  assert.equal(amount(999), "999\u202fB");
  assert.equal(amount(1500), "1.5\u202fkB");
  assert.equal(amount(214e6), "214\u202fMB");
  assert.equal(progress(0, 340e6, 0), "Uploading 0\u202fB of 340\u202fMB");
  assert.equal(progress(214e6, 340e6, 4000), "Uploading 214\u202fMB of 340\u202fMB");
  assert.equal(progress(20e6, 140e6, 10000), "Uploading 20\u202fMB of 140\u202fMB, 2.0\u202fMB/s, about 1\u202fmin");
});

const CAST = [
  '{"version":2,"width":100,"height":30}',
  '[0.5,"o","$ "]',
  '[1,"i","ls"]',
  '[1.5,"o","a"]',
  '[11.5,"r","80x24"]',
  '[11.6,"o","b\\u00e9"]',
  '[12,"o',
].join("\n");

test("a recording is read, also one that was cut off; anything else is refused", () => {
  const cast = parse(CAST);
  assert.deepEqual([cast.cols, cast.rows, cast.moments.length, cast.length], [100, 30, 5, 11.6]);
  assert.throws(() => parse('{"version":1}'));
  assert.throws(() => parse("<html>"));
  // A clock that went back does not send the player back.
  assert.deepEqual(
    parse('{"version":2}\n[3,"o","x"]\n[1,"o","y"]').moments.map((each) => each.at),
    [3, 3],
  );
});

test("long pauses are cut and the rest keeps its order", () => {
  const short = withoutPauses(parse(CAST).moments, 2);
  assert.deepEqual(
    short.map((each) => Number(each.at.toFixed(3))),
    [0.5, 1, 1.5, 3.5, 3.6],
  );
  assert.deepEqual([reached(short, 0), reached(short, 1), reached(short, 9)], [0, 2, 5]);
});

function playing(text = CAST) {
  const seen = [];
  const clock = { ms: 0 };
  const player = new Player(parse(text), {
    write: (data) => seen.push(data),
    resize: (cols, rows) => seen.push(`${cols}x${rows}`),
    reset: () => seen.push("reset"),
    passed: () => clock.ms,
  });
  return { seen, clock, player };
}

test("playing shows what has come due, at its speed, and stops at the end", () => {
  const { seen, clock, player } = playing();
  player.play();
  clock.ms = 600;
  player.tick();
  assert.deepEqual(seen, ["$ "], "what was typed is not shown twice");
  player.faster(10);
  clock.ms = 700;
  player.tick();
  assert.deepEqual(seen, ["$ ", "a"]);
  player.pause();
  clock.ms = 99000;
  assert.equal(player.tick(), 1.6);
  player.play();
  clock.ms = 101000;
  player.tick();
  assert.deepEqual(seen.slice(2), ["80x24", "bé"]);
  assert.equal(player.playing, false);
  player.play();
  assert.deepEqual(seen.slice(4), ["reset", "100x30"], "play at the end begins again");
});

test("a jump back draws the screen anew, a jump ahead only what is missing", () => {
  const { seen, player } = playing();
  player.seek(2);
  assert.deepEqual(seen, ["$ a"]);
  player.seek(0.7);
  assert.deepEqual(seen.slice(1), ["reset", "100x30", "$ "]);
  player.seek(99);
  assert.equal(player.at(), 11.6);
});

test("cutting pauses while it plays keeps the place", () => {
  const { player } = playing();
  player.seek(11.55);
  player.skip(true);
  assert.ok(Math.abs(player.at() - 3.55) < 1e-9);
  assert.ok(Math.abs(player.length - 3.6) < 1e-9);
  player.skip(false);
  assert.ok(Math.abs(player.at() - 11.55) < 1e-9);
});
