// The words of the page in its one language: the page brings those whose keys, or the beginnings of whose keys
// (`status.`), stand in its script as literals (dashboard/assets.py).

/** @type {Language} */
export let language = "en";
/** @type {Record<string, string | Record<string, string>>} */
let words = {};
let plurals = new Intl.PluralRules(language);
if (typeof document !== "undefined")
  useTexts(JSON.parse(document.body.dataset.words ?? "{}"), document.documentElement.lang);

/** @param {Record<string, string | Record<string, string>>} dictionary @param {string} code */
export function useTexts(dictionary, code) {
  words = dictionary;
  language = code === "id" ? "id" : "en";
  plurals = new Intl.PluralRules(language);
}

/**
 * The text of a key with its {places} filled in one pass, in the form of `count`: the browser's half of texts/catalogue.py.
 * A key that the page does not have stands for its text: a page that is open goes on.
 * @param {string} key @param {Record<string, string | number>} [params] @returns {string}
 */
export function t(key, params = {}) {
  const forms = words[key] ?? key;
  const text = typeof forms === "string" ? forms : forms[plurals.select(Number(params.count))];
  return text.replace(/\{(\w+)\}/g, (place, name) =>
    Object.hasOwn(params, name) ? String(params[name] ?? place) : place,
  );
}

/**
 * The text of a code that came from outside, or the code itself.
 * @param {string} group like "status." @param {string} code
 */
export function textOf(group, code, otherwise = code) {
  return group + code in words ? t(group + code) : otherwise;
}
