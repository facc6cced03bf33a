"""The feed: a picture, then differences; filtered, coalesced, encoded once, and nobody waited for."""

from __future__ import annotations

import asyncio
import random
import time

import msgspec
import pytest

from db.records import CommandRow, MachineRow, UserMachineRow, UserRow
from hub.kernel import feed as feed_module
from hub.kernel.feed import COALESCE_S
from hub.kernel.subscription import MAX_WAITING_BYTES, CutOffError
from hub.model import changes as c
from hub.model.access import Role
from hub.model.changes import Drop, Put
from hub.model.views import machine_view
from hub.people import rules
from protocol.errors import CloseCode
from tests.support.feed_page import NOW, NOW_MS, Hub, Page, somebody, strict
from tests.support.until import until


async def test_a_page_begins_with_the_whole_picture() -> None:
    hub = Hub()
    page = Page(hub)
    assert strict(hub.feed.hello(page.subscription)) == {
        "type": "hello", "version": "1", "epoch": "life", "hub_time": NOW_MS, "seq": 0,
    }  # fmt: skip
    frame = await page.next()
    assert (frame["type"], frame["epoch"], frame["hub_time"]) == ("snapshot", "life", NOW_MS)
    assert sorted(page.machines) == [1, 2, 3]
    assert page.machines[1]["status_since"] == NOW_MS
    assert "api_key_hash" not in page.machines[1]


async def test_a_difference_carries_only_what_changed() -> None:
    hub = Hub()
    page = Page(hub)
    await page.next()
    hub.status(2, "full")
    first = await page.next()
    assert first["type"] == "delta"
    hub.status(2, "error")
    (difference,) = (await page.next())["m"]
    assert difference == {"id": 2, "status": "error", "effective_status": "error"}


async def test_a_durable_change_is_due_within_50_ms_even_right_after_another_frame() -> None:
    hub = Hub()
    page = Page(hub)
    await page.next()
    for status in ("full", "error", "active"):
        hub.status(1, status)
        assert hub.feed._timer is not None
        assert hub.feed._timer.when() <= asyncio.get_running_loop().time() + 0.05
        await page.next()
        assert page.machines[1]["status"] == status


async def test_samples_are_coalesced_to_one_frame_a_quarter_second() -> None:
    hub = Hub()
    page = Page(hub)
    await page.next()
    hub.sample(1, 0.0)
    await page.next()
    at = []
    for turn in (1, 2, 3):
        for cpu in range(100):
            hub.sample(1, cpu / turn)
            hub.sample(2, cpu / turn)
        frame = await page.next()
        at.append(time.monotonic())
        assert len(frame["m"]) == 2
        assert page.machines[1]["readings"]["cpu_usage"] == 99 / turn
    assert all(later - earlier >= COALESCE_S * 0.9 for earlier, later in zip(at, at[1:]))  # noqa: B905, RUF007 - 3.10


async def test_an_urgent_change_does_not_drag_everybodys_readings_along() -> None:
    hub = Hub()
    page = Page(hub)
    await page.next()
    hub.sample(1, 1.0)
    await page.next()
    hub.sample(2, 5.0)
    hub.status(3, "full")
    frame = await page.next()
    assert [m["id"] for m in frame["m"]] == [3]
    assert [m["id"] for m in (await page.next())["m"]] == [2]


async def test_a_change_back_between_two_frames_does_not_leave_a_new_page_behind() -> None:
    hub = Hub()
    early = Page(hub)
    await early.next()
    hub.status(1, "full")
    await early.next()
    hub.status(1, "error")
    late = Page(hub)
    await late.next()  # its picture is that of the last frame, which says full
    hub.status(1, "full")
    await late.nothing()
    assert late.machines[1]["status"] == early.machines[1]["status"] == "full"


async def test_a_machine_that_came_while_another_page_opened_is_sent_to_both() -> None:
    hub = Hub()
    early = Page(hub)
    await early.next()
    hub.status(1, "full")
    await early.next()  # so that the next difference has to wait a moment
    hub.add(9)
    late = Page(hub)
    await late.next()
    await early.next()
    assert early.machines[9] == late.machines[9]
    await late.nothing()


