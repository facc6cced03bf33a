// The list of what needs somebody, kept true while it is read; one calm line when nothing does.

import { all, find, icon, make, setAttribute, setIcon, setText, show } from "./dom.js";
import { age, number, worth } from "./format.js";
import { language, t } from "./texts.js";

const FIRST = 5;
const OWN_SHAPE = ["error", "full", "offline", "unknown"];

/** @param {{cause: string, value: number | null}} trouble */
function causeText(trouble) {
  return t(`cause.${trouble.cause}`, { value: worth(trouble.cause, trouble.value ?? 0, language) });
}

export class Attention {
  /** @param {(id: number, status: string, reason: string) => Promise<void>} ask puts a machine in another status */
  constructor(ask) {
    this.ask = ask;
    this.calm = find("#calm");
    this.card = find("#attention");
    this.lists = all("ul", this.card);
    this.more = find(".more", this.card);
    this.mayCommand = document.body.dataset.mayCommand === "1";
    /** @type {Map<number, Part>} */
    this.items = new Map();
    for (const item of all("li", this.card)) this.items.set(Number(item.dataset.id), this.adopt(item));
  }

  /** @param {Part} item */
  adopt(item) {
    find("form", item)?.addEventListener("submit", (event) => this.submit(event, item));
    return item;
  }

  /** @param {Event} event @param {Part} item */
  async submit(event, item) {
    event.preventDefault();
    const button = find("button", item);
    if (button.getAttribute("aria-busy") === "true") return;
    setAttribute(button, "aria-busy", "true");
    const form = new FormData(/** @type {any} */ (find("form", item)));
    await this.ask(Number(item.dataset.id), String(form.get("status")), String(form.get("reason")));
    button.removeAttribute("aria-busy");
  }

  /** @param {Trouble[]} troubles worst first @param {Map<number, Machine>} machines @param {number} now */
  draw(troubles, machines, now) {
    show(this.card, troubles.length > 0);
    show(this.calm, troubles.length === 0);
    setText(
      find("[data-said]", this.calm),
      t(machines.size === 1 ? "all_fine.only" : "all_fine", {
        n: number(machines.size, language),
        age: age(0, language),
      }),
    );
    setText(find("[data-total]", this.card), number(troubles.length, language));
    setText(find("summary", this.more), t("show_all", { n: number(troubles.length, language) }));
    show(this.more, troubles.length > FIRST);
    const needed = new Set(troubles.map((trouble) => trouble.id));
    for (const [id, item] of this.items)
      if (!needed.has(id)) {
        item.remove();
        this.items.delete(id);
      }
    for (const [place, trouble] of troubles.entries()) {
      const machine = machines.get(trouble.id);
      if (machine) this.place(trouble, machine, place, now);
    }
  }

  /** @param {Trouble} trouble @param {Machine} machine @param {number} place @param {number} now */
  place(trouble, machine, place, now) {
    let item = this.items.get(trouble.id);
    // Another cause may need another action: the item is made anew, unless somebody is in it.
    if (
      !item ||
      (item.dataset.cause && item.dataset.cause !== trouble.cause && !item.contains(document.activeElement))
    ) {
      item?.remove();
      item = this.adopt(this.build(trouble));
      this.items.set(trouble.id, item);
    }
    item.dataset.cause = trouble.cause;
    this.fill(item, trouble, machine, now);
    const list = this.lists[place < FIRST ? 0 : 1];
    const index = place < FIRST ? place : place - FIRST;
    if (list.children[index] !== item && !item.contains(document.activeElement))
      list.insertBefore(item, list.children[index] ?? null);
  }

  /** @param {Part} item @param {Trouble} trouble @param {Machine} machine @param {number} now */
  fill(item, trouble, machine, now) {
    setIcon(find(".i", item), OWN_SHAPE.includes(trouble.cause) ? trouble.cause : "warn");
    setText(find("a bdi", item), machine.name);
    const reason =
      ["error", "full"].includes(trouble.cause) && machine.status_reason ? ` – ${machine.status_reason}` : "";
    setText(item.children[2], causeText(trouble) + reason);
    setText(
      find(".since", item),
      trouble.since === null ? "" : t("ago", { age: age((now - trouble.since) / 1000, language) }),
    );
  }

  /** @param {Trouble} trouble */
  build(trouble) {
    const address = `/machines/${trouble.id}`;
    const item = make(
      "li",
      { "data-id": String(trouble.id) },
      icon("warn"),
      make("a", { href: address }, make("bdi", {})),
      make("span", {}),
      make("span", { class: "since" }),
    );
    if (this.mayCommand && ["error", "hot"].includes(trouble.cause)) {
      /** @param {string} name @param {string} value */
      const hidden = (name, value) => make("input", { type: "hidden", name, value });
      // The submit is always taken over by this module, so the form needs no token of its own.
      item.append(
        make(
          "form",
          {},
          hidden("status", "maintenance"),
          hidden("reason", causeText(trouble)),
          make("button", { class: "btn small", "data-needs-hub": "" }, t("put_in_maintenance")),
        ),
      );
    } else item.append(make("a", { class: "btn small", href: address }, t("open")));
    return item;
  }
}
