// The browser's half of formats and decisions, by the tables that also hold the hub's half.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { backupShort, briefCode, MARKS } from "../../dashboard/static/js/backup_brief.js";
import * as format from "../../dashboard/static/js/format.js";
import { freshness } from "../../dashboard/static/js/freshness.js";
import { grouped } from "../../dashboard/static/js/groups.js";
import * as order from "../../dashboard/static/js/order.js";
import { t, useTexts } from "../../dashboard/static/js/texts.js";

Object.assign(globalThis, { BASE_PATH: "" });

const table = (name) =>
  JSON.parse(readFileSync(new URL(`../dashboard/fixtures/${name}.json`, import.meta.url), "utf-8"));
const words = (code) =>
  JSON.parse(readFileSync(new URL(`../../dashboard/locales/${code}.json`, import.meta.url), "utf-8"));
const formats = table("formats");
const NOW = 1795413731000;
const fleet = table("fleet");
const sentences = JSON.parse(readFileSync(new URL("../texts/fixtures/sentences.json", import.meta.url), "utf-8"));

test("sentences are filled in one pass, in the form of their count", () => {
  for (const [language, forms, values, text] of sentences) {
    useTexts({ key: forms }, language);
    assert.equal(t("key", values), text);
  }
});

test("numbers and readings are written as their readers write them", () => {
  for (const [value, lang, decimals, text] of formats.number) assert.equal(format.number(value, lang, decimals), text);
  for (const [size, lang, text] of formats.amount) assert.equal(format.amount(size, lang), text);
  for (const [metric, value, lang, text] of formats.reading) assert.equal(format.reading(metric, value, lang), text);
});

test("a machine's backups in a word", () => {
  for (const { about, backup, code, mark, ...texts } of table("backups").briefs) {
    assert.equal(briefCode(backup, NOW), code, about);
    assert.equal(MARKS[code], mark);
    for (const lang of ["en", "id"]) {
      useTexts(words(lang), lang);
      assert.equal(backupShort(backup, NOW).replaceAll("\u202f", " "), texts[lang], about);
    }
  }
});

test("durations", () => {
  for (const name of ["age", "span", "offset"])
    for (const [seconds, lang, text] of formats[name]) assert.equal(format[name](seconds, lang), text);
});

test("instants are shown in the zone that was asked for", () => {
  for (const [ms, zone, lang, seconds, text] of formats.clock)
    assert.equal(format.clock(ms, zone, lang, seconds), text);
  for (const [zone, label] of formats.zone_label) assert.equal(format.zoneLabel(zone, 1795370531000), label);
  for (const [ms, now, zone, lang, text] of formats.day) assert.equal(format.day(ms, now, zone, lang), text);
});

test("an address shows the same machines in the same order as the hub", () => {
  for (const [search, ids] of fleet.shown) {
    const query = order.queryFrom(search);
    const rows = order.shown(fleet.machines, query);
    assert.deepEqual(
      (query.group ? grouped(rows, query.group) : rows).map((m) => m.id),
      ids,
      search,
    );
  }
  const counts = order.counters(fleet.machines);
  for (const [name, count] of Object.entries(fleet.counters)) assert.equal(counts[name], count, name);
  for (const [search, changes, to] of fleet.addresses)
    assert.equal(order.address(order.queryFrom(search), changes), to);
  for (const [search, column, to] of fleet.heads) assert.equal(order.sortAddress(order.queryFrom(search), column), to);
});

test("freshness in both languages", () => {
  /** @type {any} */
  const m = { connection: "late", last_seen_at: NOW - 12000, connection_since: NOW - 9e6 };
  useTexts(words("id"), "id");
  assert.deepEqual(freshness(m, NOW), { mark: "late", words: "terlambat 12\u202fdtk", quiet: false });
  useTexts(words("en"), "en");
  assert.equal(
    freshness({ ...m, connection: "offline", connection_reason: "reboot", connection_since: NOW - 60000 }, NOW).words,
    "Rebooting…",
  );
  assert.equal(freshness({ ...m, connection: "live" }, NOW).quiet, true);
});