@pytest.mark.parametrize("seed", range(3))
async def test_pages_that_come_at_any_moment_end_with_the_same_picture(seed: int) -> None:
    chance, hub = random.Random(seed), Hub(20)
    pages = [Page(hub), Page(hub, somebody("technician", frozenset({1, 2, 3, 21, 22})))]
    for turn in range(60):
        for _ in range(chance.randrange(6)):
            rvm_id = chance.choice([*hub.fleet.machines])
            hub.status(rvm_id, chance.choice(["full", "error", "active"]))
            hub.sample(rvm_id, float(turn))
        if chance.random() < 0.2:
            hub.add(21 + turn)
        if chance.random() < 0.1:
            hub.commit(Drop(MachineRow, chance.choice([*hub.fleet.machines])))
        if chance.random() < 0.2:
            pages.append(Page(hub, chance.choice([page.subscription.principal for page in pages])))
        for page in pages:
            if chance.random() < 0.3 and page.has_more:
                await page.next()
        await asyncio.sleep(0.01 * chance.random())  # the dice of the test, not a wait
    await until(lambda: hub.feed._timer is None)
    for page in pages:
        while page.has_more:
            await page.next()
        seen = page.subscription.viewer_class.sees
        assert page.machines == {
            m.id: strict(msgspec.json.encode(machine_view(m, times="ms")).decode())
            for m in hub.fleet.machines.values()
            if seen(m.id)
        }


async def test_a_picture_is_written_once_for_everybody_and_shows_each_only_what_is_theirs() -> None:
    hub = Hub(100)
    admin, viewer = Page(hub), Page(hub, somebody("viewer", user_id=2))
    own = Page(hub, somebody("technician", frozenset({2, 3}), user_id=3))
    first, second, third = [await hub.feed.snapshot(page.subscription) for page in (admin, viewer, own)]
    assert [id(text) for text in first.machines] == [id(text) for text in second.machines]
    assert [m["id"] for m in strict(third.text)["machines"]] == [2, 3]
    assert all(any(text is other for other in first.machines) for text in third.machines)
    hub.sample(7, 1.0)
    await until(lambda: hub.feed._timer is None)
    again = await hub.feed.snapshot(admin.subscription)
    assert sum(a is not b for a, b in zip(first.machines, again.machines, strict=True)) == 1


async def test_events_and_jobs_are_published_at_once_with_times_in_milliseconds() -> None:
    hub = Hub()
    page = Page(hub)
    await page.next()
    command = CommandRow(
        id="c1", rvm_id=1, name="ping", args={}, state="queued", issued_by="user:1", issued_at=NOW, expires_at=NOW
    )
    hub.commit(
        Put(command),
        c.EventHappened(at=NOW, code="command.issued", actor="user:1", rvm_id=1, id=7),
    )
    job, event, delta = [await page.next() for _ in range(3)]
    assert (job["type"], job["id"], job["state"], job["issued_at"]) == ("job", "c1", "queued", NOW_MS)
    assert (event["type"], event["code"], event["at"], event["id"]) == ("event", "command.issued", NOW_MS, 7)
    assert [p["id"] for p in delta["m"][0]["pending"]] == ["c1"]


async def test_machines_come_and_go() -> None:
    hub = Hub()
    page = Page(hub)
    await page.next()
    hub.add(9)
    await page.next()
    assert page.machines[9]["name"] == "Machine 9"
    assert page.machines[9].keys() == page.machines[1].keys()
    hub.commit(Drop(MachineRow, 9))
    assert (await page.next())["removed"] == [9]
    assert 9 not in page.machines


async def test_a_technician_is_never_sent_another_machine() -> None:
    hub = Hub()
    page = Page(hub, somebody("technician", frozenset({2})))
    await page.next()
    assert list(page.machines) == [2]
    hub.much_of_others()
    hub.commit(c.EventHappened(at=NOW, code="sign_in.failed", actor="user:1"))
    await page.nothing()
    hub.status(2, "full")
    assert [m["id"] for m in (await page.next())["m"]] == [2]


@pytest.mark.parametrize(("role", "hears"), [("admin", True), ("operator", False), ("viewer", False)])
async def test_what_belongs_to_no_machine_is_for_administrators(role: Role, hears: bool) -> None:
    hub = Hub()
    page = Page(hub, somebody(role))
    await page.next()
    hub.commit(c.EventHappened(at=NOW, code="user.added", actor="user:1"))
    if hears:
        assert (await page.next())["code"] == "user.added"
    else:
        await page.nothing()


async def test_rights_that_change_hold_at_once() -> None:
    hub = Hub()
    page = Page(hub, somebody("technician", frozenset({1, 2})))
    await page.next()
    hub.status(1, "full")
    hub.feed.rescope(page.subscription, somebody("technician", frozenset({2})))
    assert (await page.next())["type"] == "snapshot"
    assert list(page.machines) == [2]
    hub.status(1, "error")
    await page.nothing()


async def test_a_hidden_page_is_sent_state_but_no_readings_and_wakes_with_a_picture() -> None:
    hub = Hub()
    page = Page(hub)
    await page.next()
    hub.sample(1, 0.5)
    await page.next()
    hub.feed.pause(page.subscription)
    hub.sample(1, 1.0)
    await page.nothing()
    hub.status(1, "full")
    (difference,) = (await page.next())["m"]
    assert difference["status"] == "full"
    assert "readings" not in difference
    hub.feed.resume(page.subscription)
    assert (await page.next())["type"] == "snapshot"
    assert page.machines[1]["readings"]["cpu_usage"] == 1.0


