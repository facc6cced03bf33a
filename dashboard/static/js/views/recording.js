// One recording: fetched when somebody presses Play (which goes on record), shown on a screen that takes no key.

import { Player, parse } from "../cast.js";
import { all, find, setAttribute, setText, show } from "../dom.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";
import { countdown } from "../lease_words.js";
import { t } from "../texts.js";
import { load, look, size, themed } from "../xterm.js";

const STEP_S = 5;
const SENT_MS = 3000;
const { body } = document;
const root = find("#player");
/** @param {string} name */
const part = (name) => find(`[data-play=${name}]`, root);
/** @type {Player | null} */
let player = null;
/** @type {any} */
let screen = null;
let loading = false;

async function begin() {
  if (loading) return;
  loading = true;
  setAttribute(part("start"), "aria-busy", "true");
  fault("");
  try {
    const [{ Terminal }, cast] = await Promise.all([load(), fetched()]);
    prepare(Terminal, cast);
    toggle();
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    fault(message === "no_xterm" ? t("term_over.no_xterm") : message || t("fault.unknown"));
  }
  loading = false;
  part("start").removeAttribute("aria-busy");
}

async function fetched() {
  const address = `${BASE_PATH}/api/v2/recordings/${body.dataset.recording}/play`;
  const answer = await fetch(address, {
    method: "POST",
    headers: { "X-CSRF-Token": body.dataset.csrf ?? "" },
  }).catch(() => null);
  if (!answer) throw new Error(t("fault.network"));
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? t("fault.unknown"));
  try {
    return parse(await answer.text());
  } catch {
    throw new Error(t("play.broken"));
  }
}

/** @param {any} Terminal of xterm.js @param {ReturnType<typeof parse>} cast */
function prepare(Terminal, cast) {
  screen = new Terminal({
    ...look(),
    cols: cast.cols,
    rows: cast.rows,
    scrollback: 0,
    disableStdin: true,
    cursorBlink: false,
  });
  screen.open(find("[data-screen]", root));
  themed(screen);
  player = new Player(cast, {
    write: (text) => screen.write(text),
    resize: (cols, rows) => screen.resize(cols, rows),
    reset: () => screen.reset(),
  });
  player.skip(part("skip").checked);
  show(part("before"), false);
  show(part("bar"), true);
  show(find("[data-screen]", root), true);
  setInterval(draw, 50);
}

function draw() {
  if (!player) return;
  const at = player.playing ? player.tick() : player.at();
  const bar = part("seek");
  if (document.activeElement !== bar || player.playing) {
    bar.max = player.length.toFixed(1);
    bar.value = at.toFixed(1);
  }
  setAttribute(bar, "aria-valuetext", countdown(at * 1000));
  setText(part("time"), `${clockOf(at)} / ${clockOf(player.length)}`);
  setText(find("[data-said]", part("toggle")), t(player.playing ? "play.pause" : "play.play"));
  setAttribute(find("use", part("toggle")), "href", player.playing ? "#pause" : "#play");
}

/** @param {number} seconds */
const clockOf = (seconds) => countdown(Math.floor(seconds) * 1000);

function toggle() {
  if (!player) return void begin();
  if (player.playing) player.pause();
  else player.play();
  draw();
}

/** @param {string} words */
function fault(words) {
  setText(part("fault"), words);
  show(part("fault"), words !== "");
}

/** @param {number} by */
const jump = (by) => player?.seek(player.at() + by);
part("start").addEventListener("click", begin);
part("toggle").addEventListener("click", toggle);
part("seek").addEventListener("input", () => player?.seek(Number(part("seek").value)));
part("speed").addEventListener("change", () => player?.faster(Number(part("speed").value)));
part("skip").addEventListener("change", () => player?.skip(part("skip").checked));
for (const [name, by] of Object.entries({ smaller: -1, larger: 1 }))
  part(name).addEventListener("click", () => Object.assign(screen.options, { fontSize: size(by) }));
for (const details of all("details.confirm"))
  details.addEventListener("toggle", () => details.open && find("button", details).focus());
// The page stays: once at a time, and again a moment later.
let sent = false;
find("form[target]").addEventListener("submit", (event) => {
  if (sent) return event.preventDefault();
  sent = true;
  setTimeout(() => (sent = false), SENT_MS);
});
frame();
keyboard({ " ": toggle, k: toggle, ArrowLeft: () => jump(-STEP_S), ArrowRight: () => jump(STEP_S) });
