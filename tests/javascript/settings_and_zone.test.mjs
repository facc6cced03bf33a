// The settings form, the time zone card and the top of a machine's tabs, by the tables that also hold the hub's half.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { applied } from "../../dashboard/static/js/applied.js";
import { untilWords } from "../../dashboard/static/js/machine_head.js";
import { refusal, why } from "../../dashboard/static/js/refusals.js";
import { held, noNumber, SettingsForm, textOf, valueFrom, wish } from "../../dashboard/static/js/settings_form.js";
import { t, useTexts } from "../../dashboard/static/js/texts.js";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf-8"));
const settings = read("../dashboard/fixtures/settings.json");
const zone = read("../dashboard/fixtures/zone.json");
useTexts(read("../../dashboard/locales/en.json"), "en");

test("a value becomes text and comes back the same", () => {
  for (const [value, kind, text] of settings.texts) {
    assert.equal(textOf(value, kind), text);
    assert.deepEqual(valueFrom(text, kind), value);
  }
  for (const [text, kind, value] of settings.typed) assert.deepEqual(valueFrom(text, kind), value, text);
});

test("a number that is none is told why", () => {
  for (const [text, kind, lang, why] of settings.no_numbers) {
    useTexts(read(`../../dashboard/locales/${lang}.json`), lang);
    const found = noNumber(text, kind, lang);
    assert.equal(found ? t(...found) : "", why, text);
  }
  useTexts(read("../../dashboard/locales/en.json"), "en");
});

test("a form changes only what differs from what was shown", () => {
  for (const [form, wanted] of settings.forms) {
    const found = {};
    for (const [key, kind] of Object.entries(settings.kinds)) {
      if (form[`v.${key}`] === undefined || form[`w.${key}`] === undefined) continue;
      const value = wish({ own: form[`o.${key}`] === "own", text: form[`v.${key}`], seen: form[`w.${key}`], kind });
      if (value !== undefined) found[key] = value;
    }
    assert.deepEqual(found, wanted);
  }
});

test("why a machine does not take a setting is said in the reader's language", () => {
  for (const [told, en, id] of settings.refusals) {
    assert.equal(why(told), en);
    useTexts(read("../../dashboard/locales/id.json"), "id");
    assert.equal(why(told), id);
    useTexts(read("../../dashboard/locales/en.json"), "en");
  }
});

const PROTOTYPE = ["constructor", "__proto__", "toString", "hasOwnProperty"];

test("a key may be called like something every object has", () => {
  const empty = JSON.parse('{"written": {}, "values": {}}');
  for (const key of PROTOTYPE) {
    assert.equal(refusal(empty, key), "");
    assert.equal(
      refusal(JSON.parse(`{"${key}": "static_key: no"}`), key),
      "The machine does not take it: only the machine’s own file sets it",
    );
    assert.deepEqual(held(empty, key, "text"), { own: false, text: "" });
    assert.deepEqual(held({ written: JSON.parse(`{"${key}": 5}`), values: {} }, key, "number"), {
      own: true,
      text: "5",
    });
  }
});

test("a new key of such a name is sent, for the hub to judge", () => {
  for (const key of PROTOTYPE) {
    const elements = { "add.key": { value: key }, "add.value": { value: "5" }, "add.kind": { value: "number" } };
    const sent = SettingsForm.prototype.wishes.call({ fields: [], form: { elements } });
    assert.equal(JSON.stringify(sent), `{"${key}":5}`);
  }
});

test("wanted and run are told apart", () => {
  for (const [m, [mark, words, errors]] of zone.applied) assert.deepEqual(applied(m), { mark, words, errors });
});

test("until when a status holds, and what comes then", () => {
  const m = { status: "active", special_status: null, status_until: null, returns_to: null };
  const when = () => "today 14:00 WIB";
  assert.equal(untilWords(m, when), "");
  assert.equal(
    untilWords({ ...m, status: "maintenance", status_until: 1, returns_to: "active" }, when),
    "back to Active today 14:00 WIB",
  );
  assert.equal(untilWords({ ...m, status_until: 1 }, when), "until today 14:00 WIB");
  assert.equal(untilWords({ ...m, special_status: "error" }, when), "covers Active, which comes back afterwards");
});
