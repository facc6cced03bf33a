// The settings form while it is filled in: what is not saved yet, saving without leaving, and nothing typed is ever lost.
// The hub draws the rows, its faults, and what somebody else changed meanwhile.

import { all, begin, find, mark, setText, show, showWords } from "./dom.js";
import { number, span } from "./format.js";
import { morph } from "./morph.js";
import { language, t } from "./texts.js";

/**
 * @typedef {{own: boolean, text: string, seen: string}} Given what stands in a field
 * @typedef {{node: Part, key: string, value: Part, from: Part, seen: Part}} Field
 */

/** @param {string} text */
export const plain = (text) => text.replaceAll("\r\n", "\n").trim();

/** Whether a field says something else than the hub knows. @param {Given} field */
export function differs({ own, text, seen }) {
  return own !== seen.startsWith("1") || plain(text) !== seen.slice(1);
}

export class SettingsForm {
  constructor() {
    this.form = find("#settings");
    this.leaving = false;
    this.sending = false;
    /** Keys that somebody else changed while they were typed into here. @type {Set<string>} */
    this.clashes = new Set();
    this.form.addEventListener("input", (event) => this.typed(event));
    if (!this.bar) return;
    this.form.addEventListener("submit", (event) => this.submit(event));
    // Leaving by the browser's own ways asks first; the page's own Save and Discard do not.
    addEventListener("beforeunload", (event) => this.count() && !this.leaving && event.preventDefault());
    find("[data-discard]", this.bar).addEventListener("click", () => (this.leaving = true));
    this.draw();
  }

  get bar() {
    return find("#save");
  }

  /** @returns {Field[]} */
  get fields() {
    return all("[data-key]", this.form).map((node) => {
      const { key } = node.dataset;
      /** @param {string} name */
      const part = (name) => this.form.elements[`${name}.${key}`];
      return { node, key, value: part("v"), from: part("o"), seen: part("w") };
    });
  }

  /** @param {Field} field @returns {Given} */
  read(field) {
    return { own: field.from.value === "own", text: field.value.value, seen: plain(field.seen.value) };
  }

  /** Those that are not saved. */
  get dirty() {
    return this.fields.filter((field) => differs(this.read(field)));
  }

  /** @param {Event} event */
  typed(event) {
    const field = this.fields.find((each) => each.value === event.target || each.from === event.target);
    if (field) {
      const { text, seen } = this.read(field);
      // Who types into an inherited field means a value of its own.
      if (event.target === field.value && plain(text) !== seen.slice(1)) field.from.value = "own";
      if (event.target === field.from && field.from.value !== "own") field.value.value = seen.slice(1);
      this.note(field.node, "");
      const seconds = Number(plain(field.value.value));
      setText(find("[data-span]", field.node), seconds >= 60 ? `= ${span(seconds, language)}` : "");
    }
    this.draw();
  }

  count() {
    return this.dirty.length + (plain(this.form.elements["add.key"].value) ? 1 : 0);
  }

  draw() {
    for (const field of this.fields) {
      const dirty = differs(this.read(field));
      mark(field.node, "own", field.from.value === "own");
      mark(field.node, "dirty", dirty);
      if (dirty && this.clashes.has(field.key)) show(find("[data-now]", field.node), true);
    }
    if (!this.bar) return;
    const count = this.count();
    this.notify(count ? t("settings.unsaved", { n: number(count, language), count }) : "");
    show(find("[data-discard]", this.bar), count > 0);
    mark(this.bar, "waiting", count > 0);
  }

  /** @param {string} words */
  notify(words) {
    if (this.bar) setText(find("[data-said]", this.bar), words);
  }

  /** @param {Part} node @param {string} words */
  note(node, words) {
    const place = find("[data-fault]", node);
    showWords(place, words, find("span", place));
  }

  /** The form as without script; what comes of it is taken out of the answer. @param {Event} event */
  async submit(event) {
    event.preventDefault();
    const button = find("[data-send]", this.bar);
    if (!this.count()) return this.notify(t("settings.nothing"));
    if (!begin(button)) return undefined;
    this.sending = true;
    const body = new URLSearchParams(/** @type {any} */ (new FormData(/** @type {any} */ (this.form))));
    try {
      const answer = await fetch(this.form.action, { method: "POST", body });
      if (answer.redirected && new URL(answer.url).pathname === location.pathname) {
        this.leaving = true;
        return location.assign(answer.url);
      }
      this.refused(answer.redirected ? t("session_over") : t("fault.unknown"), await answer.text());
    } catch {
      this.notify(t("fault.network"));
    }
    button.removeAttribute("aria-busy");
    this.sending = false;
    return undefined;
  }

  /** Not saved: the page that came back says why, beside what was typed. @param {string} otherwise @param {string} html */
  refused(otherwise, html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const fresh = find("#settings", page);
    const words = find("main > div.note", page)?.textContent.trim() ?? otherwise;
    if (fresh) this.become(() => morph(this.form, fresh));
    this.notify(words);
    const first = all("[data-fault]:not([hidden])", this.form)[0];
    if (!first) return;
    const folded = first.closest("details");
    if (folded) folded.open = true;
    find("input, select, textarea", first.closest("[data-key], [data-new]")).focus();
  }

  /** The form is drawn anew: fields nobody is typing into show what is now, the others what was typed. @param {() => void} draw */
  become(draw) {
    const before = new Map(this.fields.map((field) => [field.key, plain(field.seen.value)]));
    const typed = new Set(this.dirty.map((field) => field.key));
    draw();
    for (const field of this.fields) {
      const changed = before.has(field.key) && before.get(field.key) !== plain(field.seen.value);
      if (!typed.has(field.key)) for (const control of [field.value, field.from]) asDrawn(control);
      else if (changed) this.clashes.add(field.key);
    }
    this.draw();
  }

  /** Somebody else saved. @param {() => void} draw what puts in what the hub says now */
  news(draw) {
    const version = this.form.elements.version.value;
    const before = new Set(this.clashes);
    const words = find("[data-said]", this.form)?.textContent ?? "";
    /** @type {[Part, string][]} */
    const faults = all("[data-fault]:not([hidden])", this.form).map((fault) => [
      /** @type {any} */ (fault.parentElement?.closest("[data-key], [data-new]")),
      fault.textContent.trim(),
    ]);
    this.become(draw);
    // What is wrong with a field that is not saved the hub no longer knows.
    const mine = new Set(this.dirty.map(({ node }) => node));
    for (const [node, why] of faults)
      if (mine.has(node) || (node.dataset.new !== undefined && plain(this.form.elements["add.key"].value)))
        this.note(node, why);
    if (this.form.elements.version.value === version) return this.notify(words);
    const clash = [...this.clashes].some((key) => !before.has(key));
    this.notify(t(clash ? "settings.stale" : "settings.news", { who: this.form.dataset.by ?? "" }));
    return undefined;
  }
}

/** A control as the hub drew it, whatever was in it. @param {any} control */
function asDrawn(control) {
  if (control.options) for (const option of control.options) option.selected = option.defaultSelected;
  else control.value = control.defaultValue;
}
