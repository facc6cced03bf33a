// Copy and paste, also where the browser gives pages no clipboard (a hub without HTTPS).

/** @param {string} text @param {() => boolean} otherwise copies what is selected by the old way @returns {Promise<boolean>} */
export async function copyText(text, otherwise) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return otherwise();
  }
}

/** The clipboard's text, or null when the browser does not give it. */
export async function clipboardText() {
  try {
    return await navigator.clipboard.readText();
  } catch {
    return null;
  }
}
