"""A machine's zone: what a report makes true, what a repeat does not, and who is not overridden by whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from db.records import MachineRow, ZoneRow, ZoneSyncRow
from hub.model.changes import OWN, Change, EventHappened, Put, patches, put_rows
from hub.model.effective_settings import CommonSettings, DesiredSettings
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.timezone.rules import ReportRefused, checked_at, may_sync_by_hand, reported, zone_view
from protocol.messages import Failure, TimezoneReport
from tests.support.machines import NOW, machine

NOT_PERMITTED = Failure(code="not_permitted", message="not permitted: install the helper")


def report(zone: str = "Asia/Jakarta", at: str = "2026-11-23T08:59:00Z", **members: Any) -> TimezoneReport:
    return TimezoneReport(timezone=zone, timestamp=at, **{"sync_method": "automatic", **members})


def hears(fleet: Fleet, said: TimezoneReport, actor: str = "machine:7") -> list[Change]:
    changes = reported(fleet.machines[7], said, actor, NOW, "Asia/Jakarta")
    fleet.apply_all(changes)
    return changes


def fleet_of(settings: dict[str, Any] | None = None, **members: Any) -> Fleet:
    return Fleet([machine(**members)], CommonSettings(None, DesiredSettings(settings or {}, 1, NOW, "user:1")))


def the(fleet: Fleet) -> Machine:
    return fleet.machines[7]


def attempt(changes: list[Change]) -> ZoneSyncRow:
    (row,) = put_rows(changes, ZoneSyncRow)
    return row


def without_event(changes: list[Change]) -> list[Change]:
    assert changes
    assert not any(isinstance(change, EventHappened) for change in changes)
    return changes


def event_of(changes: list[Change]) -> EventHappened:
    return next(change for change in changes if isinstance(change, EventHappened))


def test_the_first_report_is_recorded_and_its_zone_is_the_machines() -> None:
    fleet = fleet_of()
    said = report(
        "Asia/Makassar", country="Indonesia", city="Denpasar", ip="203.0.113.7", source="lookup",
        system_timezone="Asia/Makassar", applied=True, clock_offset=0.25, ntp=True, restart=["cron"],
    )  # fmt: skip
    changes = hears(fleet, said)
    row, event = attempt(changes), changes[-1]
    assert (row.sync_status, row.previous_timezone, row.sync_timestamp.isoformat()) == (
        "active", None, "2026-11-23T08:59:00+00:00",
    )  # fmt: skip
    assert isinstance(event, EventHappened)
    assert (event.code, event.before, event.after) == (
        "timezone.synced", {"timezone": None}, {"timezone": "Asia/Makassar"},
    )  # fmt: skip
    assert (the(fleet).row.timezone, the(fleet).row.clock_offset_s, the(fleet).row.ntp) == ("Asia/Makassar", 0.25, True)
    view = zone_view(the(fleet))
    assert (view["in_step"], view["restart"], view["sync_status"], view["guess"]) == (True, ["cron"], "active", None)


def test_a_repeat_changes_nothing_and_news_about_the_same_attempt_is_no_event() -> None:
    fleet = fleet_of()
    assert event_of(hears(fleet, report(restart=["cron"])))
    assert hears(fleet, report(restart=["cron"])) == []
    assert without_event(hears(fleet, report(restart=[])))
    assert zone_view(the(fleet))["restart"] == []


def test_a_clock_that_was_put_right_is_news_without_another_attempt() -> None:
    fleet = fleet_of()
    hears(fleet, report(clock_offset=-1.7e9, ntp=False))
    assert hears(fleet, report(clock_offset=-1.7e9 + 0.4, ntp=False)) == []
    assert without_event(hears(fleet, report(clock_offset=0.2, ntp=True)))
    assert (the(fleet).row.clock_offset_s, the(fleet).row.ntp) == (0.2, True)
    assert hears(fleet, report(clock_offset=0.7, ntp=True)) == []


def test_an_automatic_attempt_that_found_the_same_is_recorded_without_an_event() -> None:
    fleet = fleet_of()
    hears(fleet, report())
    assert attempt(without_event(hears(fleet, report(at="2026-11-23T09:00:00Z"))))
    assert event_of(hears(fleet, report(at="2026-11-23T09:00:01Z", sync_method="manual")))
    assert event_of(hears(fleet, report(at="2026-11-23T09:00:02Z"), actor="user:3"))
    assert event_of(hears(fleet, report("Asia/Jayapura", at="2026-11-23T09:00:03Z"))).before == {
        "timezone": "Asia/Jakarta"
    }


@pytest.mark.parametrize("method", ["automatic", "manual"])
def test_a_report_older_than_the_newest_is_recorded_and_makes_nothing_true(method: str) -> None:
    fleet = fleet_of()
    hears(fleet, report("Asia/Jayapura", clock_offset=0.5))
    before = zone_view(the(fleet))
    old = report("Europe/London", at="2026-11-01T00:00:00", sync_method=method, clock_offset=9.0)
    (change,) = changes = hears(fleet, old)
    assert (attempt(changes).timezone, attempt(changes).previous_timezone) == ("Europe/London", None)
    assert isinstance(change, Put)
    assert change.once
    assert zone_view(the(fleet)) == before
    assert the(fleet).row.timezone == "Asia/Jayapura"


def test_what_the_hello_declared_already_is_not_where_it_came_from() -> None:
    fleet = fleet_of()
    hears(fleet, report())
    the(fleet).row = msgspec.structs.replace(the(fleet).row, timezone="Asia/Jayapura")
    event = event_of(hears(fleet, report("Asia/Jayapura", at="2026-11-23T09:00:00Z")))
    assert (event.before, event.after) == ({"timezone": "Asia/Jakarta"}, {"timezone": "Asia/Jayapura"})


def test_a_zone_that_could_not_be_set_leaves_the_clock_in_its_own() -> None:
    fleet = fleet_of(timezone="Asia/Jakarta")
    said = report("Asia/Makassar", applied=False, error=NOT_PERMITTED, system_timezone="Etc/UTC")
    event = event_of(hears(fleet, said))
    assert (event.code, event.params["error"], event.params["timezone"]) == (
        "timezone.failed", "not_permitted", "Asia/Makassar",
    )  # fmt: skip
    assert the(fleet).row.timezone == "Etc/UTC", "what the machine's clock shows is what its naive timestamps mean"
    view = zone_view(the(fleet))
    assert (view["sync_status"], view["in_step"], view["error"]["timezone"]) == ("failed", False, "Asia/Makassar")
    again = report("Asia/Makassar", at="2026-11-23T09:00:00Z", applied=False, error=NOT_PERMITTED,
                   system_timezone="Etc/UTC")  # fmt: skip
    assert without_event(hears(fleet, again)), "the same failure again is no event"


def test_a_pinned_zone_is_never_overridden_by_a_guess_that_is_kept() -> None:
    fleet = fleet_of({"pinned_timezone": "Asia/Jakarta"})
    event = event_of(hears(fleet, report("Asia/Makassar", source="lookup")))
    assert (event.after, event.params["guess"]) == ({"timezone": "Asia/Jakarta"}, "Asia/Makassar")
    assert zone_view(the(fleet))["guess"] == "Asia/Makassar"
    assert the(fleet).row.timezone == "Asia/Jakarta"
    hears(fleet, report("Asia/Jakarta", at="2026-11-23T09:00:00Z", source="pinned", guess="Asia/Jayapura"))
    assert zone_view(the(fleet))["guess"] == "Asia/Jayapura"
    hears(fleet, report("Asia/Jakarta", at="2026-11-23T09:00:01Z", source="pinned", guess="Asia/Jakarta"))
    assert zone_view(the(fleet))["guess"] is None


@pytest.mark.parametrize(
    "hostile",
    ["Asia/../../etc", "; reboot", "/etc/passwd", "asia/jakarta", "Asia/Jakarta ", "", "\x1b[2J", "A" * 10_000_000],
)
@pytest.mark.parametrize("member", ["timezone", "guess"])
def test_a_hostile_zone_is_refused_by_its_field(hostile: str, member: str) -> None:
    said = report(hostile) if member == "timezone" else report(guess=hostile)
    with pytest.raises(ReportRefused) as caught:
        reported(machine(), said, "machine:7", NOW, "Asia/Jakarta")
    assert caught.value.field == member


def test_a_system_zone_nobody_knows_is_left_out_and_an_impossible_time_refused() -> None:
    said = report(system_timezone="Mars/Phobos", ip="1" * 65)
    changes = reported(machine(), said, "machine:7", NOW, "Asia/Jakarta")
    (zone,) = put_rows(changes, ZoneRow)
    assert (zone.system_timezone, attempt(changes).ip_address) == (None, None)
    with pytest.raises(ReportRefused) as caught:
        reported(machine(), report(at="yesterday"), "machine:7", NOW, "Asia/Jakarta")
    assert caught.value.field == "timestamp"


def test_a_naive_time_is_read_in_the_machines_zone_and_else_in_the_reported_one() -> None:
    for known, hour in ((None, 0), ("Asia/Jakarta", 1)):
        one = machine(timezone=known)
        changes = reported(one, report("Asia/Makassar", at="2026-11-23T08:00:00"), "machine:7", NOW, "UTC")
        assert attempt(changes).sync_timestamp.hour == hour


def test_a_machine_that_boots_in_1970_says_the_same_report_once() -> None:
    fleet, later = fleet_of(), NOW.replace(hour=11)
    assert event_of(hears(fleet, report(at="1970-01-01T00:00:07Z")))
    zone = the(fleet).zone
    assert zone is not None
    assert zone.last_sync == NOW
    assert reported(the(fleet), report(at="1970-01-01T00:00:07Z"), "machine:7", later, "UTC") == []
    assert without_event(reported(the(fleet), report(at="1970-01-01T01:00:07Z"), "machine:7", later, "UTC"))


def test_a_row_is_the_machines_zone_and_only_what_was_reported_of_its_clock() -> None:
    fleet = fleet_of()
    patch = next(patches(hears(fleet, report(clock_offset=0.5, ntp=True)), MachineRow))
    assert patch.values == {"timezone": "Asia/Jakarta", "clock_offset_s": 0.5, "ntp": True, "updated_at": NOW}
    patch = next(patches(hears(fleet, report("Asia/Makassar", at="2026-11-23T08:59:01Z")), MachineRow))
    assert patch.values == {"timezone": "Asia/Makassar", "updated_at": NOW}
    assert (the(fleet).row.timezone, the(fleet).row.clock_offset_s, the(fleet).row.ntp) == ("Asia/Makassar", 0.5, True)


def test_a_zone_of_a_device_that_has_another_name_by_now_is_nobodys() -> None:
    assert (
        fleet_of().apply(Put(ZoneRow(device_id="gone", current_timezone="UTC", created_at=NOW, updated_at=NOW))) is None
    )


def test_the_same_attempt_is_the_same_event_however_often_the_hub_restarts() -> None:
    first, second = (event_of(reported(machine(), report(), "machine:7", NOW, "UTC")) for _ in range(2))
    assert (first.boot_id, first.seq) == (second.boot_id, second.seq) == (
        f"{OWN}timezone.automatic", 1795424340000000,
    )  # fmt: skip


def test_whether_people_may_ask_is_among_the_settings() -> None:
    assert may_sync_by_hand(the(fleet_of()))
    assert not may_sync_by_hand(the(fleet_of({"manual_sync_enabled": False})))


def test_a_machine_that_never_declared_anything_is_not_made_up() -> None:
    view = zone_view(machine())
    unknown = {k for k, v in view.items() if v is None}
    assert unknown == set(view) - {"device_id", "restart"}


def test_since_when_a_zone_is_wrong_outlives_each_report_of_the_same() -> None:
    fleet, later = fleet_of(settings={"pinned_timezone": "Asia/Makassar"}), NOW.replace(hour=11)
    seen = []
    for at, system, now in (
        ("2026-11-23T08:00:00Z", "Asia/Jakarta", NOW),
        ("2026-11-23T09:30:00Z", "Asia/Jakarta", later),
        ("2026-11-23T10:00:00Z", "Asia/Makassar", later),
    ):
        said = report("Asia/Makassar", at=at, system_timezone=system, source="pinned")
        for change in reported(the(fleet), said, "machine:7", now, "UTC"):
            fleet.apply(change)
        seen.append(the(fleet).zone_wrong_since)
    assert seen == [NOW, NOW, None]


@pytest.mark.parametrize(
    ("stamp_s", "offset", "of_row", "found_s"),
    [
        (-7200, -7200.0, None, 0),
        (-7200, None, -7200.0, 0),
        (-7200, -7100.0, None, -100),
        (-7200, 0.0, -7200.0, -7200),
        (-7200, None, None, -7200),
        (300, 300.0, None, 0),
        (0, 86400.0, None, 0),
        (-60, -3600.0, None, 0),
    ],
    ids=[
        "its clock is behind", "as its hello had it", "a report that waited for a link", "put right since",
        "nobody knows", "ahead", "dated by the hub", "never after it came",
    ],
)  # fmt: skip
def test_when_it_looked_is_of_the_hubs_clock(
    stamp_s: float, offset: float | None, of_row: float | None, found_s: float
) -> None:
    row = ZoneSyncRow(
        device_id="seven", timezone="Asia/Jakarta", sync_method="automatic", clock_offset_s=offset,
        sync_timestamp=NOW + timedelta(seconds=stamp_s), created_at=NOW,
    )  # fmt: skip
    assert checked_at(row, of_row) == NOW + timedelta(seconds=found_s)
