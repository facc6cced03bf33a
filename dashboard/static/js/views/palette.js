// Ctrl+K over any page: pages, actions and machines found by typing; and the machine before and after this one. Fetched
// with its first use, its list anew with each.

import { all, find, make, setAttribute, show } from "../dom.js";
import { folded, words } from "../folded.js";
import { t } from "../texts.js";

const MOST = 12;
const { body } = document;

/** @returns {Promise<Part | null>} */
async function bring() {
  const answer = await fetch(`${BASE_PATH}/machines/palette?rvm=${body.dataset.id ?? ""}`);
  if (!answer.ok || answer.redirected) return null;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  return find("#palette", fresh);
}

/** The field stands open already; what it finds comes around it. Without a hub it stays, for the letters not to be keys. */
async function open() {
  const fresh = await bring().catch(() => undefined);
  const dialog = find("#palette");
  if (dialog && fresh === undefined) return dialog.append(make("p", { role: "alert" }, t("needs_hub")));
  if (!fresh || !dialog) return dialog?.close();
  const input = find("input", fresh);
  input.value = find("input", dialog).value;
  setAttribute(dialog, "aria-label", fresh.getAttribute("aria-label"));
  dialog.replaceChildren(...fresh.children);
  const options = all("li", dialog).map((node) => ({ node, text: folded(node.textContent) }));
  /** @type {Part[]} */
  let shown = [];
  let at = 0;

  const point = () => {
    for (const [i, node] of shown.entries()) setAttribute(node, "aria-selected", String(i === at));
    setAttribute(input, "aria-activedescendant", shown[at]?.id ?? "");
    shown[at]?.scrollIntoView({ block: "nearest" });
  };
  const narrow = () => {
    const wanted = words(input.value);
    const found = options.filter(({ text }) => wanted.every((word) => text.includes(word)));
    // What begins so comes first.
    found.sort((a, b) => Number(!a.text.startsWith(wanted[0] ?? "")) - Number(!b.text.startsWith(wanted[0] ?? "")));
    for (const { node } of options) {
      show(node, false);
      setAttribute(node, "aria-selected", "false");
    }
    shown = found.slice(0, MOST).map(({ node }) => node);
    for (const node of shown) {
      show(node, true);
      node.parentNode.append(node);
    }
    show(find("[data-none]", dialog), !shown.length);
    at = 0;
    point();
  };
  input.addEventListener("input", narrow);
  input.addEventListener("keydown", (event) => {
    const way = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (way && shown.length) at = (at + way + shown.length) % shown.length;
    else if (event.key === "Enter" && !event.isComposing) find("a", shown[at] ?? dialog)?.click();
    else return;
    event.preventDefault();
    point();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  narrow();
  input.focus();
  if (dialog.dataset.last === "Enter") find("a", shown[0] ?? dialog)?.click();
  return undefined;
}

/** The machine before (-1) or after (1) this one in the order of their names, at the same tab. @param {number} way */
async function step(way) {
  const dialog = await bring();
  const ids = all("[data-machine]", dialog ?? document).map(({ dataset }) => dataset.machine);
  const here = body.dataset.id ?? "";
  const next = ids[ids.indexOf(here) + way];
  const tab =
    location.pathname
      .slice(BASE_PATH.length)
      .match(/^\/machines\/[^/]+(\/(?:history|remote|backups|events|settings))?/)?.[1] ?? "";
  const range = tab.endsWith("history") ? location.search : "";
  if (next && ids.includes(here)) location.assign(`${BASE_PATH}/machines/${next}${tab}${range}`);
}

/** @param {string} wanted */
body.found = (key) => (key === "k" ? open() : step(key === "]" ? 1 : -1));
body.found(body.dataset.found ?? "");
