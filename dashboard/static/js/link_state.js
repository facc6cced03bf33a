// What the page says of its own link to the hub: the chip, the bar, hollow dots, locked buttons; and that it is silent, which
// makes all values old.

import { all, find, mark, setAttribute, setText, show } from "./dom.js";
import { age } from "./format.js";
import { doubt } from "./freshness.js";
import { language, t } from "./texts.js";

const BAR_AFTER_MS = 2000;
const BACK_FOR_MS = 2000;

export class LinkState {
  /** @param {import("./feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    this.chip = find("#link-chip");
    this.bar = find("#link-bar");
    /** @type {number | null} */
    this.lostAt = null;
    /** @type {(() => void) | null} */
    this.action = null;
    /** @type {Timer | undefined} */
    this.timer = undefined;
    this.state = "connecting";
    this.silent = false;
    this.away = false;
    setInterval(() => this.draw(), 1000);
    find("[data-retry]", this.bar).addEventListener("click", () => (this.action ?? (() => feed.socket.retry()))());
    this.chip?.addEventListener("click", () => this.toggle());
    this.draw();
  }

  toggle() {
    if (this.silent) return this.feed.socket.retry();
    this.feed.pause(!this.feed.paused);
    this.draw();
  }

  /** @param {string} state */
  set(state) {
    if (state === this.state) return this.draw();
    this.state = state;
    clearTimeout(this.timer);
    if (state === "live") this.lostAt = null;
    else if (state === "refused")
      this.notify(t("session_over"), t("sign_in"), () => location.assign("")); // The hub leads here again.
    else {
      this.lostAt ??= this.feed.clock.now();
      this.timer = setTimeout(() => this.lost(), BAR_AFTER_MS);
    }
    this.draw();
  }

  /** What is sent now is lost with all that was typed: it stays, and the bar says why. Who is signed out is offered the way in. */
  refuse() {
    if (this.state !== "refused") this.lost("needs_hub");
  }

  lost(key = "lost") {
    this.notify(t(key, { time: this.time() }), t("retry_now"), null);
    mark(this.bar, "bad", true);
  }

  back() {
    mark(this.bar, "bad", false);
    setText(find("[data-said]", this.bar), t("back"));
    show(find("[data-retry]", this.bar), false);
    this.timer = setTimeout(() => this.action || show(this.bar, false), BACK_FOR_MS);
  }

  /** @param {string} sentence @param {string} button @param {(() => void) | null} action */
  notify(sentence, button, action) {
    this.action = action;
    setText(find("[data-said]", this.bar), sentence);
    setText(find("[data-retry]", this.bar), button);
    show(find("[data-retry]", this.bar), true);
    show(this.bar, true);
  }

  /** Another version answers than the one that made this page; never reloads by itself. @param {string} name */
  version(name) {
    if (name !== document.body.dataset.version) this.notify(t("updated"), t("reload"), () => location.reload());
  }

  time() {
    const at = new Date(this.lostAt ?? this.feed.clock.now());
    return at.toLocaleTimeString(language === "id" ? "id" : "en-GB", { timeZone: document.body.dataset.zone });
  }

  draw() {
    const { feed } = this;
    const lost = this.state !== "live" && this.state !== "connecting";
    const silent = lost || feed.silent;
    doubt(silent);
    // All that stands there was true a while ago: it is drawn as that, and as new again when news come.
    if (silent !== this.silent && feed.fleet.machines.size)
      feed.view.changed?.([...feed.fleet.machines.keys()], [], false);
    if (this.silent && !silent && !this.bar.hidden && !this.action) this.back();
    this.silent = silent;
    this.away = lost;
    const name = lost ? "lost" : silent ? "silent" : feed.paused ? "paused" : this.state;
    setAttribute(document.body, "data-link", name);
    if (this.chip) {
      show(this.chip, this.state !== "refused");
      setAttribute(this.chip, "data-state", name === "connecting" ? "off" : name);
      const ago = age(feed.socket.watch.silence() / 1000, language);
      setText(find("[data-said]", this.chip), t(`chip.${name}`, { age: ago }));
      setAttribute(
        this.chip,
        "title",
        name === "live" ? t("chip.pause") : name === "paused" ? t("chip.resume") : t("lost.trying"),
      );
    }
    for (const button of all("[data-needs-hub]")) setAttribute(button, "aria-disabled", String(lost));
  }
}
