// Fetched with the first change of a machine on the Machines page: what a screen reader announces of it.

import { Announcer } from "../announcer.js";
import { find, setText } from "../dom.js";
import { t } from "../texts.js";

const node = find("#announcer");
const spoken = new Announcer((sentence) => setText(node, sentence));

node.speak = () => {
  for (const { m, was } of node.changes?.splice(0) ?? []) {
    const [status, connection] = was.split(" ");
    if (status !== m.effective_status)
      spoken.add(t("said.status", { name: m.name, status: t(`status.${m.effective_status}`) }));
    if (connection !== m.connection && connection !== "late" && m.connection !== "late")
      spoken.add(t("said.connection", { name: m.name, connection: t(`connection.${m.connection}`) }));
  }
};
node.speak();
