// Loaded first by every page of a machine that stands below /remote/...: what its scripts address at the root of the
// server goes below that path, and what a page without an origin may not have (storage, cookies) is there for as long
// as the page. Runs in the machine's page, so it holds nothing that the page may not know.
(() => {
  "use strict";
  const self = document.currentScript;
  const prefix = new URL(self.src).pathname.replace(/\/\.rvm\/same_path\.js$/, "");
  const port = self.dataset.port;
  self.remove();

  const ours = (url) =>
    url.host === location.host ||
    (["localhost", "127.0.0.1", "[::1]"].includes(url.hostname) && url.port === port);

  function placed(address, sockets = false) {
    let url;
    try {
      url = new URL(String(address), document.baseURI);
    } catch {
      return address;
    }
    if (!/^(https?|wss?):$/.test(url.protocol) || !ours(url)) return address;
    const secure = location.protocol === "https:";
    url.protocol = sockets ? (secure ? "wss:" : "ws:") : location.protocol;
    url.host = location.host;
    const path = url.pathname;
    if (path !== prefix && !path.startsWith(`${prefix}/`)) url.pathname = prefix + path;
    return url.href;
  }

  const realFetch = window.fetch;
  window.fetch = (what, options) => {
    if (what instanceof Request) return realFetch(new Request(placed(what.url), what), options);
    return realFetch(placed(what), options);
  };
  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, address, ...rest) {
    return open.call(this, method, placed(address), ...rest);
  };
  const beacon = navigator.sendBeacon?.bind(navigator);
  if (beacon) navigator.sendBeacon = (address, data) => beacon(placed(address), data);
  for (const [name, sockets] of [["WebSocket", true], ["EventSource", false]]) {
    const Real = window[name];
    window[name] = new Proxy(Real, {
      construct: (target, [address, ...rest], made) => Reflect.construct(target, [placed(address, sockets), ...rest], made),
    });
  }

  const addressed = {
    href: ["HTMLAnchorElement", "HTMLLinkElement", "HTMLAreaElement"],
    src: ["HTMLImageElement", "HTMLScriptElement", "HTMLIFrameElement", "HTMLMediaElement", "HTMLSourceElement",
      "HTMLInputElement", "HTMLEmbedElement"],
    action: ["HTMLFormElement"],
    poster: ["HTMLVideoElement"],
  };
  const names = new Set([...Object.keys(addressed), "formaction", "data"]);
  for (const [name, kinds] of Object.entries(addressed)) {
    for (const kind of kinds) {
      const shape = window[kind]?.prototype;
      const property = shape && Object.getOwnPropertyDescriptor(shape, name);
      if (!property?.set) continue;
      Object.defineProperty(shape, name, {
        ...property,
        set(value) {
          property.set.call(this, rooted(value) ? placed(value) : value);
        },
      });
    }
  }
  function rooted(value) {
    const text = String(value).trim();
    return /^(\/(?![/\\])|(https?:)?\/\/)/i.test(text) && !text.startsWith(`${prefix}/`);
  }
  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    const changed = names.has(String(name).toLowerCase()) && rooted(value) && this.namespaceURI?.endsWith("xhtml");
    return setAttribute.call(this, name, changed ? placed(value) : value);
  };
  function settle(element) {
    for (const name of names) {
      const value = element.getAttribute?.(name);
      if (value && rooted(value)) setAttribute.call(element, name, placed(value));
    }
  }
  for (const kind of ["click", "submit"]) {
    addEventListener(kind, (event) => {
      for (const element of event.composedPath()) if (element instanceof Element) settle(element);
    }, true);
  }
  new MutationObserver((records) => {
    for (const { addedNodes } of records) {
      for (const node of addedNodes) {
        if (!(node instanceof Element)) continue;
        settle(node);
        for (const below of node.querySelectorAll("[href],[src],[action],[poster]")) settle(below);
      }
    }
  }).observe(document, { childList: true, subtree: true });

  class MemoryStorage {
    #kept = new Map();
    get length() { return this.#kept.size; }
    key(index) { return [...this.#kept.keys()][index] ?? null; }
    getItem(name) { return this.#kept.get(String(name)) ?? null; }
    setItem(name, value) { this.#kept.set(String(name), String(value)); }
    removeItem(name) { this.#kept.delete(String(name)); }
    clear() { this.#kept.clear(); }
  }
  for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, { value: new MemoryStorage(), configurable: true });
  }
  const crumbs = new Map();
  Object.defineProperty(document, "cookie", {
    configurable: true,
    get: () => [...crumbs].map(([name, value]) => `${name}=${value}`).join("; "),
    set(text) {
      const [pair, ...rest] = String(text).split(";");
      const at = pair.indexOf("=");
      const name = pair.slice(0, Math.max(at, 0)).trim();
      if (/max-age\s*=\s*(0|-)/i.test(rest.join(";"))) crumbs.delete(name);
      else crumbs.set(name, pair.slice(at + 1).trim());
    },
  });
})();
