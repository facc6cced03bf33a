// What somebody types, and the texts it is found in, without case and accents: dashboard/fleet.py's `folded`.

/** "cafe" finds Café. @param {string} text */
export const folded = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** @param {string} [text] */
export const words = (text = "") => folded(text).split(/\s+/).filter(Boolean);
