// Brings xterm.js into the page when it is needed, with its style sheet, and makes a screen in the colours of the page.

import { make } from "./dom.js";

const SIZE = "rvm-terminal-size";
const [LEAST, MOST, USUAL] = [10, 26, 14];
/** @type {Promise<any[]> | undefined} */
let loading;

/** The module, or an error whose message is a code of terminal_errors.js. */
export function load() {
  const { xterm, fit = "", xtermCss = "" } = document.body.dataset;
  if (!xterm) return Promise.reject(new Error("no_xterm"));
  loading ??= Promise.all([import(xterm), import(fit), sheet(xtermCss)]).catch(() => {
    loading = undefined;
    throw new Error("no_answer");
  });
  return loading.then(([core, addon]) => ({ Terminal: core.Terminal, FitAddon: addon.FitAddon }));
}

/** @param {string} address */
function sheet(address) {
  return new Promise((done, failed) => {
    const link = make("link", { rel: "stylesheet", href: address });
    link.addEventListener("load", done);
    link.addEventListener("error", failed);
    document.head.append(link);
  });
}

/** The page's own colours; words keep their contrast whatever colour a program asks for. */
export function look() {
  const style = getComputedStyle(document.documentElement);
  /** @param {string} name */
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    theme: {
      background: colour("surface"),
      foreground: colour("text"),
      cursor: colour("accent"),
      cursorAccent: colour("surface"),
      selectionBackground: colour("accent"),
      selectionForeground: colour("on-accent"),
    },
    fontFamily: style.getPropertyValue("--mono").trim(),
    fontSize: size(),
    minimumContrastRatio: 4.5,
  };
}

/** The size of the letters this person chose in this browser. */
export function size(by = 0) {
  let chosen = USUAL;
  try {
    chosen = Math.min(MOST, Math.max(LEAST, Number(localStorage.getItem(SIZE) ?? USUAL) + by));
    localStorage.setItem(SIZE, String(chosen));
  } catch {
    // A browser that keeps nothing has the usual size.
  }
  return chosen;
}

/** @param {{options: object}} screen */
export const themed = (screen) =>
  addEventListener("theme", () => Object.assign(screen.options, { theme: look().theme }));
