() => {
  const found = [];
  const wide = document.documentElement.clientWidth;
  const name = (e) => `${e.tagName.toLowerCase()}.${[...e.classList].join(".")}#${e.id} “${e.textContent.trim().slice(0, 40)}”`;
  const seen = (e) => e.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true});
  if (scrollY && !location.hash) found.push(`begins ${Math.round(scrollY)} below its top`);
  if (document.documentElement.scrollWidth > wide) found.push(`sideways: ${document.documentElement.scrollWidth} of ${wide}`);
  const boxes = [...document.querySelectorAll(".top-in > *, .nav > *")].filter((e) => seen(e) && e.getBoundingClientRect().width);
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
    if (a.contains(b) || b.contains(a)) return;
    const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
    if (p.left < q.right - 0.5 && q.left < p.right - 0.5 && p.top < q.bottom - 0.5 && q.top < p.bottom - 0.5) found.push(`overlap: ${name(a)} and ${name(b)}`);
  }));
  for (const grid of document.querySelectorAll(".counters")) {
    const ends = new Map();
    for (const cell of [...grid.children].filter(seen)) { const {top, right} = cell.getBoundingClientRect(); ends.set(top, Math.max(right, ends.get(top) ?? 0)); }
    for (const right of ends.values()) if (Math.abs(grid.getBoundingClientRect().right - right) > 2) found.push("a hole in a row of the counters");
  }
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  for (let node = words.nextNode(); node; node = words.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || !seen(parent) || parent.closest(".vh, svg, script, style, template, .xterm, .plot, .skip, option")) continue;
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!box.width) continue;
    let scrolls = false;
    for (let e = parent; e && e !== document.body; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.clipPath === "inset(50%)") { scrolls = true; break; }
      if (style.display === "inline") continue;
      if (["auto", "scroll"].includes(style.overflowX)) scrolls = true;
      const frame = e.getBoundingClientRect();
      const cut = ["hidden", "clip"].includes(style.overflowX) && style.textOverflow !== "ellipsis" && (box.right > frame.right + 1 || box.left < frame.left - 1);
      const above = ["hidden", "clip"].includes(style.overflowY) && box.bottom > frame.bottom + 3;
      if (!scrolls && (cut || above)) found.push(`cut off: “${node.data.trim().slice(0, 40)}” in ${name(e)}`);
      if (style.textOverflow === "ellipsis" && style.overflowX === "hidden") { scrolls = true; break; }
    }
    if (!scrolls && (box.right > wide + 1 || box.left < -1)) found.push(`outside: “${node.data.trim().slice(0, 40)}” to ${Math.round(box.right)} of ${wide}`);
    if (!parent.closest("button, .btn, th, .pill, .chip, .nav, .tabs, .counters, .s, .e, h2, label, #files td")) continue;
    for (const word of node.data.matchAll(/[^\s\/·-]{2,20}/g)) {
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1) found.push(`broken: “${word[0]}” in ${name(parent)}`);
    }
  }
  return [...new Set(found)];
}
