// Pages without the feed: signing in, errors, the way to a machine's own page.

import { find, show } from "../dom.js";
import { fields } from "../fields.js";
import { frame } from "../frame.js";
import { keyboard } from "../keyboard.js";

fields();
frame();
keyboard({});
if (document.body.dataset.page === "signin" && location.hash.startsWith("#rvml_")) {
  // The secret stands in the fragment, which no server sees: it goes on by POST, and out of the history at once.
  find("#link").value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  show(find("#working"), true);
  show(find("#link-form"), false);
  find("#link-form").submit();
}
// A machine's page on a host of its own: the form carries a ticket there, by itself where there is script.
if (document.body.dataset.page === "enter") find("#enter").submit();
