// Adding a machine: waits on this page until the new machine reports.

import { find, setIcon, setText, show } from "../dom.js";
import { fields } from "../fields.js";
import { plain } from "../format.js";
import { livePage } from "../live_page.js";
import { t } from "../texts.js";

const PATIENCE_MS = 60000;
const id = Number(document.body.dataset.id ?? 0);

let sending = false;

const { feed } = livePage({
  watch: id ? { machine: id, rate: 1 } : null,
  changed() {
    const m = feed.fleet.machines.get(id);
    if (m) draw(m);
    // Somebody else, or the command line, added a machine: this page becomes the list. What this page itself adds comes
    // with the answer, which a reload would cut off, and with it the key.
    else if (!id && !sending && feed.fleet.machines.size && location.pathname === `${BASE_PATH}/`) location.reload();
  },
});

// After the frame, which keeps what cannot be sent.
addEventListener("submit", (event) => (sending ||= !event.defaultPrevented));

/** @param {Machine} m */
function draw(m) {
  if (m.connection === "never" && !m.last_seen_at) return;
  const receiving = m.readings !== null;
  setIcon(find("#waiting .i"), receiving ? "active" : "live");
  setText(
    find("#waiting [data-said]"),
    receiving ? t("waiting.receiving") : t("waiting.contacted", { ip: m.last_ip ?? "?" }),
  );
  setText(find("#facts"), [m.last_ip, plain(m.model), m.agent_version].filter(Boolean).join(" · "));
  show(find("#facts"), true);
  show(find("#problems"), false);
  find("#open").classList.toggle("main", receiving);
}

if (id) setTimeout(() => show(find("#problems"), feed.fleet.machines.get(id)?.connection === "never"), PATIENCE_MS);
fields();
feed.start();
