// What a screen reader announces: transitions only, at most one sentence in five seconds, several grouped into one.

import { t } from "./texts.js";

const PAUSE_MS = 5000;

export class Announcer {
  /** @param {(sentence: string) => void} speak @param {(fn: () => void, ms: number) => void} [later] */
  constructor(speak, later = (fn, ms) => setTimeout(fn, ms)) {
    this.speak = speak;
    this.later = later;
    /** @type {string[]} */
    this.waiting = [];
    this.resting = false;
  }

  /** @param {string} sentence */
  add(sentence) {
    this.waiting.push(sentence);
    if (!this.resting) this.flush();
  }

  flush() {
    if (!this.waiting.length) return;
    const count = this.waiting.length;
    this.speak(count <= 2 ? this.waiting.join(". ") : t("said.many", { n: count, count }));
    this.waiting = [];
    this.resting = true;
    this.later(() => {
      this.resting = false;
      this.flush();
    }, PAUSE_MS);
  }
}
