"""Needs attention: what is in it, for whom, and that list, badge and title count the same."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from dashboard.texts import texts_in
from dashboard.trouble import RANKS, who_acts
from db.records import MachineRow, RemoteSessionRow, ZoneRow
from hub.model.changes import Observed, Patch, Put
from tests.support.api_hub import ApiHub
from tests.support.until import until


@pytest.fixture
def hub(door: ApiHub) -> ApiHub:
    for rvm_id in door.context.fleet.machines:
        observed(door, rvm_id, "live")
    return door


async def page(hub: ApiHub, who: str = "admin", language: str = "en", path: str = "/") -> str:
    async with hub.browser(await hub.add_session(who)) as browser:
        answer = await browser.get(path, headers={"Accept-Language": language})
    assert answer.status_code == 200
    return answer.text


def lines(text: str) -> list[str]:
    """The rows, without markup."""
    part = text[text.index('id="needs"') : text.index('class="counters"')]
    rows = re.findall(r"<li data-key.*?</li>", part, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


def counted(text: str) -> set[str]:
    """By the title, the badge of the navigation, and the list's own head."""
    found = re.findall(r"<title>\((\d+)\)|id=\"alarms\"[^>]*>(\d+)|data-total>(\d+)", text)
    return {number for groups in found for number in groups if number}


def calm(text: str) -> str:
    found = re.search(r'id="calm"[^>]*>.*?<span data-said>(.*?)</span>', text, re.DOTALL)
    assert found is not None
    return found[1]


def observed(hub: ApiHub, rvm_id: int, connection: str, **members: Any) -> None:
    hub.context.announce.observe(Observed(rvm_id, {"connection": connection, **members}))


def away(hub: ApiHub, *ids: int, seconds: float, reason: str = "lost") -> None:
    since = hub.context.clock() - timedelta(seconds=seconds)
    for rvm_id in ids:
        observed(hub, rvm_id, "offline", connection_since=since, connection_reason=reason)


async def put(hub: ApiHub, rvm_id: int, **values: Any) -> None:
    await hub.context.announce(Patch(MachineRow, rvm_id, values, must="id"))


async def test_all_are_fine_only_when_every_machine_is_live_and_was_connected_once(hub: ApiHub) -> None:
    assert calm(await page(hub)) == "All 2 machines fine"
    observed(hub, 2, "late")
    assert calm(await page(hub)) == "1 of 2 machines fine · 1 late"
    away(hub, 2, seconds=5)
    assert calm(await page(hub)) == "1 of 2 machines fine · 1 offline for a moment"
    await put(hub, 1, special_status="maintenance")
    assert calm(await page(hub)) == "0 of 2 machines fine · 1 offline for a moment · 1 out of service"
    assert calm(await page(hub, language="id")) == "0 dari 2 mesin baik · 1 baru saja offline · 1 tidak melayani"
    observed(hub, 2, "never", connection_since=None)
    added = "0 of 2 machines fine · 1 not connected yet · 1 out of service"
    assert calm(await page(hub)) == added, "just added: somebody is on the way to it"
    await put(hub, 2, created_at=hub.context.clock() - timedelta(minutes=11))
    text = await page(hub)
    assert lines(text)[0].startswith("two Never connected Technician: Enrol it with a one-time code")
    assert counted(text) == {"1"}
    active = re.search(r'data-count="active".*?<b>(\d+)</b>', text)
    never = re.search(r'data-count="never".*?<b>(\d+)</b>', text)
    assert active is not None
    assert never is not None
    assert (active[1], never[1]) == ("0", "1")


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize("cause", [cause for cause in RANKS if cause not in ("approval", "clock")])
def test_each_cause_has_its_sentence_and_what_to_do(cause: str, language: str) -> None:
    """Without one the list has no page at all."""
    texts = texts_in(language)
    assert {f"cause.{cause}", f"why.{cause}.next", f"acts.{who_acts(cause)}"} <= texts.keys()


async def test_a_bin_that_is_nearly_full_says_so_before_it_is(hub: ApiHub) -> None:
    await put(hub, 2, capacity=97)
    (line,) = lines(await page(hub))
    assert line.startswith("two Nearly full: 97 % Site: Empty it before it is full.")
    machine = await page(hub, path="/machines/2")
    why = machine.partition('id="why"')[2].partition("</section>")[0]
    assert "The bin is" in why
    assert "Empty it before it is full." in why


