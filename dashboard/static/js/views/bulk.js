// Fetched with the first selection on the Machines page: counts it, and asks for many machines at once without leaving.

import { newKey, refusal, sendCommand } from "../commands.js";
import { all, begin, find, make, setAttribute, setText, show, showWords } from "../dom.js";
import { number } from "../format.js";
import { can } from "../machine_actions.js";
import { language, t } from "../texts.js";

/** @type {Record<string, {name: string, args: Free, needsReason: boolean, mayEnd?: boolean}>} */
const ACTIONS = {
  maintenance: { name: "set_status", args: { status: "maintenance" }, needsReason: true, mayEnd: true },
  active: { name: "set_status", args: { status: "active" }, needsReason: false },
  sync_timezone: { name: "sync_timezone", args: {}, needsReason: false },
};
const HOUR_MS = 3600000;
const MOST = 1000;
const FEW = 8;
const bar = find("#bulk");
const dialog = find("#bulk-ask");
const [ask, result] = [find("form", dialog), find("#bulk-result")];
const every = find("#bulk-all");
let action = ACTIONS.active;
let key = "";
let openedAt = 0;

const table = find("#machines");
const listed = () => table.table?.listed ?? [];
/** Of a great fleet most rows are not drawn: their boxes are checked when they come. Bound: one a machine. @type {Set<number>} */
let undrawn = new Set();
const boxes = () => new Map(all("tbody .x input", table).map((box) => [Number(box.value), box]));
/** Of the machines that are listed: what a filter has taken away is asked for nothing. */
function chosen() {
  const known = boxes();
  return listed().filter((id) => known.get(id)?.checked ?? undrawn.has(id));
}
const machines = () =>
  chosen()
    .slice(0, MOST)
    .flatMap((id) => document.body.feed?.fleet.machines.get(id) ?? []);

function count() {
  const n = chosen().length;
  setText(find("#bulk-count"), t("bulk.count", { n: number(n, language) }));
  show(find("#bulk-count"), true);
  show(find("#bulk-clear"), true);
  show(every.parentNode, true);
  every.checked = n === listed().length && n > 0;
  every.indeterminate = n > 0 && !every.checked;
}

/** @param {boolean} on */
function choose(on) {
  undrawn = new Set(on ? listed() : []);
  if (!on) for (const box of boxes().values()) box.checked = false;
  drawn();
}

/** Rows may have come. */
function drawn() {
  for (const [id, box] of boxes()) if (undrawn.delete(id)) box.checked = true;
  count();
}

/** How many would be asked now, how many when they are back, how many cannot do it. */
function foretell() {
  /** @type {Record<string, number>} */
  const counts = { now: 0, wait: 0, cannot: 0 };
  for (const m of machines()) {
    if (!can(action.name, m)) counts.cannot += 1;
    else counts[m.connection === "offline" || m.connection === "never" ? "wait" : "now"] += 1;
  }
  /** @param {string} name @param {string} words */
  const put = (name, words) => {
    setText(find(`[data-${name}] span`, ask), words);
    show(find(`[data-${name}]`, ask), counts[name] > 0);
  };
  find("[data-go]", ask).disabled = counts.now + counts.wait === 0;
  put("now", t("bulk.now", { count: counts.now, n: number(counts.now, language) }));
  put("wait", t("bulk.wait", { count: counts.wait, n: number(counts.wait, language), until: ask.dataset.until }));
  put("cannot", t("bulk.cannot", { count: counts.cannot, n: number(counts.cannot, language) }));
}

/** Which they are: a selection outlasts scrolling, so some are out of sight. */
function listNames() {
  const list = find("[data-names]", ask);
  const names = list.open ? machines().map(({ name }) => make("li", {}, make("bdi", {}, name))) : [];
  find("ul", list).replaceChildren(...names);
}

