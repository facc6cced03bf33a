// The way back from a machine leads to the list as it was left.

import { find, setAttribute } from "./dom.js";

export function crumb() {
  setAttribute(find('.crumb a[href="/"]'), "href", sessionStorage.getItem("fleet") ?? "/");
}
