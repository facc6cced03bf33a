// The settings form while it is filled in: what is not saved yet, saving without leaving, and nothing typed is ever lost.
// The browser's half of dashboard/settings.py.

import { patch } from "./commands.js";
import { all, find, mark, setAttribute, setText, show } from "./dom.js";
import { number, span } from "./format.js";
import { language, t } from "./texts.js";

/**
 * What stands in a field.
 * @typedef {{own: boolean, text: string, seen: string, kind: string}} Given
 * @typedef {{node: Part, key: string, kind: string, value: Part, from: Part, seen: Part}} Field
 * @typedef {{written: Free, values: Free}} Held what the hub holds
 */

/** @param {string} text */
export const plain = (text) => text.replaceAll("\r\n", "\n").trim();

/** @param {string} line */
function meaning(line) {
  try {
    const found = JSON.parse(line);
    return ["string", "number", "boolean"].includes(typeof found) ? found : line;
  } catch {
    return line;
  }
}

const NUMBER = /^[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?$/i;
// A thousand to one reader and one to the other: nobody here guesses which.
const EITHER = /^([-+]?[1-9]\d{0,2})([.,])(\d{3})$/;

/** @param {string} text */
function amount(text) {
  const value = NUMBER.test(text) && !EITHER.test(text) ? Number(text.replace(",", ".")) : Number.NaN;
  return Number.isFinite(value) ? value : text;
}

/**
 * Why a number's field holds none, as a text key and its values; null when it does, or shall hold none.
 * @param {string} text @param {string} kind @param {Language} lang
 * @returns {[string, Record<string, string>] | null}
 */
export function noNumber(text, kind, lang) {
  const said = plain(text);
  if ((kind !== "number" && kind !== "whole") || typeof amount(said) === "number") return null;
  const [, whole, , part] = EITHER.exec(said) ?? [];
  if (whole === undefined) return ["settings.no_number", {}];
  const short = part.replace(/0+$/, "") || "0";
  const decimals = short.length === 3 ? `${short}0` : short;
  return [
    "settings.thousand_or_part",
    { typed: said, whole: `${whole}${part}`, part: `${whole}${lang === "id" ? "," : "."}${decimals}` },
  ];
}

/**
 * What a text means; one that means nothing of that kind stays text, for the hub to refuse with its reason.
 * @param {string} text @param {string} kind
 */
export function valueFrom(text, kind) {
  const said = plain(text);
  if (kind === "switch") return said === "on" ? true : said === "off" ? false : said;
  if (kind === "number" || kind === "whole") return amount(said);
  if (kind !== "list" && kind !== "networks") return said;
  const lines = said
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  return kind === "networks" ? lines : lines.map(meaning);
}

/** A list's entry as a line: text as it is, unless the line would mean something else. @param {unknown} value */
function entry(value) {
  return typeof value === "string" && meaning(value.trim()) === value && !value.includes("\n")
    ? value
    : JSON.stringify(value);
}

/** A value as its field shows it. @param {unknown} value @param {string} kind */
export function textOf(value, kind) {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (Array.isArray(value)) return value.map(kind === "networks" ? String : entry).join("\n");
  return typeof value === "number" && EITHER.test(String(value)) ? `${value}0` : String(value);
}

/** What a field changes: undefined for nothing, null to inherit again. @param {Given} field */
export function wish({ own, text, seen, kind }) {
  const wasOwn = seen.startsWith("1");
  if (wasOwn && !own) return null;
  return plain(text) !== seen.slice(1) || (own && !wasOwn) ? valueFrom(text, kind) : undefined;
}

/**
 * What the hub holds for a key now, as `seen` has it and as its field shows it. A key may be called `constructor`.
 * @param {Held} now @param {string} key @param {string} kind
 */
export function held(now, key, kind) {
  const own = Object.hasOwn(now.written, key);
  const value = own ? now.written[key] : Object.hasOwn(now.values, key) ? now.values[key] : undefined;
  return { own, text: value === undefined ? "" : textOf(value, kind) };
}

export class SettingsForm {
  /** @param {import("./feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    this.form = find("#settings");
    this.bar = find("#save");
    this.leaving = false;
    this.sending = false;
    /** @type {number | null} */
    this.asked = null;
    this.added = find("[data-new]", this.form);
    this.fields = all("[data-key]", this.form).map((node) => this.field(node));
    this.form.addEventListener("input", (event) => this.typed(event));
    if (!this.bar) return;
    this.form.addEventListener("submit", (event) => this.submit(event));
    // Leaving by the browser's own ways asks first; the page's own Save and Discard do not.
    addEventListener("beforeunload", (event) => this.count() && !this.leaving && event.preventDefault());
    find("[data-discard]", this.bar).addEventListener("click", () => (this.leaving = true));
    this.draw();
  }

  /** @param {Part} node @returns {Field} */
  field(node) {
    const { key, kind } = node.dataset;
    /** @param {string} mark */
    const part = (mark) => this.form.elements[`${mark}.${key}`];
    return { node, key, kind, value: part("v"), from: part("o"), seen: part("w") };
  }

  /** @param {Field} field @returns {Given} */
  read(field) {
    return {
      own: field.from.value === "own",
      text: field.value.value,
      seen: plain(field.seen.value),
      kind: field.kind,
    };
  }

  /** @param {Event} event */
  typed(event) {
    const field = this.fields.find((each) => each.value === event.target || each.from === event.target);
    if (field) {
      const { text, seen } = this.read(field);
      // Who types into an inherited field means a value of its own.
      if (event.target === field.value && plain(text) !== seen.slice(1)) field.from.value = "own";
      if (event.target === field.from && field.from.value !== "own") field.value.value = seen.slice(1);
      this.note(field.node, "fault", "");
      const seconds = find("[data-span]", field.node);
      const value = amount(plain(field.value.value));
      setText(seconds, typeof value === "number" && value >= 60 ? `= ${span(value, language)}` : "");
    }
    this.draw();
  }

  wishes() {
    const found = this.fields
      .map((field) => [field.key, wish(this.read(field))])
      .filter(([, wanted]) => wanted !== undefined);
    const key = plain(this.form.elements["add.key"].value);
    if (key) found.push([key, valueFrom(this.form.elements["add.value"].value, this.form.elements["add.kind"].value)]);
    // Not by assignment: a key called `__proto__` goes to the hub as well, which says why it is none.
    return Object.fromEntries(found);
  }

  count() {
    return Object.keys(this.wishes()).length;
  }

  draw() {
    for (const field of this.fields) {
      mark(field.node, "own", field.from.value === "own");
      mark(field.node, "dirty", wish(this.read(field)) !== undefined);
    }
    if (!this.bar) return;
    const count = this.count();
    this.say(count ? t("settings.unsaved", { n: number(count, language), count }) : "");
    show(find("[data-discard]", this.bar), count > 0);
    mark(this.bar, "waiting", count > 0);
  }

  /** @param {string} words */
  say(words) {
    if (this.bar) setText(find("[data-said]", this.bar), words);
  }

  /** @param {Part} node @param {string} name @param {string} words */
  note(node, name, words) {
    const place = find(`[data-${name}]`, node);
    setText(find("span", place), words);
    show(place, words !== "");
  }

  /** @param {Event} event */
  async submit(event) {
    event.preventDefault();
    const button = find("[data-send]", this.bar);
    if (button.getAttribute("aria-busy") === "true" || button.getAttribute("aria-disabled") === "true") return;
    const values = this.wishes();
    if (!Object.keys(values).length) return this.say(t("settings.nothing"));
    const errors = this.noNumbers(values);
    if (Object.keys(errors).length) return this.faults({ errors });
    setAttribute(button, "aria-busy", "true");
    this.sending = true;
    const answer = await patch(this.form.dataset.address, {
      version: Number(this.form.elements.version.value),
      values,
    });
    button.removeAttribute("aria-busy");
    if (answer.ok) return this.saved();
    this.sending = false;
    if (answer.status === 409) await this.meanwhile(true);
    else this.faults(answer);
    return undefined;
  }

  /** The fields that shall hold a number and hold none, each with why. @param {Record<string, unknown>} values */
  noNumbers(values) {
    const typed = this.fields.map((field) => [field.key, field.value.value, field.kind]);
    const { elements } = this.form;
    typed.push([plain(elements["add.key"].value), elements["add.value"].value, elements["add.kind"].value]);
    const found = [];
    for (const [key, text, kind] of typed) {
      const why = Object.hasOwn(values, key) && values[key] !== null ? noNumber(text, kind, language) : null;
      if (why) found.push([key, [t(...why)]]);
    }
    return Object.fromEntries(found);
  }

  saved() {
    this.leaving = true;
    location.assign(`${location.pathname}?said=saved`);
  }

  /** Somebody else saved: show what is now. What was typed stays, with what is now beside it. @param {boolean} stale */
  async meanwhile(stale) {
    let now;
    try {
      const answer = await fetch(this.form.dataset.address, { credentials: "same-origin" });
      now = (await answer.json()).data;
    } catch {
      return this.say(t("fault.network"));
    }
    const touched = this.fields.filter((field) => this.refresh(field, now)).length;
    this.form.elements.version.value = String(now.version);
    setText(find("#applied-head"), t("settings.version", { n: String(now.version) }));
    this.draw();
    if (touched) this.say(t("settings.stale"));
    else this.say(t(stale ? "settings.stale.elsewhere" : "settings.news"));
    return undefined;
  }

  /** Whether this field was being changed here while it was changed elsewhere. @param {Field} field @param {Held} now */
  refresh(field, now) {
    const { own, text } = held(now, field.key, field.kind);
    const seen = `${own ? 1 : 0}${plain(text)}`;
    if (seen === plain(field.seen.value)) return false;
    const typed = wish(this.read(field)) !== undefined;
    field.seen.value = seen;
    if (typed) {
      this.note(
        field.node,
        "now",
        own
          ? t("settings.meanwhile", { value: text.replaceAll("\n", ", ") || t("settings.none") })
          : t("settings.meanwhile.gone"),
      );
      return true;
    }
    field.value.value = text;
    field.from.value = own ? "own" : "";
    return false;
  }

  /** @param {Partial<Answer>} answer */
  faults(answer) {
    const errors = Object.entries(answer.errors ?? {}).map(([name, whys]) => [
      name.replace(/^values\./, "").replaceAll("-", "_"),
      whys.join(" "),
    ]);
    /** @type {Part | null} */
    let first = null;
    for (const [key, words] of errors) {
      const field = this.fields.find((each) => each.key === key);
      const node = field?.node ?? this.added;
      this.note(node, "fault", words);
      first ??= field?.value ?? this.form.elements["add.key"];
      if (!field) node.closest("details").open = true;
    }
    this.say(errors.length ? t("settings.faults") : answer.message || t("fault.unknown"));
    first?.focus();
  }

  /**
   * The hub wants another version than this page was made from: not while our own Save is on its way.
   * @param {number} version
   */
  news(version) {
    if (this.sending || this.leaving || this.asked === version || version <= Number(this.form.elements.version.value))
      return;
    this.asked = version;
    this.meanwhile(false);
  }
}
