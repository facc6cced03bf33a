"""Locks, sessions and password rules, with time as an argument."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from msgspec.structs import replace

from db.records import SessionRow, SignInFailureRow, SignInLinkRow, UserRow
from hub.model.changes import Drop, EventHappened, Patch, Put, patches, put_rows
from hub.people import rules

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def fail(before: SignInFailureRow | None, now: datetime) -> tuple[SignInFailureRow, EventHappened]:
    counted, (put, event) = rules.failed_sign_in(before, "a@b", now, address="1.2.3.4", email="a@b", user_id=9)
    assert isinstance(put, Put)
    assert put.row == counted
    assert isinstance(event, EventHappened)
    return counted, event


def test_the_fifth_failure_locks_for_thirty_minutes() -> None:
    record = None
    for n in range(1, 6):
        assert rules.locked_for(record, NOW) is None
        record, event = fail(record, NOW)
        assert event.code == ("sign_in.locked" if n == 5 else "sign_in.failed")
    assert rules.locked_for(record, NOW) == 1800
    assert rules.locked_for(record, NOW + 29 * MINUTE) == 60
    assert rules.locked_for(record, NOW + 30 * MINUTE) is None


def test_after_a_lock_counting_begins_anew() -> None:
    record = None
    for _ in range(5):
        record, _ = fail(record, NOW)
    record, _ = fail(record, NOW + 31 * MINUTE)
    assert record.failures == 1
    assert record.locked_until is None


def test_failures_far_apart_do_not_add_up() -> None:
    record, _ = fail(None, NOW)
    record, _ = fail(record, NOW + 31 * MINUTE)
    assert record.failures == 1


def test_an_account_that_is_not_there_is_counted_and_leaves_no_event() -> None:
    record = None
    for _ in range(5):
        record, made = rules.failed_sign_in(record, "a@b", NOW, address="", email="a@b", user_id=None)
        assert [change.row for change in made if isinstance(change, Put)] == [record]
        assert len(made) == 1
    assert rules.locked_for(record, NOW) == 1800


def test_a_failure_elsewhere_names_the_person_and_is_counted_where_it_belongs() -> None:
    counted, (_, event) = rules.failed_sign_in(None, " 10.0.0.1 a@b", NOW, address="10.0.0.1", email="a@b", user_id=9)
    assert isinstance(event, EventHappened)
    assert (counted.email, event.actor, event.params["email"]) == (" 10.0.0.1 a@b", "user:9", "a@b")


def test_success_opens_a_new_session_and_drops_failures() -> None:
    first, made = rules.succeeded_sign_in(3, "a@b", NOW, address="1.2.3.4", user_agent="x\x00" * 400, by="password")
    second, _ = rules.succeeded_sign_in(3, "a@b", NOW, address="1.2.3.4", user_agent=None, by="password")
    (opened,) = put_rows(made, SessionRow)
    assert first.text != second.text
    assert opened.hash == first.hash
    assert opened.user_agent is not None
    assert "\x00" not in opened.user_agent
    assert len(opened.user_agent) <= 300
    assert rules.drop_failures("a@b") in made
    assert [patch.values for patch in patches(made, UserRow)] == [{"last_sign_in_at": NOW, "updated_at": NOW}]
    assert [c.code for c in made if isinstance(c, EventHappened)] == ["sign_in.succeeded"]
    assert first.text not in str(made)


def test_a_session_in_use_lives_on_but_not_beyond_a_week() -> None:
    ends, week = NOW + timedelta(hours=12), NOW + timedelta(days=7)
    session = SessionRow(id=5, user_id=3, hash="h", created_at=NOW, expires_at=ends)
    assert rules.extended_session(session, NOW + 4 * MINUTE) is None
    used = NOW + 6 * MINUTE
    longer = rules.extended_session(session, used)
    assert longer == Patch(SessionRow, 5, {"expires_at": ends + 6 * MINUTE, "last_used_at": used})
    for at in (week - timedelta(hours=2), week - MINUTE):
        late = rules.extended_session(replace(session, last_used_at=used), at)
        assert late == Patch(SessionRow, 5, {"expires_at": week, "last_used_at": at}), "noted to the end"
    newly = replace(session, last_used_at=week - 2 * MINUTE, expires_at=week)
    assert rules.extended_session(newly, week) is None


def test_signing_out_ends_this_session_and_leaves_one_event() -> None:
    ended, event = rules.signed_out(3, "h", NOW)
    assert ended == Drop(SessionRow, where=(("user_id", "=", 3), ("hash", "=", "h")))
    assert isinstance(event, EventHappened)
    assert event.code == "sign_in.signed_out"


def test_addresses_have_one_form() -> None:
    assert rules.normal_email("  Budi@Example.COM ") == "budi@example.com"


def test_a_link_is_a_way_in_for_a_time_and_only_its_hash_is_kept() -> None:
    secret, made = rules.make_link(3, NOW, 60.0)
    assert (made.user_id, made.hash, made.expires_at) == (3, secret.hash, NOW + timedelta(seconds=60))


def test_two_addresses_that_look_the_same_are_the_same() -> None:
    forms = (" Jos\u00e9@Example.com", "jose\u0301@example.COM ", "JOS\u00c9@example.com", "JOSE\u0301@example.com")
    assert {rules.normal_email(form) for form in forms} == {"jos\u00e9@example.com"}


def test_a_new_invitation_lasts_three_days_and_ends_those_before() -> None:
    user = UserRow(id=3, email="a@b.c", name="A", role="viewer", created_at=NOW, updated_at=NOW)
    secret, link, (dropped, put, event) = rules.invite(user, NOW, "user:1")
    assert (link.hash, link.expires_at) == (secret.hash, NOW + timedelta(hours=72))
    assert dropped == Drop(SignInLinkRow, where=(("user_id", "=", 3),))
    assert put == Put(link)
    assert isinstance(event, EventHappened)
    assert (event.code, event.actor, secret.text in str(event)) == ("sign_in.link_made", "user:1", False)


def test_a_lock_is_ended_by_name_and_by_place_with_one_event() -> None:
    user = UserRow(id=3, email="a@b.c", name="A", role="viewer", created_at=NOW, updated_at=NOW)
    locked = [SignInFailureRow(email=name, failures=5, last_at=NOW) for name in ("a@b.c", " 10.0.0.1 a@b.c")]
    others = [replace(locked[0], email=name) for name in ("ca@b.c", " 10.0.0.1 ca@b.c")]
    assert rules.locks_of("A@b.c", [*locked, *others]) == locked
    made = rules.end_lock(user, locked, NOW, "user:1")
    assert made[:2] == [rules.drop_failures("a@b.c"), rules.drop_failures(" 10.0.0.1 a@b.c")]
    assert [c.code for c in made if isinstance(c, EventHappened)] == ["sign_in.unlocked"]
    assert rules.end_lock(user, [], NOW, "user:1") == []


def test_the_language_of_the_first_sign_in_is_stored_with_it() -> None:
    _, made = rules.succeeded_sign_in(3, "a@b", NOW, address="", user_agent=None, by="link", language="id")
    (patch,) = patches(made, UserRow)
    assert patch.values["language"] == "id"


def test_sessions_are_ended_by_somebody_with_one_event() -> None:
    session = SessionRow(id=5, user_id=3, hash="h", created_at=NOW, expires_at=NOW)
    one = rules.end_session(session, "a@b.c", NOW, "user:1")
    every = rules.sign_out_everywhere(3, "a@b.c", 2, NOW, "user:3")
    assert [made[0] for made in (one, every)] == [rules.end_sessions(3, "h"), rules.end_sessions(3)]
    for made, actor, count in ((one, "user:1", 1), (every, "user:3", 2)):
        assert isinstance(made[1], EventHappened)
        assert (made[1].code, made[1].actor) == ("sign_in.sessions_ended", actor)
        assert made[1].params == {"user_id": 3, "email": "a@b.c", "count": count}


def test_a_link_is_used_once_and_in_its_time() -> None:
    used = rules.use_link("h", NOW)
    assert (used.of, used.key, used.values, used.must) == (SignInLinkRow, "h", {"used_at": NOW}, "hash")
    assert used.where == (("used_at", "=", None), ("expires_at", ">", NOW))
