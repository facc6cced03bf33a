// Rows of a great fleet: fetched where more machines are listed than the page draws at once. Below the rows that stand there
// is as much space as the others take; they are drawn when it comes near.

import { find, show } from "../dom.js";

const MORE = 100;
const AHEAD = 2;
const node = find("#machines");
const table = /** @type {import("../table.js").Table} */ (node.table);
const space = find("#space");

/** The clock goes on in rows near the window alone: a thousand of them took a fifth of every second. */
const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) /** @type {Part} */ (target).far = !isIntersecting;
  },
  { rootMargin: "50%" },
);

/** What comes next in the order stands below what stands there, which does not move. */
function grow() {
  for (const { node } of table.rows.values()) near.observe(node);
  const standing = table.standing();
  const drawn = new Set(standing);
  const rest = table.listed.filter((id) => !drawn.has(id));
  show(space, rest.length > 0);
  if (!rest.length) return;
  space.style.height = `${(rest.length * table.body.offsetHeight) / (standing.length || 1)}px`;
  if (space.getBoundingClientRect().top > innerHeight * (1 + AHEAD)) return;
  table.most = standing.length + MORE;
  table.place([...standing, ...rest].slice(0, table.most));
}

let due = false;
node.grow = () => {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    grow();
  });
};
new IntersectionObserver(node.grow, { rootMargin: `${AHEAD * 100}%` }).observe(space);
