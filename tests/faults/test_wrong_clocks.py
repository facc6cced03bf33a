"""Every wrong clock there is, over the wire: stored in UTC or dropped with a word, acknowledged, and shown."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from protocol import messages as m
from tests.support.browser_client import BrowserClient
from tests.support.hub_process import HubHere, hub_here
from tests.support.ledger import open_ledger
from tests.support.machine_client import MachineClient

UTC = timezone.utc
PAST = datetime(2026, 5, 6, 7, 8, 9, 500_000, tzinfo=UTC)
EXACT: list[tuple[Any, datetime]] = [
    ("2026-05-06T07:08:09.5Z", PAST),
    ("2026-05-06T07:08:09.500000000Z", PAST),
    ("2026-05-06t14:08:09.500+07:00", PAST),
    ("2026-05-06T14:08:09.500", PAST),  # naive: Asia/Jakarta
    ("2026-05-05T17:08:09.500-14:00", PAST),
    (PAST.timestamp(), PAST),
    (PAST.timestamp() * 1000, PAST),  # milliseconds for seconds
    ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
]
NOW: list[Any] = [
    "1970-01-01T00:00:05Z", 5, 0, -3600, "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59Z", 4e9, 4e12,
    lambda: time.time() + 86_400, lambda: (datetime.now(UTC) + timedelta(days=1)).isoformat(),
]  # fmt: skip
"""No time can be told from these: the hub's own is taken, and the sample is marked."""
DROPPED: list[Any] = [
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1999-12-31T23:59:59Z", "1871-01-01T00:00:00Z", -1e10, 1e300,
    -1e300, "soon", "", "2026-02-30T00:00:00Z", "2026-05-06T25:00:00Z", "2026-05-06T07:08:09+99:00",
    "10000-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "2026-05-06T07:08:09Z\x00",
    "\u0662\u0660\u0662\u0666-05-06T07:08:09Z",
]  # fmt: skip


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[HubHere]:
    async with hub_here(tmp_path, database_url=database_url, device_frames_per_second=0) as here:
        yield here


async def test_no_clock_spoils_the_record_or_the_page(hub: HubHere) -> None:
    key = await hub.add_machine("Lobby")
    stamps = [stamp() if callable(stamp) else stamp for stamp in [*(s for s, _ in EXACT), *NOW, *DROPPED]]
    first_dropped = len(EXACT) + len(NOW)
    async with BrowserClient.open(hub) as page, MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        began = time.time()
        for seq, stamp in enumerate(stamps):
            for live in (False, True):
                sample = m.Sample(timestamp=stamp, cpu_usage=float(seq))
                await machine.say(m.Metrics(seq=seq, samples=[sample], live=live))
        while (await machine.hear(m.MetricsAck)).seq < len(stamps) - 1:
            """What is dropped is acknowledged as well: the spool must go on."""
        ended = time.time()
        # How many errors one frame gets, and in which order kept and live ones come, is the hub's own business.
        named: list[m.Error] = []
        dropped = set(range(first_dropped, len(stamps)))
        while {error.ref for error in named} != dropped:
            named.append(await machine.hear(m.Error))
        # Every frame up to here was parsed strictly; the newest readable one is shown, at a time that can be.
        shown = page.machines[key.id]
        await page.shows(lambda: (shown["readings"] or {}).get("cpu_usage") == first_dropped - 1)
        assert began - 1 <= shown["readings"]["taken_at"] / 1000 <= ended + 601
    assert {error.code for error in named} == {"invalid"}
    assert all("timestamp" in error.message for error in named)
    async with open_ledger(hub.settings.database_url) as ledger:
        stored = await ledger.taken(key.id)
        marked = await ledger.clamped(key.id)
    assert set(stored) == set(range(first_dropped))
    for seq, (_, at) in enumerate(EXACT):
        assert stored[seq] == pytest.approx(at.timestamp(), abs=1e-5), stamps[seq]
    for seq in range(len(EXACT), first_dropped):
        assert began - 1 <= stored[seq] <= ended + 1, stamps[seq]
    assert marked == set(range(len(EXACT), first_dropped))


async def test_a_machine_that_boots_in_1970_connects_obeys_and_is_flagged(hub: HubHere) -> None:
    key = await hub.add_machine("Lobby")
    async with BrowserClient.open(hub) as page, MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello(time="1970-01-01T00:00:30Z", ntp=False)
        shown = page.machines[key.id]
        await page.shows(lambda: shown["connection"] == "live" and shown["ntp"] is False)
        assert shown["clock_offset_s"] < -(10**9)
        report = m.TimezoneReport(
            timezone="Asia/Jakarta", timestamp="1970-01-01T00:00:31Z", sync_method="automatic", source="lookup",
            clock_offset=-1.7e9, ntp=False,
        )  # fmt: skip
        await machine.say(report)
        await page.shows(lambda: shown["timezone"] == "Asia/Jakarta")
        await machine.say(msgspec.structs.replace(report, clock_offset=0.1, ntp=True))  # NTP has answered
        await page.shows(lambda: shown["ntp"] is True)
        assert shown["clock_offset_s"] == pytest.approx(0.1)
