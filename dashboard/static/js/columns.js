// Which columns the fleet table shows: the boxes of its menu and the table follow the address, each choice is a step that
// Back takes back. The list of orders follows too: of a column that does not stand, nothing else tells that it is sorted by.

import { all, find, setAttribute } from "./dom.js";

/** Columns that fit at every width of the table, from 1100 px, from 1280 px. */
const FITTING = [5, 7, 8];
const KEPT = ["q", "status", "connection", "tag", "group", "columns", "sort"];

/** What the list is asked for, without what only this visit has. */
const asked = () =>
  new URLSearchParams([...new URLSearchParams(location.search)].filter(([name]) => KEPT.includes(name)));

/** @param {URLSearchParams} params */
const place = (params) => location.pathname + (String(params) && `?${params}`);

export function columns() {
  if (!find("#columns")) return;
  const table = find("#machines");
  const boxes = all("[form=columns][type=checkbox]");
  const chosen = () => boxes.filter((box) => box.checked);

  const follow = () => {
    const params = asked();
    const named = params.get("columns");
    for (const box of boxes) box.checked = !named || named.split(" ").includes(box.value);
    if (named) table.dataset.columns = named;
    else delete table.dataset.columns;
    const most = FITTING.find((each) => each >= chosen().length);
    if (named && most) table.dataset.fitting = String(most);
    else delete table.dataset.fitting;
    const sort = (params.get("sort") ?? "machine").replace("-", "");
    for (const order of all("#tools [name=sort] option")) {
      if (order.value.replace("-", "") === sort) order.parentNode.value = order.value;
    }
    params.set("kiosk", "1");
    setAttribute(find("[data-wall]"), "href", place(params));
    for (const name of ["kiosk", "q", "status", "connection", "tag"]) params.delete(name);
    setAttribute(find("#none a"), "href", place(params));
  };

  const take = () => {
    const params = asked();
    params.delete("columns");
    const names = chosen().map((box) => box.value);
    if (names.length < boxes.length) params.set("columns", names.join(" ") || "machine");
    history.pushState(null, "", place(params));
    dispatchEvent(new PopStateEvent("popstate"));
  };

  addEventListener("popstate", follow);
  document.addEventListener("change", follow);
  // A box changes after its click.
  document.addEventListener("click", ({ target }) => {
    if (!(/** @type {Part} */ (target).closest?.(".columns"))) follow();
  });
  for (const box of boxes) box.addEventListener("change", take);
  // Somebody may have been faster than this script.
  if (boxes.some((box) => box.checked !== box.hasAttribute("checked"))) take();
  else follow();
}
