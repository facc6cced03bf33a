// The Remote access page of one machine, live.

import { LeaseCard } from "../lease_card.js";
import { machinePage } from "../machine_top.js";

const { id, feed } = machinePage({
  drawn() {
    card.bring();
    tick();
  },
  allows: (part, fresh) => card.allows(part, fresh),
  linked: (state) => state === "refused" && card.leave(),
});
const card = new LeaseCard(id);
const tick = () => card.tick(feed.clock.now());

setInterval(tick, 1000);
feed.start();
