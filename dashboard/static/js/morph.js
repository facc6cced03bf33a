// Makes a part of the page equal to a fresh one of the hub, node by node: what is the same stays the same node, and with it
// focus, what is open, and what was typed (a field that somebody changed keeps its value: the browser sees to that).

/** Attributes that the page's scripts and its reader set, not the hub. */
const OURS = ["aria-busy", "aria-disabled", "open", "style"];

/** What names a node among its siblings. @param {any} node @returns {string} */
const keyOf = (node) => node.id || (node.getAttribute?.("data-key") ?? "");

/** @param {any} root @returns {Map<string, any>} */
const keysIn = (root) => new Map([...root.querySelectorAll("[id], [data-key]")].map((node) => [keyOf(node), node]));

/** @param {any} a @param {any} b */
const alike = (a, b) =>
  a.nodeName === b.nodeName && keyOf(a) === keyOf(b) && (a.name ?? "") === (b.name ?? "") && a.type === b.type;

class Morph {
  /** @param {any} old @param {any} fresh @param {boolean} still */
  constructor(old, fresh, still) {
    this.old = keysIn(old);
    this.fresh = keysIn(fresh);
    this.still = still;
    this.whole = true;
  }

  /** @param {any} old @param {any} fresh */
  node(old, fresh) {
    if (old.nodeType !== 1) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    // Drawn by a script of the page: a fault, a countdown.
    if (old.hasAttribute("data-mine")) return;
    attributes(old, fresh);
    this.children(old, fresh);
  }

  /** @param {any} old @param {any} fresh */
  children(old, fresh) {
    const rest = new Set(old.childNodes);
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      while (at && !rest.has(at)) at = at.nextSibling;
      const same = this.same(rest, at, next);
      if (same && this.still && !rest.has(same)) {
        // It stands in another list, under somebody's hand.
        this.whole = false;
        continue;
      }
      rest.delete(same);
      if (!same) at = this.add(old, next, at);
      else if (same === at) at = at.nextSibling;
      else if (this.still && keyOf(same)) this.whole = false;
      else move(old, same, at);
      if (same) this.node(same, next);
    }
    for (const node of rest) this.leave(node);
  }

  /** Where to go on. @param {any} old @param {any} next @param {any} at */
  add(old, next, at) {
    const later = this.still && at !== null && keyOf(next);
    if (later) this.whole = false;
    // What stood elsewhere under its name moves in: nothing is shown twice.
    const made = document.importNode(next, next.nodeName === "TEMPLATE");
    old.insertBefore(made, later ? null : at);
    this.children(made, next);
    return at && (at.parentNode === old ? at : made.nextSibling);
  }

  /** The old node that `next` is. @param {Set<any>} rest @param {any} at @param {any} next */
  same(rest, at, next) {
    const key = keyOf(next);
    if (key) {
      const known = this.old.get(key);
      return known?.nodeName === next.nodeName ? known : null;
    }
    for (let node = at; node; node = node.nextSibling) if (rest.has(node) && alike(node, next)) return node;
    return null;
  }

  /** What has no place here any more. @param {any} node */
  leave(node) {
    const key = keyOf(node);
    const named = key && this.fresh.get(key);
    const elsewhere = named?.nodeName === node.nodeName;
    if (this.still && key) {
      this.whole = false;
      if (elsewhere) this.node(node, named);
      else node.setAttribute("inert", "");
    } else if (!elsewhere || this.old.get(key) !== node) node.remove();
  }
}

/** A node that is moved loses the focus. @param {any} parent @param {any} node @param {any} before */
function move(parent, node, before) {
  const focused = /** @type {Part | null} */ (document.activeElement);
  parent.insertBefore(node, before);
  if (focused !== document.activeElement && node.contains(focused)) focused?.focus({ preventScroll: true });
}

/** @param {any} old @param {any} fresh */
function attributes(old, fresh) {
  for (const { name, value } of fresh.attributes)
    if (!OURS.includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!OURS.includes(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
}

/**
 * Whether all of it was done: with `still`, for somebody is about to use it, what has a name is not moved; what is new
 * stands last, and what is gone cannot be used any more.
 * @param {Element} old @param {Element} fresh @param {boolean} [still]
 */
export function morph(old, fresh, still = false) {
  const work = new Morph(old, fresh, still);
  work.node(old, fresh);
  return work.whole;
}
