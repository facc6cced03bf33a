// What somebody chooses on the Machines page: what is looked for, filters, order, columns. Fetched with their first move.
// The address has each choice, and Back takes it back; views/fleet.js draws the list that it asks for, this the controls.

import { all, find, setAttribute, setText, show, showWords } from "../dom.js";
import { menus } from "../menus.js";
import { address, FILTERS, queryFrom, sortAddress } from "../order.js";
import { t } from "../texts.js";

/** Columns that fit at every width of the table, from 1100 px, from 1280 px. */
const FITTING = [5, 7, 8];
const tools = find("#tools");
const { q, sort, group } = tools.elements;
const table = find("#machines");
const spark = find("[name=spark][form]");
const boxes = all("[form=columns][type=checkbox]");
const asked = () => queryFrom(location.search);
const shown = () => boxes.filter((box) => box.checked).map((box) => box.value);

/** Letters typed one after the other are one choice. @param {Partial<Query>} changes */
function choose(changes, typing = false) {
  const next = address(asked(), changes);
  if (typing) history.replaceState(null, "", next);
  else history.pushState(null, "", next);
  dispatchEvent(new PopStateEvent("popstate"));
}

/** Controls show what the address asks for. */
function follow() {
  const query = asked();
  if (q.value.trim() !== query.text) q.value = query.text;
  // Of a column that does not stand, nothing else tells that the list is sorted by it.
  sort.value = find(`[value$=${query.sort}]`, sort).value;
  for (const name of FILTERS) tools.elements[name].value = query[name];
  for (const head of all("[data-sort]", table)) {
    const column = head.dataset.sort;
    setAttribute(find("a", head), "href", sortAddress(query, column));
    if (column === query.sort) setAttribute(head, "aria-sort", query.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  for (const box of boxes) box.checked = !query.columns || query.columns.split(" ").includes(box.value);
  state("columns", query.columns);
  state("fitting", query.columns && FITTING.find((most) => most >= shown().length));
  filters(query);
}

/** @param {string} name @param {string | number | undefined} value */
function state(name, value) {
  if (value) table.dataset[name] = String(value);
  else delete table.dataset[name];
}

/** @param {Query} query */
function filters(query) {
  const filters = find("#filters");
  const words = all("a", filters).map((chip) => {
    const member = /** @type {"status" | "connection" | "tag"} */ (chip.dataset.of);
    const value = query[member];
    showWords(chip, member === "tag" || !value ? value : t(`${member}.${value}`), chip.firstElementChild);
    return chip.hidden ? "" : chip.firstElementChild.textContent;
  });
  show(filters, words.some(Boolean));
  setText(find("#none-what"), [...words, query.text && `“${query.text}”`].filter(Boolean).join(", "));
}

const typed = () => choose({ text: q.value.trim() }, Boolean(asked().text));
const ordered = () => choose({ sort: sort.value.replace("-", ""), descending: sort.value.startsWith("-") });
/** What the hub alone draws. */
const led = () => location.assign(address(asked(), { group: group.value, spark: spark.value }));
const picked = () => choose({ columns: shown().length < boxes.length ? shown().join(" ") || "machine" : "" });

q.addEventListener("input", typed);
sort.addEventListener("change", ordered);
group.addEventListener("change", led);
spark.addEventListener("change", led);
for (const box of boxes) box.addEventListener("change", picked);
tools.addEventListener("submit", (event) => event.preventDefault());
addEventListener("popstate", follow);
menus();
/** @param {Part} select */
const isOther = (select) => !find(":checked", select).hasAttribute("selected");
// Somebody may have been faster than this script.
if (q.value !== q.defaultValue) typed();
else if (isOther(sort)) ordered();
else if (group.value !== asked().group || spark.value !== asked().spark) led();
else if (boxes.some((box) => box.checked !== box.hasAttribute("checked"))) picked();
else follow();
