// Loaded first by every page of a machine that stands below /remote/...: what its scripts address at the root of the
// server goes below that path, and what a page without an origin may not have (storage, cookies) is there for as long
// as the page. Runs in the machine's page, so it holds nothing that the page may not know.
(() => {
  "use strict";
  const self = document.currentScript;
  const prefix = new URL(self.src).pathname.replace(/\/\.rvm\/same_path\.js$/, "");
  const { port, cookies } = self.dataset;
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

  // A request is placed as it is made: one that is made anew from another has its body as a stream, which no browser sends.
  const RealRequest = window.Request;
  window.Request = new Proxy(RealRequest, {
    construct: (target, [what, ...rest], made) =>
      Reflect.construct(target, [what instanceof RealRequest ? what : placed(what), ...rest], made),
  });
  const realFetch = window.fetch;
  window.fetch = (what, ...rest) => realFetch(what instanceof RealRequest ? what : placed(what), ...rest);
  const open = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, address, ...rest) {
    return open.call(this, method, placed(address), ...rest);
  };
  const openWindow = window.open;
  window.open = (address, ...rest) => openWindow(address ? placed(address) : address, ...rest);
  for (const name of ["pushState", "replaceState"]) {
    const real = history[name];
    history[name] = function (state, title, ...address) {
      return real.call(this, state, title, ...address.map((url) => (url == null ? url : placed(url))));
    };
  }
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
          property.set.call(this, moved(value) ?? value);
        },
      });
    }
  }
  // Where an address that begins at the root belongs, also one that only looks placed: steps up lead out of the path.
  // Null where nothing is to be changed.
  function moved(value) {
    const text = String(value).trim();
    if (!/^([/\\]|https?:)/i.test(text)) return null;
    const there = placed(text);
    return there === text || there === new URL(text, document.baseURI).href ? null : there;
  }
  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    const address = names.has(String(name).toLowerCase()) && this.namespaceURI?.endsWith("xhtml");
    return setAttribute.call(this, name, (address ? moved(value) : null) ?? value);
  };
  function settle(element) {
    for (const name of names) {
      const value = element.getAttribute?.(name);
      const there = value ? moved(value) : null;
      if (there) setAttribute.call(element, name, there);
    }
  }
  // The page's own map of modules, before the browser reads it.
  function settleImports(script) {
    try {
      const map = JSON.parse(script.textContent);
      for (const imports of [map.imports, ...Object.values(map.scopes ?? {})]) {
        for (const [name, address] of Object.entries(imports ?? {})) imports[name] = moved(address) ?? address;
      }
      script.textContent = JSON.stringify(map);
    } catch {
      // not JSON: the browser says so
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
        if (node instanceof HTMLScriptElement && node.type === "importmap") settleImports(node);
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
  // Names of things kept are properties too: `localStorage.theme = "dark"`.
  function storage() {
    const real = new MemoryStorage();
    const kept = (name) => typeof name === "string" && real.getItem(name) !== null;
    return new Proxy({}, {
      getPrototypeOf: () => window.Storage.prototype,
      get(_, name) {
        if (kept(name) && !(name in real)) return real.getItem(name);
        const own = Reflect.get(real, name, real);
        return typeof own === "function" ? own.bind(real) : own;
      },
      set(_, name, value) {
        real.setItem(name, value);
        return true;
      },
      has: (_, name) => kept(name) || name in real,
      deleteProperty(_, name) {
        real.removeItem(name);
        return true;
      },
      ownKeys: () => Array.from({ length: real.length }, (_, index) => real.key(index)),
      getOwnPropertyDescriptor: (_, name) =>
        kept(name) ? { value: real.getItem(name), writable: true, enumerable: true, configurable: true } : undefined,
    });
  }
  for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, { value: storage(), configurable: true });
  }
  const crumbs = new Map(
    cookies.split("; ").filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
  );
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
