"""What a machine's message means: rows with their numbers, and Changes that only concern that machine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from db.records import BootRow, MachineRow, StatusRow
from hub.links import rules
from hub.model.changes import EventHappened, Observed, Patch, Put, patches, put_rows
from hub.model.effective_settings import DesiredSettings, effective_of
from hub.model.machine import Boot, Machine
from protocol import messages as m
from protocol.configuration import defaults
from protocol.errors import CloseCode, RemoteProtocolError
from tests.support.machines import NOW, hello, machine, metrics, sample


@pytest.mark.parametrize(
    ("hardware", "news"),
    [
        ({"model": "x", "hub_tls": {"mode": "pinned", "authorities": ["a"]}}, True),
        ({"hub_tls": {"mode": "pinned"}}, True), ({"hub_tls": {"mode": "pinned", "authorities": ["a", "b"]}}, False),
        ({"hub_tls": {"mode": "public"}}, False), ({"hub_tls": "pinned"}, False), ({}, False), (None, False),
    ],
)  # fmt: skip
def test_what_a_machine_pins_is_known_at_once(hardware: dict[str, Any] | None, news: bool) -> None:
    report = m.TrustReport(authorities=["a", "b"], until="2036-01-01T00:00:00Z")
    changes = rules.report_trust(machine(hardware=hardware), report, NOW)
    assert bool(changes) == news
    for patch in patches(changes, MachineRow):
        assert patch.values["hardware"] == {
            **(hardware or {}),
            "hub_tls": {"mode": "pinned", "authorities": ["a", "b"], "authority_until": "2036-01-01T00:00:00Z"},
        }


def boot(accepted: int = -1) -> Boot:
    return Boot("boot-a", 31, accepted)


@pytest.mark.parametrize(
    ("accepted", "seq", "count", "numbers"),
    [
        (-1, 0, 1, [0]), (-1, 4, 5, [0, 1, 2, 3, 4]), (4, 5, 1, [5]), (4, 4, 1, []), (4, 4, 5, []), (4, 6, 5, [5, 6]),
        (4, 9, 2, [8, 9]), (-1, 500, 500, list(range(1, 501))),
    ],
)  # fmt: skip
def test_sample_k_of_n_has_the_number_seq_minus_what_follows_it_and_repeats_are_left_out(
    accepted: int, seq: int, count: int, numbers: list[int]
) -> None:
    taken = rules.take_kept(machine(), boot(accepted), metrics(seq, count, cpu_usage=1.0), NOW, "UTC")
    assert [row.seq for row in taken.rows] == numbers


def test_more_samples_than_numbers_is_refused_by_naming_seq() -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        rules.take_kept(machine(), boot(), metrics(1, 3), NOW, "UTC")
    assert (refused.value.code, refused.value.field, refused.value.close) == ("invalid", "seq", None)


def test_a_row_holds_the_readings_in_column_order() -> None:
    readings: dict[str, Any] = {
        "cpu_usage": 1.0, "memory_usage": 2.0, "disk_usage": 3.0, "gpu_usage": 4.0, "temperature": 5.0,
        "network_rx_bytes_s": 6.0, "network_tx_bytes_s": 7.0, "uptime_s": 8.0, "power_w": 9.0, "throttled": True,
    }  # fmt: skip
    (row,) = rules.take_kept(machine(), boot(), metrics(3, 1, **readings), NOW, "UTC").rows
    assert (row.rvm_id, row.timestamp, row.boot, row.seq) == (7, NOW, 31, 3)
    assert {name: getattr(row, name) for name in readings} == readings
    assert (row.clamped, row.created_at) == (False, NOW)


def test_a_temperature_is_kept_with_two_decimals() -> None:
    taken = rules.take_kept(machine(), boot(), metrics(0, 1, temperature=44.1239), NOW, "UTC")
    assert taken.rows[0].temperature == 44.12


def test_a_sample_that_cannot_be_dated_is_left_out_named_and_its_neighbours_keep_their_numbers() -> None:
    frame = m.Metrics(seq=12, samples=[sample(), sample("long ago"), sample()])
    taken = rules.take_kept(machine(), boot(), frame, NOW, "UTC")
    assert [row.seq for row in taken.rows] == [10, 12]
    assert [fault.field for fault in taken.faults] == ["samples[1].timestamp"]
    assert "samples[1].timestamp" in rules.in_one_sentence(taken.faults)


def test_a_clock_ahead_is_clamped_and_flagged() -> None:
    ahead = (NOW + timedelta(days=1)).isoformat()
    (row,) = rules.take_kept(machine(), boot(), m.Metrics(seq=1, samples=[sample(ahead)]), NOW, "UTC").rows
    assert (row.timestamp, row.clamped) == (NOW, True)


def test_of_a_live_frame_only_the_newest_counts_and_nothing_is_stored() -> None:
    frame = m.Metrics(seq=9, samples=[sample(cpu_usage=1.0), sample(cpu_usage=2.0)], live=True)
    taken = rules.take_live(machine(), frame, NOW, "UTC")
    assert taken.rows == []
    assert taken.newest is not None
    assert taken.newest.cpu_usage == 2.0


def test_many_faults_are_counted_not_listed() -> None:
    faults = [RemoteProtocolError("invalid", "x", field=f"samples[{i}].cpu_usage") for i in range(50)]
    assert rules.in_one_sentence(faults).endswith("; and 45 more")


@pytest.mark.parametrize(
    ("said", "close"),
    [
        (hello(protocol=1), CloseCode.NO_COMMON_VERSION), (hello(protocol=3), CloseCode.NO_COMMON_VERSION),
        (hello("orin-8"), CloseCode.REVOKED),
    ],
)  # fmt: skip
def test_a_hello_of_another_version_or_for_another_machine_is_refused(said: m.Hello, close: CloseCode) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        rules.check_hello(machine(), said)
    assert refused.value.close == close


def introduced(one: Machine, said: m.Hello) -> tuple[dict[str, Any], list[str]]:
    first, boot, busy, *rest = rules.introduce(one, said, 4, "10.0.0.9", NOW, "Asia/Jakarta")
    assert isinstance(first, Patch)
    assert (first.of, first.key, first.where, first.must) == (
        MachineRow, 7, (("connection_epoch", "<=", 4),), "connection_epoch",
    )  # fmt: skip
    assert boot == Put(BootRow(rvm_id=7, boot_id=said.boot_id, last_used_at=NOW), over=("last_used_at",))
    assert busy == Observed(7, {"busy": False})
    return first.values, [c.code if isinstance(c, EventHappened) else type(c).__name__ for c in rest]


def test_a_hello_is_an_event_only_when_version_or_boot_are_new() -> None:
    known = machine(agent_version="0.1.0", boot_id="boot-a")
    assert introduced(known, hello())[1] == []
    assert introduced(known, hello(boot_id="boot-b"))[1] == ["machine.introduced"]
    assert introduced(known, hello(agent_version="0.2.0"))[1] == ["machine.introduced"]


def test_a_hello_reports_zone_clock_and_whether_it_is_simulated() -> None:
    facts, _ = introduced(
        machine(), hello(timezone="Asia/Makassar", time="2026-11-23T17:00:30", capabilities=["simulated"])
    )
    assert (facts["timezone"], facts["simulated"], facts["connection_epoch"], facts["last_ip"]) == (
        "Asia/Makassar",
        True,
        4,
        "10.0.0.9",
    )
    assert facts["clock_offset_s"] == 30.0


@pytest.mark.parametrize(
    ("clock", "offset"), [("1970-01-01T00:00:00Z", -1795424400.0), ("2026-11-24T09:00:00Z", 86400.0), ("?", None)]
)
def test_a_wrong_clock_is_reported_as_it_is(clock: str, offset: float | None) -> None:
    assert introduced(machine(), hello(time=clock))[0]["clock_offset_s"] == offset


def test_what_a_hello_does_not_report_stays_known() -> None:
    one = machine(hardware={"model": "Orin"}, simulated=True)
    facts, _ = introduced(one, hello(timezone="Mars/Phobos"))
    assert (facts["hardware"], facts["simulated"], facts["timezone"]) == ({"model": "Orin"}, True, None)


def test_the_status_of_a_hello_is_the_machines_own_declaration() -> None:
    assert introduced(machine(boot_id="boot-a", agent_version="0.1.0"), hello(status="full", capacity=97))[1] == [
        "Patch", "Put", "status.changed",
    ]  # fmt: skip
    same = machine(boot_id="boot-a", agent_version="0.1.0", status_reason="cleaning", status="maintenance")
    assert introduced(same, hello(status="maintenance"))[1] == [], (
        "the reason somebody gave is not wiped by a reconnect"
    )


def test_a_status_report_changes_the_status_by_the_machine_with_before_and_after() -> None:
    one = machine(status="active", capacity=10)
    report = m.StatusReport(status="full", capacity=98, reason="bin 2", seq=5)
    changes = rules.report_status(one, "boot-a", report, NOW)
    (row,), event = put_rows(changes, StatusRow), changes[-1]
    assert (row.status, row.capacity, row.by, row.reason) == ("full", 98, "machine:7", "bin 2")
    assert isinstance(event, EventHappened)
    assert event.before is not None
    assert event.after is not None
    assert (event.before["status"], event.after["status"]) == ("active", "full")
    assert (event.boot_id, event.seq) == ("boot-a", -6), "beside the numbers of events, never among them"


def test_declaring_what_is_known_changes_nothing() -> None:
    assert rules.report_status(machine(), "boot-a", m.StatusReport(status="active", seq=5), NOW) == []


def test_a_reported_event_keeps_its_own_time_and_number() -> None:
    report = m.Event(seq=5, code="door_open", params={"side": "left"}, timestamp="2026-11-23T08:30:00Z")
    (event,) = rules.report_event(machine(), "boot-a", report, NOW, "UTC")
    assert isinstance(event, EventHappened)
    assert (event.code, event.actor, event.boot_id, event.seq) == ("machine.event", "machine:7", "boot-a", 5)
    assert event.params == {"code": "door_open", "params": {"side": "left"}}
    assert event.at == NOW - timedelta(minutes=30)


def test_a_live_sample_that_cannot_be_dated_is_left_out_by_name() -> None:
    frame = m.Metrics(seq=0, samples=[sample(), sample("yesterday")], live=True)
    taken = rules.take_live(machine(), frame, NOW, "UTC")
    assert (taken.rows, taken.newest) == ([], None)
    assert [fault.field for fault in taken.faults] == ["samples[1].timestamp"]


def test_a_hello_with_the_settings_it_was_given_says_that_they_hold() -> None:
    one = machine(config_version=1, effective_settings=effective_of(defaults(), DesiredSettings({}, 2, NOW, "user:1")))
    changes = rules.introduce(one, hello(config_version=2), 3, None, NOW, "UTC")
    assert [p.values["config_version"] for p in patches(changes, MachineRow) if "config_applied_at" in p.values] == [2]


def test_a_machine_introduces_itself_by_its_name_or_its_number() -> None:
    for name in ("orin-7", "7"):
        rules.check_hello(machine(), hello(name))


def test_an_event_that_cannot_be_dated_happened_now() -> None:
    (told,) = rules.report_event(
        machine(), "boot-a", m.Event(seq=3, code="jam", params={}, timestamp="soon"), NOW, "UTC"
    )
    assert isinstance(told, EventHappened)
    assert (told.at, told.boot_id, told.seq) == (NOW, "boot-a", 3)


AGO = timedelta(minutes=1)
MONTH = timedelta(days=30)


@pytest.mark.parametrize(
    ("known_at", "known_of", "boot_id", "seq", "taken_at", "live", "shown"),
    [
        (None, (None, -1), "a", 5, NOW - MONTH, False, NOW - MONTH),
        (NOW - AGO, ("a", 5), "a", 6, NOW, False, NOW),
        # A spool that is drained, beside what was said live or by a later boot.
        (NOW - AGO, ("a", 9), "a", 9, NOW - 2 * AGO, False, None),
        (NOW - AGO, ("b", 1), "a", 9, NOW - 2 * AGO, False, None),
        (NOW - AGO, (None, -1), None, -1, NOW - 2 * AGO, False, None),
        # A clock that was ahead and is put right; one that is set far back.
        (NOW + 4 * AGO, ("a", 5), "a", 6, NOW, False, NOW),
        (NOW + 4 * AGO, (None, -1), None, -1, NOW, False, NOW),
        (NOW - AGO, ("a", 5), "a", 6, NOW - 5 * AGO, False, NOW - 5 * AGO),
        (NOW - AGO, ("a", 5), "a", 6, NOW - MONTH, False, NOW),
        (NOW - AGO, ("a", 5), "a", 5, NOW - 2 * AGO, True, NOW - 2 * AGO),
    ],
)
def test_the_newest_readings_follow_the_number_where_the_clock_was_set_back(
    known_at: Any, known_of: Any, boot_id: Any, seq: int, taken_at: Any, live: bool, shown: Any
) -> None:
    one = machine(readings_at=known_at, readings_of=known_of)
    assert rules.newest_at(one, boot_id, seq, taken_at, NOW, live=live) == shown


def test_a_live_sample_is_of_now_however_far_behind_the_clock_is() -> None:
    for behind, at in ((MONTH, NOW), (5 * AGO, NOW - 5 * AGO)):
        frame = m.Metrics(seq=1, samples=[sample((NOW - behind).isoformat(), cpu_usage=1.0)], live=True)
        assert rules.take_live(machine(), frame, NOW, "UTC").newest_at == at


@pytest.mark.parametrize("stamp", ["2026-06-30T23:59:60Z", "2026-07-01t00:00:00z", "2026-07-01T06:59:60+07:00"])
def test_a_leap_second_and_small_letters_are_kept(stamp: str) -> None:
    taken = rules.take_kept(machine(), boot(), m.Metrics(seq=1, samples=[sample(stamp, cpu_usage=1.0)]), NOW, "UTC")
    assert [row.timestamp.isoformat() for row in taken.rows] == ["2026-07-01T00:00:00+00:00"]


@pytest.mark.parametrize(
    ("seen_s", "silent_s", "bye", "contact_s"),
    [
        (None, 5.0, None, 55.0), (20.0, 5.0, None, 55.0), (58.0, 5.0, None, 58.0), (99.0, 5.0, None, 60.0),
        (20.0, 5.0, "shutdown", 20.0), (99.0, 5.0, "shutdown", 60.0), (None, 5.0, "shutdown", 55.0),
    ],
)  # fmt: skip
def test_the_last_contact_of_a_link_is_its_bye_or_last_message_or_an_answer_after_that(
    seen_s: float | None, silent_s: float, bye: str | None, contact_s: float
) -> None:
    one = machine(last_seen_at=None if seen_s is None else NOW + timedelta(seconds=seen_s))
    contact = rules.last_contact(one, silent_s, NOW + timedelta(seconds=60), bye)
    assert contact == NOW + timedelta(seconds=contact_s)
