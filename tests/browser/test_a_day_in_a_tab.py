"""A tab that stays open for a day: 86,400 frames, one for each second, given to the page as fast as it takes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Stage
from tests.support.browser import Tab, tab

DAY = 86_400
WARM = 3_000
"""Frames before anything is measured: what grows once has grown."""
MACHINES = 40
REPLAY = """async ([frames, machines]) => {
  const { feed } = document.body;
  feed.socket.on.frame = () => {};  // the day comes from here alone
  feed.socket.send = () => {};
  const known = [...feed.fleet.machines.values()][0];
  const ids = Array.from({ length: machines }, (_, i) => (i ? 1000 + i : known.id));
  let at = feed.clock.now();
  for (let i = 0; i < frames; i += 1) {
    at += 1000;
    const id = ids[i % ids.length];
    const wave = 50 + 40 * Math.sin(i / 97 + id);
    const told = feed.fleet.machines.has(id) ? { id } : { ...known, id, name: `RVM-${id}`, pending: [], lease: null };
    const readings = { ...known.readings, taken_at: at, cpu_usage: wave, gpu_usage: 90 - wave, memory_usage: wave / 2,
      temperature: 45 + wave / 3, uptime_s: i };
    const m = [{ ...told, readings, last_seen_at: at, capacity: Math.round(wave) % 90 }];
    if (id !== known.id) m.push({ id: known.id, readings, last_seen_at: at });
    feed.frame({ type: "delta", seq: feed.fleet.seq + 1, t: at, m });
    if (i % 180 === 179) await new Promise((done) => requestAnimationFrame(done));
  }
  await new Promise((done) => setTimeout(done, 1500));
  return feed.fleet.machines.size;
}"""


class Held(NamedTuple):
    """What the page holds after its garbage was collected."""

    heap_mb: float
    nodes: int
    listeners: int


async def held(page: Tab) -> Held:
    session = await page.context.new_cdp_session(page.page)
    for _ in range(3):
        await session.send("HeapProfiler.collectGarbage")
    heap = await session.send("Runtime.getHeapUsage")
    counts = await session.send("Memory.getDOMCounters")
    await session.detach()
    return Held(heap["usedSize"] / 2**20, counts["nodes"], counts["jsEventListeners"])


@pytest.mark.alone
@pytest.mark.parametrize(("of", "most_mb", "machines"), [("fleet", 5.0, MACHINES), ("machine", 20.0, 1)])
async def test_a_day_of_frames_leaves_nothing_behind(stage: Stage, of: str, most_mb: float, machines: int) -> None:
    async with tab(stage.browser, stage.hub) as page:
        await page.open("/" if of == "fleet" else f"/machines/{stage.keys[0].id}")
        await page.live()
        if of == "machine":
            await expect(page.page.locator("#charts .plot:not(.wait)")).to_have_count(2)

        async def replay(frames: int) -> Any:
            return await page.page.evaluate(REPLAY, [frames, machines])

        assert await replay(WARM) >= machines
        before = await held(page)
        await replay(DAY)
        after = await held(page)
        assert after.heap_mb - before.heap_mb <= most_mb, (before, after)
        assert after.nodes <= before.nodes * 1.1 + 50, (before, after)
        assert after.listeners <= before.listeners + 10, (before, after)
        assert page.faults == []