async def test_many_that_went_together_are_one_line_at_once_and_all_counted(hub: ApiHub) -> None:
    more = [await hub.add_machine(f"RVM-{number}") for number in range(3)]
    for rvm_id in more:
        observed(hub, rvm_id, "live")
    await put(hub, more[0], location_description="Kampus")
    away(hub, *more, seconds=20)
    text = await page(hub)
    (line,) = lines(text)
    assert re.match(r"3 of 5 machines offline since \d\d:\d\d Operator: Check what they share", line)
    assert counted(text) == {"3"}
    for rvm_id in more[1:]:
        await put(hub, rvm_id, location_description="Kampus")
    (line,) = lines(await page(hub))
    assert re.match(r"3 of 3 machines at Kampus offline since \d\d:\d\d Site: Check whether the site", line)
    (line,) = lines(await page(hub, language="id"))
    assert line.startswith("3 dari 3 mesin di Kampus offline sejak")
    assert await page(hub, "technician")
    assert lines(await page(hub, "technician")) == []


async def test_one_that_is_gone_is_in_the_list_within_a_minute(hub: ApiHub) -> None:
    away(hub, 2, seconds=59)
    assert lines(await page(hub)) == []
    away(hub, 2, seconds=61)
    (line,) = lines(await page(hub))
    assert line.startswith("two Offline: connection lost Site:")
    away(hub, 2, seconds=61, reason="shutdown")
    (line,) = lines(await page(hub))
    assert line.startswith("two Shut down normally Site:")


async def test_an_error_stays_in_the_list_when_somebody_took_the_machine_out_of_service(hub: ApiHub) -> None:
    await put(hub, 1, status="maintenance", error_since=hub.context.clock(), status_by=f"user:{hub.users['operator']}")
    (line,) = lines(await page(hub))
    assert re.match(r"one Reports an error operator: Maintenance, since \S+", line)
    assert "Put in maintenance" not in line


@pytest.mark.parametrize(("language", "words"), [("en", "Maintenance"), ("id", "Pemeliharaan")])
async def test_what_began_before_maintenance_stays_in_both_lists_and_says_so(
    hub: ApiHub, language: str, words: str
) -> None:
    await put(hub, 1, capacity=97)
    await until(lambda: "nearly_full" in hub.context.fleet.machines[1].troubles)
    began = hub.context.fleet.machines[1].troubles["nearly_full"]
    await put(hub, 1, special_status="maintenance", status_by=f"user:{hub.users['operator']}")
    text = await page(hub, language=language)
    assert counted(text) == {"1"}
    (line,) = lines(text)
    assert line.startswith("one ")
    assert f"operator: {words}" in line
    (group,) = re.findall(r'<article class="card alert">.*?</h2>', await page(hub, "admin", language, "/alerts"))
    assert words in group
    assert hub.context.fleet.machines[1].troubles == {"nearly_full": began}


async def test_settings_refused_and_a_wrong_time_zone_are_trouble(hub: ApiHub) -> None:
    now = hub.context.clock()
    await put(hub, 1, config_errors={"live_interval": "too low"}, config_applied_at=now)
    await put(hub, 2, capacity=100, status="full")
    zone = ZoneRow(
        device_id=hub.context.fleet.machines[2].row.device_id, current_timezone="Asia/Jakarta",
        system_timezone="Asia/Makassar", created_at=now, updated_at=now,
    )  # fmt: skip
    await hub.context.announce(Put(zone))
    assert [line.split(" Administrator:")[0].split(" Site:")[0] for line in lines(await page(hub))] == [
        "two Full: takes no more containers", "one Refuses settings"
    ]  # fmt: skip
    await put(hub, 2, capacity=0, status="active")
    assert lines(await page(hub))[0].startswith("two Wrong time zone Operator: Open the time zone card")


def session(hub: ApiHub, asked_by: str, **members: Any) -> RemoteSessionRow:
    now = hub.context.clock()
    row = RemoteSessionRow(
        rvm_id=1, admin_id=hub.users[asked_by], admin_name=asked_by, status="requested", start_time=now,
        expires_at=now + timedelta(minutes=5), created_at=now, reason="belt",
    )  # fmt: skip
    return msgspec.structs.replace(row, **members)


WAITS = "<b>Remote access waits for your approval.</b>"


async def test_who_may_approve_sees_who_waits_and_nobody_sees_the_own_request(hub: ApiHub) -> None:
    await hub.context.announce(Put(session(hub, "operator")))
    text = await page(hub)
    (line,) = lines(text)
    assert line.startswith("one Remote access waits for your approval You: Read the reason")
    assert counted(text) == {"1"}
    assert "(1) " in text.split("</title>", maxsplit=1)[0]
    overview = await page(hub, path="/machines/1")
    assert WAITS in overview
    assert 'approve or decline. <a href="/machines/1/remote">Remote access</a>' in overview
    for other in ("operator", "technician", "viewer"):
        text = await page(hub, other)
        assert lines(text) == []
        assert counted(text) <= {"0"}
        assert WAITS not in await page(hub, other, path="/machines/1")
