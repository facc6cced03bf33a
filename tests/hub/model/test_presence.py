"""The rules of the connection, as a table of what happened and what is seen then. Time is an argument."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from hub.model import presence
from hub.model.machine import Machine
from tests.support.machines import NOW, machine


def linked(interval: float, at: float = 1000.0) -> Machine:
    one = machine(last_seen_at=NOW)
    presence.linked(one, interval, at)
    one.connection = "live"
    return one


@pytest.mark.parametrize(
    ("interval", "age", "seen"),
    [
        (1.0, 0.0, "live"), (1.0, 5.0, "live"), (1.0, 5.1, "late"), (1.0, 30.0, "late"), (1.0, 30.1, "offline"),
        (5.0, 12.5, "live"), (5.0, 12.6, "late"), (5.0, 30.0, "late"), (5.0, 30.1, "offline"),
        (300.0, 750.0, "live"), (300.0, 750.1, "late"), (300.0, 1800.0, "late"), (300.0, 1800.1, "offline"),
    ],
)  # fmt: skip
def test_the_age_of_the_last_frame_decides_while_the_socket_is_open(interval: float, age: float, seen: str) -> None:
    assert presence.judge(linked(interval), 1000.0 + age).connection == seen


def test_the_verdict_says_when_it_may_change_by_itself() -> None:
    one = linked(1.0)
    verdict = presence.judge(one, 1000.0)
    assert verdict == presence.Verdict("live", None, 1005.0)
    assert presence.judge(one, 1006.0).due == 1030.0
    assert presence.judge(one, 1031.0).due == presence.FOREVER


def test_a_machine_without_any_hello_is_never() -> None:
    assert presence.judge(machine(), 1000.0).connection == "never"


def test_a_machine_that_only_uploads_is_judged_by_its_uploads_until_it_links() -> None:
    one = machine(last_seen_at=NOW)
    presence.uploaded(one, 3600.0, 1000.0)
    assert presence.judge(one, 1000.0 + 2.5 * 3600).connection == "live"
    assert presence.judge(one, 1001.0 + 2.5 * 3600).connection == "late"
    assert presence.judge(one, 1001.0 + 6 * 3600).connection == "offline"
    presence.linked(one, 5.0, 2000.0)
    assert presence.judge(one, 2013.0).connection == "late"


def test_a_machine_in_quarantine_is_offline_at_once_whatever_it_does() -> None:
    one = linked(1.0)
    one.row = msgspec.structs.replace(one.row, quarantined_until=NOW)
    held = presence.Verdict("offline", "quarantined", presence.FOREVER)
    assert presence.judge(one, 1000.0) == held
    one.connection, one.connection_reason = "offline", "quarantined"
    presence.unlinked(one, None, 1001.0)
    presence.uploaded(one, 60.0, 1002.0)
    assert presence.judge(one, 1002.0) == held
    one.row, one.uploads = msgspec.structs.replace(one.row, quarantined_until=None), False
    assert presence.judge(one, 1012.0) == presence.Verdict("offline", "lost", presence.FOREVER)


def test_a_hub_that_starts_knows_who_is_in_quarantine() -> None:
    one = machine(last_seen_at=NOW, quarantined_until=NOW)
    presence.after_start(one, True, 1.0, 1000.0)
    assert (one.connection, one.event_connection, one.connection_reason) == ("offline", "offline", "quarantined")


def test_an_upload_beside_a_link_changes_nothing() -> None:
    one = linked(5.0)
    presence.uploaded(one, 3600.0, 1000.0)
    assert presence.judge(one, 1020.0).connection == "late"


def test_a_closed_socket_keeps_its_look_for_ten_seconds_and_is_offline_then() -> None:
    one = linked(300.0)
    presence.unlinked(one, None, 1100.0)
    assert presence.judge(one, 1109.9).connection == "live"
    assert presence.judge(one, 1109.9).due == 1110.0
    assert presence.judge(one, 1110.0) == presence.Verdict("offline", "lost", presence.FOREVER)


def test_a_bye_is_offline_at_once_with_its_reason_and_hello_ends_it() -> None:
    one = linked(300.0)
    presence.unlinked(one, "reboot", 1100.0)
    assert presence.judge(one, 1100.0) == presence.Verdict("offline", "reboot", presence.FOREVER)
    presence.linked(one, 300.0, 1160.0)
    assert presence.judge(one, 1160.0).connection == "live"


def test_a_machine_that_sends_too_rarely_stays_late_until_its_frames_come_in_time() -> None:
    one = linked(5.0)
    seen = []
    for at in (1020.0, 1040.0, 1060.0, 1065.0):
        presence.received(one, at)
        seen.append(presence.judge(one, at).connection)
    assert seen == ["late", "late", "late", "live"]


def test_a_shorter_interval_counts_from_the_moment_it_was_asked_for() -> None:
    one = linked(300.0)
    presence.expect(one, 1.0, 1200.0)
    assert presence.judge(one, 1204.0).connection == "live"
    assert presence.judge(one, 1205.5).connection == "late"
    presence.received(one, 1204.0)
    assert presence.judge(one, 1204.0).connection == "live", "the wait for the first frame is not a gap"


def test_asking_for_the_same_interval_again_excuses_nothing() -> None:
    one = linked(1.0)
    presence.expect(one, 1.0, 1004.0)
    assert presence.judge(one, 1006.0).connection == "late"


@pytest.mark.parametrize(
    ("told", "now_is", "delay"),
    [
        ("live", "live", None), ("live", "late", 10.0), ("late", "live", 0.0), ("live", "offline", 0.0),
        ("offline", "live", 0.0), ("never", "live", 0.0), ("late", "offline", 0.0),
    ],
)  # fmt: skip
def test_only_what_lasts_is_reported(told: str, now_is: str, delay: float | None) -> None:
    one = machine(event_connection=told)
    assert presence.event_due(one, now_is, 1000.0) == (None if delay is None else 1000.0 + delay)


def test_after_a_start_of_the_hub_a_machine_that_was_there_is_last_known_and_then_quietly_offline() -> None:
    one = machine(last_seen_at=NOW)
    presence.after_start(one, True, 300.0, 1000.0)
    assert (one.connection, one.event_connection) == ("late", "live")
    assert presence.judge(one, 1000.0).connection == "late"
    assert presence.judge(one, 1014.9).connection == "late"
    assert presence.judge(one, 1015.0).connection == "offline"
    assert presence.event_due(one, "offline", 1015.0) == 1060.0, "no event before it had a minute to come back"
    presence.linked(one, 300.0, 1030.0)
    assert presence.judge(one, 1030.0).connection == "live"
    assert presence.event_due(one, "live", 1030.0) is None


@pytest.mark.parametrize(
    ("close_reason", "was_live", "seen"),
    [("shutdown", True, "offline"), (None, False, "offline"), (None, True, "late")],
)
def test_after_a_start_of_the_hub_what_was_offline_is_offline(
    close_reason: str | None, was_live: bool, seen: str
) -> None:
    one = machine(last_seen_at=NOW, close_reason=close_reason)
    presence.after_start(one, was_live, 300.0, 1000.0)
    assert one.connection == seen
    assert presence.judge(one, 1000.0).connection == seen
    assert presence.event_due(one, seen, 1000.0) is None or seen == "late"


def test_a_machine_that_was_never_seen_is_never_after_a_start() -> None:
    one = machine(connection="late")
    presence.after_start(one, True, 60.0, 1000.0)
    assert (one.connection, one.event_connection, one.connection_since) == ("never", "never", None)


@pytest.mark.parametrize(
    ("connection", "seen_s", "began_s"),
    [("offline", 40.0, 40.0), ("offline", 99.0, 60.0), ("offline", None, 60.0), ("live", 40.0, 60.0),
     ("late", 40.0, 60.0)],
)  # fmt: skip
def test_offline_counts_from_the_last_contact(connection: str, seen_s: float | None, began_s: float) -> None:
    one = machine(last_seen_at=None if seen_s is None else NOW + timedelta(seconds=seen_s))
    assert presence.began(one, connection, NOW + timedelta(seconds=60)) == NOW + timedelta(seconds=began_s)


SEEN = NOW + timedelta(seconds=9)


@pytest.mark.parametrize(
    ("row", "observed", "values"),
    [
        ({}, {"connection": "live"}, {}),
        ({"close_reason": "silent"}, {"connection": "live"}, {"close_reason": None}),
        ({"close_reason": "lost"}, {"connection": "late"}, {"close_reason": None}),
        ({}, {"connection": "offline", "connection_reason": "lost"}, {"last_seen_at": SEEN, "close_reason": "lost"}),
        ({"close_reason": "lost", "last_seen_at": SEEN}, {"connection": "offline", "connection_reason": "lost"}, {}),
        ({"close_reason": "reboot"}, {"connection": "offline", "connection_reason": "quarantined"},
         {"last_seen_at": SEEN}),
        ({}, {"connection": "offline", "connection_reason": "silent", "epoch": 8, "linked": True}, {}),
        # Its link ended before its hello was stored.
        ({}, {"connection": "offline", "connection_reason": "lost", "epoch": 8},
         {"last_seen_at": SEEN, "close_reason": "lost"}),
    ],
)  # fmt: skip
def test_what_a_later_life_of_the_hub_needs_is_stored_once(
    row: dict[str, Any], observed: dict[str, Any], values: dict[str, Any]
) -> None:
    one = machine(**{"last_seen_at": NOW, **row}, seen_at=SEEN, **observed)
    assert presence.unstored(one) == values


@pytest.mark.parametrize("reason", ["lost", "silent"])
def test_after_a_start_what_was_lost_or_silent_is_offline_as_before(reason: str) -> None:
    one = machine(last_seen_at=NOW, close_reason=reason)
    presence.after_start(one, False, 300.0, 1000.0)
    assert presence.judge(one, 1000.0) == presence.Verdict("offline", reason, presence.FOREVER)
    assert (one.connection, one.connection_since, one.connection_reason) == ("offline", NOW, reason)
    assert presence.event_due(one, "offline", 1000.0) is None
