"""Which addresses are taken, what is sent when, and what becomes of what failed: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from db.notification_records import DestinationRow, NotificationRow
from hub.model.changes import Change, Drop, Patch, put_rows
from hub.notifications import rules
from hub.notifications.rules import AskedAccess, Lost, SendOutcome, Situation, Trouble, WatchedMachine

NOW = datetime(2026, 11, 30, 7, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
MACHINES = {
    number: WatchedMachine(f"RVM-{number:03}", f"dev-{number}", "Mall" if number < 5 else "Port", frozenset({"north"}))
    for number in range(1, 9)
}


def destination(**values: Any) -> DestinationRow:
    known: dict[str, Any] = {
        "id": 1, "name": "Operators", "place": "tgram://…", "address": "sealed", "language": "en",
        "timezone": "Asia/Jakarta", "after_s": 120, "per_hour": 20, "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    return DestinationRow(**{**known, **values})


def there(*troubles: Trouble, outages: Iterable[Lost] = (), asked: Iterable[AskedAccess] = ()) -> Situation:
    return Situation(troubles, tuple(outages), tuple(asked), MACHINES)


def trouble(rvm_id: int = 1, cause: str = "error", minutes: float = 5, **more: Any) -> Trouble:
    return Trouble(f"{rvm_id}-{cause}", rvm_id, cause, None, NOW - minutes * MINUTE, **{"noticed": NOW, **more})


def new(changes: Iterable[Change]) -> list[tuple[str, str]]:
    return [(row.kind, row.key) for row in put_rows(changes, NotificationRow)]


def stored_row(to: DestinationRow, found: Situation, **values: Any) -> NotificationRow:
    """The one row that is decided, as the database has it."""
    (row,) = put_rows(rules.decide(to, (), found, NOW), NotificationRow)
    return replace(row, id=1, **values)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("tgram://123456:secret/-100123", "tgram://…"),
        ("tgram://123456:secret/-100123?silent=yes", "tgram://…"),
        ("mailtos://budi:secret@example.com?to=ops@example.com&from=hub@example.com", "mailtos://example.com"),
        ("mailto://example.com:2525/?to=a@example.com", "mailto://example.com:2525"),
        ("ntfys://user:secret@ntfy.example.com/topic", "ntfys://ntfy.example.com"),
        ("ntfy://secret-topic", "ntfy://ntfy.sh"),
        ("json://u:secret@[fd00::1]:8080/path?+X-Key=secret", "json://[fd00::1]:8080"),
        ("discord://id/token", "discord://…"), ("signal://example.com:8080/+1555/@group", "signal://example.com:8080"),
    ],
)  # fmt: skip
def test_what_of_an_address_is_shown(address: str, place: str) -> None:
    assert rules.place_of(address) == place
    assert "secret" not in place


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("file:///etc/passwd", "shape"), ("", "shape"), ("hello", "shape"), ("json://", "shape"),
        ("json://a b/", "shape"), ("json://host/#x", "shape"), ("json://host\\@evil/", "shape"),
        ("mailto://bob:sec/ret@example.com", "shape"), ("json://bob:12/34@example.com/path", "shape"),
        ("json://host/\x00", "shape"), ("json://" + "a" * 2000, "shape"), ("jsön://host", "shape"),
        ("syslog://localhost", "service"), ("dbus://", "shape"), ("dbus://x", "service"), ("macosx://x", "service"),
        ("exec://x", "service"), ("script://x", "service"), ("windows://x", "service"), ("xml://host", "service"),
        ("tgrams://1:a/2", "service"), ("slacks://a/b/c", "service"), ("http://host/", "service"),
        ("jsons://host/?verify=no", "parameter"), ("jsons://host/?VERIFY=no", "parameter"),
        ("jsons://host/?%76erify=no", "parameter"), ("jsons://host/?a=1;verify=no", "parameter"),
        ("tgram://1:a/2?template=/etc/passwd", "parameter"), ("mailto://a@b.c?pgppub=/etc/passwd", "parameter"),
        ("json://host/?redirect=yes", "parameter"), ("json://host/?:Image=x", "parameter"),
        ("json://host/?retry=5", "parameter"), ("json://host/?a?verify=no", "parameter"),
        ("json://host/?method=GET", "parameter"), ("ntfy://host/t?attach=file:///etc/passwd", "parameter"),
    ],
)  # fmt: skip
def test_an_address_that_could_do_more_than_send_is_refused(address: str, code: str) -> None:
    with pytest.raises(rules.AddressError) as refused:
        rules.place_of(address)
    assert refused.value.code == code


def test_trouble_is_sent_when_it_lasts() -> None:
    to = destination()
    assert new(rules.decide(to, (), there(trouble(minutes=1)), NOW)) == []
    assert new(rules.decide(to, (), there(trouble(minutes=2)), NOW)) == [("began", "began 1-error")]
    row = stored_row(to, there(trouble()))
    assert rules.decide(to, (row,), there(trouble()), NOW) == [], "once"
    assert row.params["machine"] == "RVM-001"
    assert rules.decide(to, (), there(trouble(noticed=NOW - MINUTE)), NOW) == [], "it stood before the destination"


@pytest.mark.parametrize("unwanted", [{"snoozed": True}, {"owner": "Budi"}])
def test_nothing_is_sent_for_what_is_snoozed_or_taken(unwanted: dict[str, Any]) -> None:
    to = destination()
    assert rules.decide(to, (), there(trouble(**unwanted)), NOW) == []
    waits = stored_row(to, there(trouble()))
    (dropped,) = rules.decide(to, (waits,), there(trouble(**unwanted)), NOW)
    assert isinstance(dropped, Drop), "decided anew when the snooze is over"
    assert new(rules.decide(to, (), there(trouble()), NOW)) == [("began", "began 1-error")]


def test_which_machines_and_which_kinds() -> None:
    found = there(trouble(1), trouble(6, "hot"), trouble(7, "backup_late"))
    assert [key for _, key in new(rules.decide(destination(sites=("Port",)), (), found, NOW))] == [
        "began 6-hot", "began 7-backup_late",
    ]  # fmt: skip
    assert new(rules.decide(destination(tags=("south",)), (), found, NOW)) == []
    assert len(new(rules.decide(destination(tags=("north",), sites=("Port",)), (), found, NOW))) == 3
    assert new(rules.decide(destination(kinds=("health",)), (), found, NOW)) == [("began", "began 6-hot")]
    assert new(rules.decide(destination(disabled_at=NOW), (), found, NOW)) == []


def test_many_machines_are_one_message_at_once() -> None:
    lost = Lost((1, 2, 3), 4, "Mall", NOW - MINUTE / 2)
    away = [trouble(number, "offline", 0.5) for number in (1, 2, 3)]
    to, found = destination(), there(*away, trouble(4, "offline"), outages=[lost])
    assert new(rules.decide(to, (), there(*away, outages=[lost._replace(since=NOW)]), NOW)) == [], "it still grows"
    made = new(rules.decide(to, (), found, NOW))
    assert [kind for kind, _ in made] == ["outage", "began"]
    assert made[1] == ("began", "began 4-offline"), "it went by itself"
    row = stored_row(to, there(*away, outages=[lost]), state="sent", sent_at=NOW)
    later = NOW + 10 * MINUTE
    # The first is back, and the others are no outage any more: they were told of.
    assert rules.decide(to, (row,), there(*away[1:]), later) == []
    grown = Lost((2, 3, 5), 8, "", NOW)
    assert rules.decide(to, (row,), there(*away[1:], trouble(5, "offline"), outages=[grown]), later) == []
    assert new(rules.decide(to, (row,), there(), later)) == [("over", f"over {row.key}")]


def test_who_asks_for_access_is_sent_at_once() -> None:
    asked = AskedAccess(7, 2, "Budi", "camera is dark", NOW)
    to = destination()
    row = stored_row(to, there(asked=[asked]), state="sent")
    assert (row.kind, row.rvm_id, row.params["who"]) == ("approval", 2, "Budi")
    assert rules.decide(to, (row,), there(asked=[asked]), NOW) == []
    (closed,) = rules.decide(to, (row,), there(), NOW)
    assert isinstance(closed, Patch), "its end is no message"
    assert closed.values == {"open": False}
    assert rules.decide(destination(kinds=("away",)), (), there(asked=[asked]), NOW) == []


def test_the_end_is_sent_when_the_beginning_was() -> None:
    to = destination()
    row = stored_row(to, there(trouble(cause="offline")), state="sent", sent_at=NOW)
    changes = rules.decide(to, (row,), there(), NOW + 12 * MINUTE)
    (over,) = put_rows(changes, NotificationRow)
    assert (over.kind, over.open, over.params["of"]) == ("over", False, "began")
    assert over.params["until"] - over.params["since"] == 17 * 60_000
    assert new(rules.decide(replace(to, also_over=False), (row,), there(), NOW)) == []
    waits = replace(row, state="waiting", sent_at=None)
    (dropped,) = rules.decide(to, (waits,), there(), NOW)
    assert isinstance(dropped, Patch)
    assert dropped.values["state"] == "dropped"
    assert rules.decide(to, (replace(row, state="sending"),), there(), NOW) == [], "it may arrive yet"
    assert new(rules.decide(to, (replace(row, state="given_up"),), there(), NOW)) == [], "nobody knows of its beginning"


@pytest.mark.parametrize(
    "changed", [{"tags": ("south",)}, {"sites": ("Port",)}, {"kinds": ("health",)}], ids=["tags", "sites", "kinds"]
)
def test_what_a_destination_no_longer_wants_is_not_called_over(changed: dict[str, Any]) -> None:
    to, cause = destination(), trouble(cause="offline")
    row = stored_row(to, there(cause), state="sent", sent_at=NOW)
    other = replace(to, **changed)
    assert rules.decide(other, (row,), there(cause), NOW) == [], "it goes on"
    assert [kind for kind, _ in new(rules.decide(other, (row,), there(), NOW))] == ["over"], "who was told is told"
    lost = Lost((1, 2, 3), 4, "Mall", NOW - MINUTE)
    row = stored_row(to, there(outages=[lost]), state="sent", sent_at=NOW)
    assert rules.decide(other, (row,), there(outages=[lost]), NOW) == []
    waits = replace(row, state="waiting", sent_at=None)
    (dropped,) = rules.decide(other, (waits,), there(outages=[lost]), NOW)
    assert isinstance(dropped, Patch)
    assert dropped.values["state"] == "dropped"


@pytest.mark.parametrize("cause", ["offline", "shutdown", "outage"])
def test_recovery_is_notified_only_of_a_connected_machine(cause: str) -> None:
    to, lost = destination(), Lost((1, 2), 4, "Mall", NOW - MINUTE)
    began = there(outages=[lost]) if cause == "outage" else there(trouble(cause=cause))
    row = stored_row(to, began, state="sent", sent_at=NOW)
    removed = there()._replace(machines={})
    out_of_service = there()._replace(machines={1: MACHINES[1]._replace(connected=False)})
    for found in (removed, out_of_service):
        (closed,) = rules.decide(to, (row,), found, NOW)
        assert isinstance(closed, Patch)
        assert closed.values == {"open": False}
    assert [kind for kind, _ in new(rules.decide(to, (row,), there(), NOW))] == ["over"]
    error = stored_row(to, there(trouble(cause="error")), state="sent", sent_at=NOW)
    assert new(rules.decide(to, (error,), removed, NOW)) == []
    assert len(new(rules.decide(to, (error,), out_of_service, NOW))) == 1


def test_a_clock_that_was_ahead_silences_nobody() -> None:
    ahead = NOW + timedelta(days=3650)
    to = destination(created_at=ahead, per_hour=1, remind_h=1)
    found = there(trouble(noticed=ahead))
    row = replace(stored_row(to, found), id=1)
    from_ahead = trouble(2, noticed=ahead)._replace(since=ahead)
    assert len(new(rules.decide(to, (), there(from_ahead), NOW))) == 1
    assert rules.next_step(to, [row], [("began", ahead), ("summary", ahead)], NOW) == rules.NextMessage(row)
    stuck = replace(row, next_at=ahead)
    assert rules.next_step(to, [stuck], (), NOW) == rules.NextMessage(stuck)
    sent = replace(row, state="sent", sent_at=ahead)
    assert [kind for kind, _ in new(rules.decide(to, (sent,), found, NOW))] == ["reminder"]
    (late,) = rules.decide(to, (replace(row, created_at=ahead),), found, NOW)
    assert isinstance(late, Patch)
    assert late.values["state"] == "given_up"


def test_a_reminder_until_somebody_is_on_it() -> None:
    to = destination(remind_h=4)
    row = stored_row(to, there(trouble()), state="sent", sent_at=NOW)
    later = NOW + timedelta(hours=4)
    assert rules.decide(to, (row,), there(trouble()), later - MINUTE) == []
    changes = rules.decide(to, (row,), there(trouble()), later)
    assert [kind for kind, _ in new(changes)] == ["reminder"]
    assert rules.decide(to, (row,), there(trouble(owner="Budi")), later) == []
    assert rules.decide(to, (row,), there(trouble(snoozed=True)), later) == []
    assert rules.decide(to, (replace(row, reminded_at=later),), there(trouble()), later + MINUTE) == []


def waiting(count: int, **values: Any) -> list[NotificationRow]:
    row = stored_row(destination(), there(trouble()))
    return [replace(row, id=number, key=f"k{number}", **values) for number in range(1, count + 1)]


def test_no_more_than_so_many_an_hour_then_summaries() -> None:
    to, rows = destination(per_hour=3), waiting(5)
    sent = [("began", NOW - MINUTE)] * 2
    assert rules.next_step(to, rows, sent, NOW) == rules.NextMessage(rows[0])
    sent.append(("began", NOW))
    step = rules.next_step(to, rows, sent, NOW)
    assert step == rules.NextMessage(None, tuple(rows))
    made = rules.summary(to, rows, NOW)
    (row,) = put_rows(made, NotificationRow)
    assert (row.kind, row.params["n"], row.params["machines"]) == ("summary", 5, ["RVM-001"])
    assert sum(isinstance(change, Patch) and change.values["state"] == "dropped" for change in made) == 5
    row = replace(row, id=9)
    assert rules.next_step(to, [row], sent, NOW) == rules.NextMessage(row), "a summary is one more than so many"
    sent.append(("summary", NOW))
    assert rules.next_step(to, rows, sent, NOW + 14 * MINUTE) is None
    assert rules.next_step(to, rows, sent, NOW + 15 * MINUTE) == rules.NextMessage(None, tuple(rows))
    assert rules.next_step(to, rows, sent, NOW + 61 * MINUTE) == rules.NextMessage(rows[0])


def test_quiet_hours_hold_back_what_can_wait() -> None:
    to = destination(quiet_from=22 * 60, quiet_to=6 * 60)
    night = datetime(2026, 11, 30, 16, 0, tzinfo=timezone.utc)  # 23:00 WIB
    rows = waiting(1, created_at=night, next_at=night)
    assert rules.next_step(to, rows, (), night) is None
    urgent = [replace(rows[0], kind="outage")]
    assert rules.next_step(to, [*rows, *urgent], (), night) == rules.NextMessage(urgent[0])
    assert rules.next_step(to, rows, (), night + timedelta(hours=7)) == rules.NextMessage(rows[0])
    assert rules.next_step(replace(to, timezone="UTC"), rows, (), night) == rules.NextMessage(rows[0])
    assert rules.is_quiet(destination(quiet_from=60, quiet_to=120), datetime(2026, 11, 29, 18, 30, tzinfo=timezone.utc))


def test_a_summary_of_what_cannot_wait_does_not_wait() -> None:
    to = destination(quiet_from=22 * 60, quiet_to=6 * 60, per_hour=1)
    night = datetime(2026, 11, 30, 16, 0, tzinfo=timezone.utc)  # 23:00 WIB
    (began,) = waiting(1, created_at=night, next_at=night)
    outage = replace(began, kind="outage", params={"ids": [1]})
    step = rules.next_step(to, [began, outage], [("approval", night)], night)
    assert step == rules.NextMessage(None, (outage,))
    (made,) = put_rows(rules.summary(to, (outage,), night), NotificationRow)
    assert rules.next_step(to, [made], [("approval", night)], night) == rules.NextMessage(made)
    (can_wait,) = put_rows(rules.summary(to, (began,), night), NotificationRow)
    assert rules.next_step(to, [can_wait], (), night) is None


def test_what_failed_is_tried_again_and_given_up() -> None:
    to, (row,) = destination(), waiting(1)
    begun = rules.begins(row)
    assert isinstance(begun, Patch)
    assert begun.values == {"state": "sending", "attempts": 1}
    pauses = [rules.pause(n, SendOutcome("timeout")).total_seconds() for n in range(1, 10)]
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert rules.pause(1, SendOutcome("http", 429, 300.0)).total_seconds() == 300
    assert rules.pause(1, SendOutcome("http", 429, 1e9)).total_seconds() == 3600
    again, failing = rules.settled(to, row, SendOutcome("http", 500), NOW)
    assert isinstance(again, Patch)
    assert isinstance(failing, Patch)
    assert (again.values["state"], failing.values["failing_since"]) == ("waiting", NOW)
    assert rules.next_step(to, [replace(row, next_at=again.values["next_at"])], (), NOW) is None
    for attempts, code in ((9, "timeout"), (2, "address")):
        last, _ = rules.settled(to, replace(row, attempts=attempts), SendOutcome(code), NOW)
        assert isinstance(last, Patch)
        assert last.values["state"] == "given_up"
    done, fine = rules.settled(replace(to, failing_since=NOW), row, SendOutcome(""), NOW)
    assert isinstance(done, Patch)
    assert isinstance(fine, Patch)
    assert (done.values["state"], fine.values["failing_since"]) == ("sent", None)


def test_what_waits_is_bounded_and_has_an_end() -> None:
    to = destination()
    rows = waiting(rules.MOST_WAITING, open=False)
    assert rules.decide(to, rows, there(trouble(2)), NOW) == [], "it is looked at again when there is room"
    assert len(new(rules.decide(to, rows[1:], there(trouble(2), trouble(3)), NOW))) == 1
    (late,) = rules.decide(to, rows[:1], there(), NOW + timedelta(hours=24))
    assert isinstance(late, Patch)
    assert late.values["state"] == "given_up"
