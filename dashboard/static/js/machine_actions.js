// The actions of a machine: a menu, and a dialog for what disturbs people. The browser's half of dashboard/actions.py.

import { newKey, refusal, sendCommand } from "./commands.js";
import { all, begin, find, setAttribute, setText, show, showWords } from "./dom.js";
import { t } from "./texts.js";

const WAITING = ["sync_timezone"];
const DISRUPTIVE = ["restart_service", "reboot"];
const COMMANDS = ["ping", "set_status", "sync_timezone", "restart_service", "reboot"];

/**
 * Whether its software knows the command. One that names none of them declares nothing: it may be tried.
 * @param {string} name @param {Machine} m
 */
export function can(name, m) {
  const reported = m.commands.filter((each) => COMMANDS.includes(each));
  return !reported.length || reported.includes(name);
}

/**
 * Whether an action is possible now: `locked` says why not ("" when it is), `affected` the text of who is.
 * @param {string} name @param {Machine} m @param {boolean} may
 */
export function offer(name, m, may) {
  const away = m.connection === "offline" || m.connection === "never";
  let locked = "";
  if (!may) locked = "role";
  else if (!can(name, m)) locked = "unsupported";
  else if (away && !WAITING.includes(name)) locked = "online";
  const busy = m.busy ? `busy.${name}` : "nobody";
  const affected = !DISRUPTIVE.includes(name) ? "" : away ? "unknown" : busy;
  return { name, locked, waits: away && !locked, affected };
}

/** The body of POST /rvms/{id}/commands for a filled form. @param {string} name @param {Record<string, string>} given */
export function wanted(name, given) {
  const args = name === "restart_service" ? { service: given.service.trim() } : given.force ? { force: true } : {};
  return { name, args, ...(given.reason ? { reason: given.reason.trim() } : {}) };
}

export class MachineActions {
  /** @param {number} id */
  constructor(id) {
    this.id = id;
    this.menu = find("#acts .menu");
    this.may = document.body.dataset.mayCommand === "1";
    this.keys = new Map();
    for (const form of all("[data-do]")) form.addEventListener("submit", (event) => this.submit(event, form));
    for (const link of all("a[data-offer]", this.menu))
      link.addEventListener("click", (event) => this.open(event, link));
    for (const dialog of all("dialog[id^=do-]")) this.prepare(dialog);
  }

  /** @param {Part} dialog */
  prepare(dialog) {
    find("[data-cancel]", dialog).addEventListener("click", (event) => {
      event.preventDefault();
      dialog.close();
    });
    // The link that opened it is in a menu that is shut by now.
    dialog.addEventListener("close", () => find("summary", this.menu).focus());
  }

  /** @param {Event} event @param {Part} link */
  open(event, link) {
    event.preventDefault();
    if (link.getAttribute("aria-disabled") === "true") return;
    const dialog = find(`#do-${link.dataset.offer}`);
    const form = find("form", dialog);
    form.reset();
    this.fault(form, "");
    this.menu.open = false;
    dialog.showModal();
  }

  /** The menu, by key. */
  toggle() {
    this.menu.open = !this.menu.open;
    find("summary", this.menu).focus();
  }

  /** @param {Part} form @param {string} words */
  fault(form, words) {
    showWords(find("[data-fault]", form), words);
  }

  /** @param {Event} event @param {Part} form */
  async submit(event, form) {
    event.preventDefault();
    const button = find("button", form);
    if (!begin(button)) return;
    const name = form.dataset.do;
    // The request keeps its key until the hub has answered: pressing again after a lost answer cannot reboot twice.
    if (!this.keys.has(name)) this.keys.set(name, newKey());
    const answer = await sendCommand(
      `${BASE_PATH}/api/v2/rvms/${this.id}/commands`,
      wanted(name, /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(/** @type {any} */ (form))))),
      this.keys.get(name),
    );
    button.removeAttribute("aria-busy");
    if (answer.status) this.keys.delete(name);
    this.fault(form, refusal(answer));
    if (!answer.ok) return;
    this.menu.open = false;
    form.closest("dialog")?.close();
  }

  /** The machine as the hub reports it now. @param {Machine} m */
  patch(m) {
    for (const node of all("[data-offer]", this.menu)) {
      const is = offer(node.dataset.offer, m, this.may);
      const words = is.locked === "" || is.locked === "role" ? null : t(`locked.${is.locked}`);
      if (node.tagName === "A") {
        setAttribute(node, "aria-disabled", String(is.locked !== ""));
        if (this.may) setText(find("small", node), words ?? "");
      }
      for (const form of all(`[data-do=${is.name}]`)) this.form(form, is, words, m);
    }
  }

  /** @param {Part} form @param {ReturnType<typeof offer>} is @param {string | null} words @param {Machine} m */
  form(form, is, words, m) {
    if (is.affected) setText(find("[data-affected]", form), t(`affected.${is.affected}`, { age: form.dataset.giveUp }));
    show(find("[data-waits]", form), is.waits);
    show(find("[data-locked]", form), is.locked !== "");
    if (words !== null) setText(find("[data-locked] span", form), words);
    find("button", form).disabled = is.locked !== "";
    const force = find("[data-force]", form);
    show(force, m.busy === true);
    if (force && !m.busy) find("input", force).checked = false;
  }
}
