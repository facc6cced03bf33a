// The Machines page, live: attention, counters, filters in the address, and the table.

import { countJobs } from "../counts.js";
import { all, bring, find, mark, setAttribute, setText, show } from "../dom.js";
import { number } from "../format.js";
import { livePage } from "../live_page.js";
import { address, counters, queryFrom } from "../order.js";
import { Table } from "../table.js";
import { language } from "../texts.js";

let query = queryFrom(location.search);
const announcer = find("#announcer");
/** Status and connection of each machine. @type {Map<number, string>} */
const before = new Map();
let due = false;
let touched = new Set();
let complete = false;

const { feed } = livePage({
  watch: { machine: null, rate: 5 },
  /** @param {number[]} ids */
  changed(ids) {
    for (const id of ids) touched.add(id);
    if (due || feed.paused) return;
    due = true;
    requestAnimationFrame(draw);
  },
  drawn: links,
  keys: {
    "/": () => find("#q").focus(),
    j: () => table.step(1),
    k: () => table.step(-1),
    x: () => find("tr:focus-within .x input")?.click(),
    ".": () => find("body:not([data-kiosk]) tr:focus-within .c-menu > a")?.click(),
  },
});
const table = new Table(find("#machines"), feed.clock.now());

function draw() {
  due = false;
  const machines = feed.fleet.machines;
  if (!machines.size) return location.reload();
  const now = feed.clock.now();
  table.patch(machines, touched, now);
  for (const id of touched) announce(machines.get(id));
  touched = new Set();
  around(machines);
  table.order(machines, query);
  if (!complete) allRows();
  empty();
}

/** The hub wrote the first rows of the list; from the first picture on, the others stand below them. */
function allRows() {
  complete = true;
  find("#pages")?.remove();
  table.arrange(true);
}

/** What stands around the table and counts all machines. @param {Map<number, Machine>} machines */
function around(machines) {
  countJobs(feed);
  setText(find("#total"), number(machines.size, language));
  const counts = counters(machines.values());
  for (const counter of all("[data-count]")) {
    const count = counts[counter.dataset.value];
    setText(find("b", counter), number(count, language));
    mark(counter, "zero", !count);
    show(counter, count > 0 || counter.dataset.value !== "never");
  }
}

/** Status and connection are spoken when they change; numbers never are. What speaks comes with the first. @param {Machine} [m] */
function announce(m) {
  if (!m) return;
  const was = before.get(m.id);
  const is = `${m.effective_status} ${m.connection}`;
  before.set(m.id, is);
  if (!was || was === is) return;
  if (!announcer.changes) bring(table.node.dataset.spoken);
  announcer.changes ??= [];
  announcer.changes.push({ m, was });
  announcer.speak?.();
}

/** The list that the address asks for; what stands around it follows by views/choices.js. */
function chosen() {
  query = queryFrom(location.search);
  remember();
  links();
  table.order(feed.fleet.machines, query);
  table.arrange(true);
  empty();
}

/** A machine's page leads back to it. */
function remember() {
  sessionStorage.setItem("fleet", address(query));
}

/** Counters and tags lead to what they count, and from there back; other links to what the page shows, changed as they say. */
function links() {
  for (const view of all("#views a")) current(view, view.getAttribute("href") === address(query));
  for (const link of all("[data-to]")) {
    const { to, ...changes } = link.dataset;
    setAttribute(link, "href", address(query, changes, to));
  }
  for (const link of all("[data-member]")) {
    const { member, value } = link.dataset;
    const active = query[/** @type {"status" | "connection" | "tag"} */ (member)] === value;
    setAttribute(link, "href", address(query, { [member]: active ? "" : value }));
    current(link, active);
  }
}

/** @param {Part} link @param {boolean} on */
function current(link, on) {
  if (on) setAttribute(link, "aria-current", "true");
  else link.removeAttribute("aria-current");
}

function empty() {
  const none = table.machines !== null && !table.listed.length;
  show(find("#none"), none);
  show(table.node, !none);
}

document.addEventListener("click", (event) => {
  const to = /** @type {Part} */ (event.target).closest?.("thead a, [data-member], .filter, #none a, .c-menu > a");
  // Before the first snapshot the page knows nothing to sort: the link loads the page the hub makes.
  if (!to || event.ctrlKey || event.metaKey || event.shiftKey || !feed.fleet.machines.size) return undefined;
  event.preventDefault();
  if (to.matches(".c-menu > a")) return menu(to);
  history.pushState(null, "", to.href);
  dispatchEvent(new PopStateEvent("popstate"));
  return undefined;
});

/** The menu of a row; what draws it comes with the first. @param {Part} opener */
function menu(opener) {
  const { node } = table;
  node.opener = opener;
  if (node.menu) node.menu();
  else bring(node.dataset.menu);
}
setInterval(() => {
  if (document.hidden || feed.paused || !feed.fleet.machines.size) return;
  table.tick(feed.fleet.machines, feed.clock.now());
}, 1000);
addEventListener("popstate", chosen);
remember();
// Few visits select machines: what that needs comes with the first selection.
table.node.addEventListener("change", () => bring(find("#bulk").dataset.src), { once: true });
feed.start();
