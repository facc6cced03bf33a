// The Machines page in groups: fetched where the address asks for them. The table gives its rows in order; this puts one
// group after the other and a head above each.

import { all, find, setText } from "../dom.js";
import { number } from "../format.js";
import { grouped, groupOf } from "../groups.js";
import { queryFrom } from "../order.js";
import { language, t } from "../texts.js";

const { group } = queryFrom(location.search);
const table = find("#machines");
const body = find("tbody", table);
/** The group of each machine that is shown. @type {Map<number, string>} */
let keys = new Map();

/** @param {string} key */
function name(key) {
  if (group === "status") return t(`status.${key}`);
  return key || t(`group.none.${group}`);
}

table.grouped = (machines) => {
  keys = new Map(machines.map((m) => [m.id, groupOf(m, group)]));
  return grouped(machines, group);
};

table.headed = () => {
  const heads = new Map(all("tr[data-group]", body).map((row) => [row.dataset.group, row]));
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const key of keys.values()) counts.set(key, (counts.get(key) ?? 0) + 1);
  let last;
  for (const row of all("tr[data-id]:not([hidden])", body)) {
    const key = keys.get(Number(row.dataset.id)) ?? "";
    if (key === last) continue;
    last = key;
    const head = heads.get(key) ?? find("#group").content.firstElementChild.cloneNode(true);
    heads.delete(key);
    head.dataset.group = key;
    setText(find("bdi", head), name(key));
    setText(find("small", head), number(counts.get(key) ?? 0, language));
    if (row.previousElementSibling !== head) row.before(head);
  }
  for (const head of heads.values()) head.remove();
};