/** @param {string} name */
function open(name) {
  const n = machines().length;
  if (!n) return fault(t("bulk.none"));
  action = ACTIONS[name];
  key = newKey();
  openedAt = document.body.feed?.clock.now() ?? Date.now();
  const what = t(`bulk.${name}`);
  setText(find("h2", dialog), t("bulk.of", { what, n: number(n, language), count: n }));
  setText(find("[data-go]", ask), what);
  show(find("[data-why]", ask), action.name === "set_status");
  show(find("[data-ends]", ask), Boolean(action.mayEnd));
  ask.elements.reason.required = action.needsReason;
  show(find("[data-optional]", ask), !action.needsReason);
  fault("");
  foretell();
  find("[data-names]", ask).open = n <= FEW;
  listNames();
  show(ask, true);
  show(result, false);
  dialog.showModal();
  return undefined;
}

/** @param {string} words */
function fault(words) {
  showWords(find("[data-fault]", ask), words);
}

/** @param {Event} event */
async function send(event) {
  event.preventDefault();
  const button = find("[data-go]", ask);
  if (!begin(button)) return undefined;
  const reason = action.name === "set_status" ? ask.elements.reason.value.trim() : "";
  // Counted from when the dialog opened: a second press asks for the same.
  const hours = action.mayEnd ? Number(ask.elements.until.value) : 0;
  const until = hours ? { until: new Date(openedAt + hours * HOUR_MS).toISOString() } : {};
  const asked = machines();
  const able = asked.filter((m) => can(action.name, m));
  const answer = await sendCommand(
    `${BASE_PATH}/api/v2/commands`,
    {
      name: action.name,
      args: { ...action.args, ...until },
      rvms: able.map((m) => m.id),
      ...(reason ? { reason } : {}),
    },
    key,
  );
  button.removeAttribute("aria-busy");
  if (!answer.ok) return fault(refusal(answer));
  const unable = asked.filter((m) => !able.includes(m));
  const left = unable.map((m) => ({ rvm_id: m.id, refused: { message: t("locked.unsupported") } }));
  return report({ ...answer.data, total: answer.data.total + left.length, results: [...answer.data.results, ...left] });
}

/** @param {{group_id: string, total: number, results: Free[]}} answer */
function report({ group_id: group, total, results }) {
  const refused = results.filter((row) => row.refused);
  setText(
    find("[data-sent]", result),
    t("bulk.sent", { n: number(total - refused.length, language), total: number(total, language), count: total }),
  );
  const undo = find("form", result);
  show(undo, action.name === "set_status" && refused.length < total);
  undo.elements.group.value = group;
  setAttribute(find("a", result), "href", `${BASE_PATH}/jobs?${new URLSearchParams({ group })}`);
  setText(
    find("[data-refused]", result),
    refused.length ? t("bulk.refused", { n: number(refused.length, language) }) : "",
  );
  const name = (/** @type {Free} */ row) =>
    document.body.feed?.fleet.machines.get(row.rvm_id)?.name ?? row.device_id ?? String(row.rvm_id);
  find("ul", result).replaceChildren(
    ...refused.map((row) => make("li", {}, make("bdi", {}, name(row)), `: ${row.refused.message}`)),
  );
  ask.reset();
  choose(false);
  show(ask, false);
  show(result, true);
  find("a", result).focus();
}

bar.addEventListener("submit", (event) => {
  const button = /** @type {Part} */ (event.submitter);
  // Some have a page of their own.
  if (button.hasAttribute("formaction")) return;
  event.preventDefault();
  if (button.getAttribute("aria-disabled") !== "true") open(button.value);
});
// Also on the way to a page of its own: all that are chosen, and they alone.
bar.addEventListener("formdata", ({ formData }) => {
  formData.delete("rvm");
  for (const id of chosen().slice(0, MOST)) formData.append("rvm", String(id));
});
ask.addEventListener("submit", send);
find("[data-names]", ask).addEventListener("toggle", listNames);
for (const button of all("[data-close]", dialog)) button.addEventListener("click", () => dialog.close());
every.addEventListener("change", () => choose(every.checked));
find("#bulk-clear").addEventListener("click", () => {
  choose(false);
  table.focus();
});
table.addEventListener("change", count);
new MutationObserver(drawn).observe(find("tbody", table), { childList: true });
new MutationObserver(count).observe(find("tbody", table), {
  subtree: true,
  attributes: true,
  attributeFilter: ["hidden"],
});
count();
