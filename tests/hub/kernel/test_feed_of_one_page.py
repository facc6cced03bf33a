"""What a page of one machine, or of none, is sent: its own whole, of the others what its badge and counts need."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from db.records import MachineRow, UserMachineRow
from hub.kernel import feed as feed_module
from hub.kernel.feed import BRIEF
from hub.model import changes as c
from hub.model.changes import Drop, Put
from hub.model.fleet import READING_MEMBERS
from hub.model.views import machine_view
from tests.hub.commands.rules.test_drafts import command
from tests.support.feed_page import NOW, Hub, Page, somebody, strict
from tests.support.until import until


async def differences(page: Page) -> list[dict[str, Any]]:
    """Of the next frame that is more than a beat."""
    while not (found := await page.next()).get("m", found):
        pass
    assert found["type"] == "delta"
    return list(found["m"])


async def test_it_begins_with_its_own_machine_whole_and_of_the_others_what_all_pages_read() -> None:
    hub = Hub()
    of_one, of_none = Page(hub, of=2), Page(hub, of=0)
    await of_one.next()
    await of_none.next()
    whole = strict(msgspec.json.encode(machine_view(hub.fleet.machines[2], times="ms")).decode())
    assert of_one.machines[2] == whole
    for page, others in ((of_one, (1, 3)), (of_none, (1, 2, 3))):
        for rvm_id in others:
            assert page.machines[rvm_id].keys() == set(BRIEF)
    assert of_none.machines[2] == {name: whole[name] for name in BRIEF}


async def test_readings_come_of_its_own_machine_alone() -> None:
    hub = Hub()
    of_one, of_none, whole = Page(hub, of=2), Page(hub, of=0), Page(hub)
    for page in (of_one, of_none, whole):
        await page.next()
    for rvm_id in (1, 2, 3):
        hub.sample(rvm_id, 7.0)
    assert [m["id"] for m in await differences(whole)] == [1, 2, 3]
    (own,) = await differences(of_one)
    assert (own["id"], own["readings"]["cpu_usage"]) == (2, 7.0)
    hub.status(3, "full")
    for page in (of_one, of_none):
        (state,) = await differences(page)
        assert (state["id"], state["status"]) == (3, "full"), "nothing of samples before it"
        assert state.keys().isdisjoint(READING_MEMBERS)


async def test_what_makes_a_part_of_any_page_stale_comes_of_every_machine() -> None:
    hub = Hub()
    page = Page(hub, of=2)
    await page.next()
    for change, name in (
        (c.Patch(MachineRow, 1, {"capacity": 97}), "capacity"),
        (c.Patch(MachineRow, 1, {"timezone": "Asia/Makassar"}), "timezone"),
        (c.Patch(MachineRow, 1, {"name": "Lobby"}), "name"),
    ):
        hub.commit(change)
        (difference,) = await differences(page)
        assert (difference["id"], name in difference) == (1, True)
    hub.commit(Put(command(rvm_id=3, issued_at=NOW, expires_at=NOW)))
    assert (await page.next())["type"] == "job"
    assert len((await differences(page))[0]["pending"]) == 1
    hub.commit(Drop(MachineRow, 3))
    assert (await page.next())["removed"] == [3]
    late = Page(hub, of=2)
    await late.next()
    assert late.machines[1] == {name: page.machines[1][name] for name in BRIEF}, "a text kept is of now"


async def test_its_own_machine_is_removed_and_added_like_any() -> None:
    hub = Hub()
    page = Page(hub, of=2)
    await page.next()
    hub.commit(Drop(MachineRow, 2))
    assert (await page.next())["removed"] == [2]
    hub.add(9)
    (added,) = await differences(page)
    assert added.keys() >= set(BRIEF)
    page.subscription.ask_snapshot()
    await page.next()
    assert sorted(page.machines) == [1, 3, 9]
    hub.commit(Drop(MachineRow, 3))
    assert hub.feed._briefs.keys() == {1, 9}


async def test_frames_are_shared_with_every_page_that_reads_little_and_with_hidden_ones() -> None:
    hub = Hub(machines=100)
    pages = [Page(hub, of=1), Page(hub, of=1), Page(hub, of=2), Page(hub, of=0), Page(hub)]
    first = [await hub.feed.snapshot(page.subscription) for page in pages]
    assert [id(text) for text in first[0].machines] == [id(text) for text in first[1].machines]
    assert sum(a is not b for a, b in zip(first[0].machines, first[2].machines, strict=True)) == 2
    hub.feed.pause(pages[-1].subscription)
    hub.status(3, "full")
    hub.sample(1, 5.0)
    await until(lambda: hub.feed._timer is None)
    waiting = [[one for one in page.subscription._waiting if b'"m":[]' not in one.body] for page in pages]
    assert len({id(of_page[0]) for of_page in waiting}) == 1
    assert waiting[0][1] is waiting[1][1]
    assert [len(of_page) for of_page in waiting] == [2, 2, 1, 1, 1]


@pytest.mark.parametrize("of", [None, 0, 1])
async def test_a_machine_added_and_another_edited_while_a_page_begins_are_in_its_picture(of: int | None) -> None:
    hub = Hub(machines=100)
    early, page = Page(hub, of=0 if of is None else None), Page(hub, of=of)
    await early.next()
    hub.status(3, "full")
    await early.next()  # so that the next difference has to wait a moment
    texts = hub.feed._texts if of is None else hub.feed._briefs
    beginning = asyncio.create_task(page.next())
    while 2 not in texts:  # noqa: ASYNC110 - the first slice is written, the last is not
        await asyncio.sleep(0)
    hub.commit(c.Patch(MachineRow, 2, {"capacity": 97}))
    hub.add(101)
    assert (await beginning)["type"] == "snapshot"
    assert page.machines.keys() == hub.fleet.machines.keys()
    assert page.machines[2]["capacity"] == 97


async def test_a_hidden_one_is_sent_state_but_neither_readings_nor_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BEAT_S", 0.01)
    hub = Hub()
    page, other = Page(hub, of=2), Page(hub, of=2)
    await page.next()
    await other.next()
    hub.feed.pause(page.subscription)
    before = page.subscription.waiting_bytes
    hub.sample(2, 5.0)
    for _ in range(3):
        await other.next()
    assert page.subscription.waiting_bytes == before
    hub.status(2, "full")
    (difference,) = await differences(page)
    assert difference["status"] == "full"
    assert difference.keys().isdisjoint(READING_MEMBERS)
    hub.feed.resume(page.subscription)
    assert (await page.next())["type"] == "snapshot"
    assert page.machines[2]["readings"]["cpu_usage"] == 5.0
    assert page.machines[1].keys() == set(BRIEF)


async def test_a_fleet_that_reports_nothing_still_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "BEAT_S", 0.01)
    hub = Hub()
    pages = [Page(hub, of=2), Page(hub, of=0)]
    for page in pages:
        await page.next()
    for page in pages * 3:
        assert (await page.next())["m"] == []
    timer = hub.feed._beats
    for page in pages:
        hub.feed.unsubscribe(page.subscription)
    assert timer is not None
    assert timer.cancelled()


async def test_a_technician_is_sent_nothing_of_another_machine_whatever_the_page_is_of() -> None:
    hub = Hub()
    whole = Page(hub)
    await whole.next()
    pages = [Page(hub, somebody("technician", frozenset({2})), of=of) for of in (0, 1, 2, 77)]
    for page in pages:
        await page.next()
        assert list(page.machines) == [2]
    hub.much_of_others()
    await until(lambda: hub.feed._timer is None)
    hub.status(2, "full")
    for page in pages:
        assert [m["id"] for m in await differences(page)] == [2]


async def test_rights_that_are_taken_take_the_machine_of_the_page() -> None:
    """Held until they are known; then a thousand readings of it are sent to nobody who lost it."""
    hub = Hub()
    page = Page(hub, somebody("technician", frozenset({1, 2})), of=1)
    await page.next()
    hub.sample(1, 5.0)
    hub.commit(Drop(UserMachineRow, where=(("user_id", "=", 1),)), Put(UserMachineRow(user_id=1, rvm_id=2)))
    assert page.subscription.recheck.is_set()
    hub.feed.rescope(page.subscription, somebody("technician", frozenset({2})))
    assert (await page.next())["type"] == "snapshot"
    assert list(page.machines) == [2]
    for n in range(1000):
        hub.sample(1, float(n % 100))
    await until(lambda: hub.feed._timer is None)
    hub.status(1, "full")
    await until(lambda: hub.feed._timer is None)
    hub.status(2, "error")
    assert [m["id"] for m in await differences(page)] == [2]


@pytest.mark.parametrize("seed", range(3))
async def test_pages_of_any_machine_end_with_what_is_true(seed: int) -> None:
    chance, hub = random.Random(seed), Hub(20)
    some = somebody("technician", frozenset({1, 2, 3, 21, 22}))
    pages = [Page(hub, of=1), Page(hub, of=0), Page(hub, some, of=2), Page(hub, some, of=9), Page(hub)]
    for turn in range(60):
        for _ in range(chance.randrange(6)):
            rvm_id = chance.choice([*hub.fleet.machines])
            hub.status(rvm_id, chance.choice(["full", "error", "active"]))
            hub.commit(c.Patch(MachineRow, rvm_id, {"capacity": chance.randrange(100)}))
            hub.sample(rvm_id, float(turn))
        if chance.random() < 0.2:
            hub.add(21 + turn)
        if chance.random() < 0.1:
            hub.commit(Drop(MachineRow, chance.choice([*hub.fleet.machines])))
        if chance.random() < 0.3:
            pages.append(Page(hub, chance.choice([None, some]), of=chance.choice([None, 0, 1, 2, 21])))
        for page in pages:
            if chance.random() < 0.1:
                chance.choice([hub.feed.pause, hub.feed.resume])(page.subscription)
            if chance.random() < 0.3 and page.has_more:
                await page.next()
        await asyncio.sleep(0.01 * chance.random())  # the dice of the test, not a wait
    await until(lambda: hub.feed._timer is None)
    for page in pages:
        while page.has_more:
            await page.next()
        of, sees = page.subscription.of, page.subscription.viewer_class.sees
        assert page.machines.keys() == {rvm_id for rvm_id in hub.fleet.machines if sees(rvm_id)}
        for rvm_id, known in page.machines.items():
            view = strict(msgspec.json.encode(machine_view(hub.fleet.machines[rvm_id], times="ms")).decode())
            whole = of in (None, rvm_id)
            assert known.keys() >= (view.keys() if whole else set(BRIEF))
            current = known.keys() - (frozenset() if whole and not page.subscription.hidden else READING_MEMBERS)
            assert {name: known[name] for name in current} == {name: view[name] for name in current}
