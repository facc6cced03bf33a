// The words of the page in its one language: the page brings those whose keys, or the beginnings of whose keys
// (`status.`), stand in its script as literals (dashboard/script_words.py).

export let language = "en";
let words = {};
if (typeof document !== "undefined") useTexts(JSON.parse(document.body.dataset.words), document.documentElement.lang);

/** @param {Record<string, string>} dictionary @param {string} code */
export function useTexts(dictionary, code) {
  words = dictionary;
  language = code;
}

/**
 * The text of a key with its {names} filled in; `key.one` when `count` is 1 and the language has it.
 * @param {string} key @param {Record<string, string | number>} [params] @returns {string}
 */
export function t(key, params = {}) {
  const text = params.count === 1 ? (words[`${key}.one`] ?? words[key]) : words[key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (place, name) => String(params[name] ?? place));
}

/** The text of a code that came from outside, or the code itself. @param {string} group like "status." */
export function said(group, code, otherwise = code) {
  return words[group + code] ?? otherwise;
}