async def test_a_page_that_does_not_read_is_cut_off_and_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(200)
    frozen, other = Page(hub), Page(hub)
    await frozen.next()
    await other.next()
    monkeypatch.setattr(feed_module, "COALESCE_S", 0.0)
    n = 0
    while frozen.subscription.waiting_bytes or n == 0:
        n += 1
        for rvm_id in range(1, 201):
            hub.sample(rvm_id, float(n % 100))
        assert (await other.next())["type"] == "delta"
        assert frozen.subscription.waiting_bytes <= MAX_WAITING_BYTES
    with pytest.raises(CutOffError) as cut:
        await frozen.subscription.next()
    assert cut.value.code == CloseCode.OVERLOADED
    assert (await frozen.subscription.cut()).code == CloseCode.OVERLOADED


async def test_a_page_that_waits_for_its_picture_is_not_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(200)
    waiting, other = Page(hub), Page(hub)
    await other.next()
    monkeypatch.setattr(feed_module, "COALESCE_S", 0.0)
    told = 0
    for n in range(1, 100):
        for rvm_id in range(1, 201):
            hub.sample(rvm_id, float(n))
        told += len(msgspec.json.encode(await other.next()))
        assert waiting.subscription.waiting_bytes == 0
        if told > MAX_WAITING_BYTES:
            break
    assert told > MAX_WAITING_BYTES
    picture = await waiting.next()
    assert picture["type"] == "snapshot"
    assert {m["readings"]["cpu_usage"] for m in waiting.machines.values()} == {float(n)}


async def test_a_frame_is_encoded_once_for_all_pages_of_a_class() -> None:
    hub = Hub()
    pages = [Page(hub) for _ in range(50)]
    for page in pages:
        await page.next()
    hub.status(1, "full")
    await pages[0].next()
    waiting = [page.subscription._waiting[0] for page in pages[1:]]
    assert len({id(frame) for frame in waiting}) == 1


async def test_who_concerns_a_user_makes_their_pages_look_again() -> None:
    hub = Hub()
    ani, budi = Page(hub, somebody(user_id=1)), Page(hub, somebody(user_id=2))
    hub.commit(rules.end_sessions(2))
    assert budi.subscription.recheck.is_set()
    assert not ani.subscription.recheck.is_set()


async def test_nothing_more_is_sent_to_somebody_whose_rights_changed_until_they_are_known() -> None:
    hub = Hub()
    page = Page(hub, somebody("technician", frozenset({1, 2})))
    await page.next()
    hub.status(2, "full")
    hub.commit(c.Drop(UserMachineRow, where=(("user_id", "=", 1),)), c.Put(UserMachineRow(user_id=1, rvm_id=1)))
    assert page.subscription.recheck.is_set()
    hub.status(2, "error")
    page.subscription.ask_snapshot()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(page.subscription.next(), 0.6)
    hub.feed.rescope(page.subscription, somebody("technician", frozenset({1})))
    assert [m["id"] for m in (await page.next())["machines"]] == [1]
    hub.commit(c.Patch(UserRow, 1, {"name": "Budi S"}))
    hub.status(1, "full")
    assert (await page.next())["type"] == "delta", "a new name takes nothing away"


async def test_the_goodbye_is_the_last_word() -> None:
    hub = Hub()
    page = Page(hub)
    await page.next()
    hub.status(1, "full")
    hub.feed.send_goodbye("restarting")
    hub.status(1, "error")
    assert (await page.next())["type"] == "delta"
    assert await page.next() == {"type": "goodbye", "reason": "restarting"}
    with pytest.raises(CutOffError) as cut:
        await page.subscription.next()
    assert cut.value.code == CloseCode.HUB_RESTARTING


async def test_without_pages_nothing_is_kept() -> None:
    hub = Hub()
    hub.sample(1, 1.0)
    assert not hub.feed._touched
    page = Page(hub)
    await page.next()
    hub.sample(1, 2.0)
    hub.feed.unsubscribe(page.subscription)
    assert not hub.feed._touched
    assert hub.feed._timer is None


async def test_a_picture_of_many_machines_lets_others_work_meanwhile() -> None:
    hub = Hub(2000)
    page = Page(hub)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(others())
    await page.next()
    other.cancel()
    assert len(page.machines) == 2000
    assert turns >= 9


async def test_hostile_text_of_a_machine_stays_text() -> None:
    hub = Hub(1)
    name = '</script>"\\\u202e\x1b\n😀'
    hub.fleet.machines[1].row = msgspec.structs.replace(hub.fleet.machines[1].row, name=name)
    page = Page(hub)
    await page.next()
    assert page.machines[1]["name"] == name
