// The settings form, and the top of a machine's tabs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { untilWords } from "../../dashboard/static/js/machine_head.js";
import { differs } from "../../dashboard/static/js/settings_form.js";
import { useTexts } from "../../dashboard/static/js/texts.js";

useTexts(JSON.parse(readFileSync(new URL("../../dashboard/locales/en.json", import.meta.url), "utf-8")), "en");

test("a field counts when it says something else than the page was made with", () => {
  for (const [own, text, seen, other] of /** @type {[boolean, string, string, boolean][]} */ ([
    [false, "80", "080", false],
    [false, "75", "080", true],
    [true, "80", "080", true],
    [true, "80", "180", false],
    [true, "75", "180", true],
    [false, "80", "180", true],
    [true, " a\r\nb ", "1a\nb", false],
  ]))
    assert.equal(differs({ own, text, seen }), other, `${own} ${text} ${seen}`);
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
  assert.equal(untilWords({ ...m, special_status: "error" }, when), "returns to Active afterwards");
});
