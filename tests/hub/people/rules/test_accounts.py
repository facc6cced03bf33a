"""Users and tokens: what each act changes, and that its one event tells no secret."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from db.records import MachineRow, SessionRow, SignInLinkRow, TokenRow, UserMachineRow, UserRow, UserTagRow
from hub.model import changes, credentials
from hub.model.changes import Drop, Patch, Put, drops, put_rows
from hub.people import rules

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)


def somebody(**members: Any) -> UserRow:
    known = {"id": 4, "email": "a@b.c", "name": "A", "role": "operator", "password_hash": "$argon2id$before"}
    return UserRow(**{**known, **members}, created_at=NOW, updated_at=NOW)


def events(made: list[changes.Change]) -> list[changes.EventHappened]:
    return [c for c in made if isinstance(c, changes.EventHappened)]


def test_an_edit_records_before_and_after() -> None:
    made = rules.edit_user(somebody(), frozenset(), {"name": "B", "role": "operator"}, None, NOW, "user:1")
    assert made[0] == Patch(UserRow, 4, {"name": "B", "updated_at": NOW}, must="id")
    (event,) = events(made)
    assert (event.before, event.after) == ({"name": "A"}, {"name": "B"})


def test_an_edit_that_changes_nothing_is_nothing() -> None:
    assert rules.edit_user(somebody(), frozenset(), {"name": "A"}, frozenset(), NOW, "user:1") == []


def test_a_new_password_role_or_being_disabled_ends_every_session() -> None:
    for values in ({"password_hash": "$argon2id$new"}, {"role": "viewer"}, {"disabled_at": NOW}):
        made = rules.edit_user(somebody(), frozenset(), values, None, NOW, "user:1")
        assert rules.end_sessions(4) in made, values
        assert rules.revoke_tokens(4, NOW) in made, values
        assert len(events(made)) == 1
    kept = rules.edit_user(somebody(), frozenset(), {"name": "B"}, None, NOW, "user:1")
    assert list(drops(kept, SessionRow)) == []


def test_events_hold_no_hash() -> None:
    secret = credentials.new_secret("token")
    made = [
        *rules.edit_user(somebody(), frozenset(), {"password_hash": "$argon2id$canary"}, None, NOW, "user:1"),
        *rules.create_token(4, "t", secret, None, NOW, "user:1"),
        *rules.add_user(
            email="x@y.z", name="X", role="viewer", password_hash="$argon2id$canary", language=None,
            machines=frozenset(), now=NOW, by="user:1",
        ),
    ]  # fmt: skip
    told = str(events(made))
    assert "canary" not in told
    assert secret.hash not in told
    assert secret.text not in str(made)


def test_the_last_admin_stays() -> None:
    admin = somebody(role="admin")
    assert rules.leaves_no_admin(admin, 0, role="viewer")
    assert rules.leaves_no_admin(admin, 0, disabled=True)
    assert not rules.leaves_no_admin(admin, 0, role="admin")
    assert not rules.leaves_no_admin(admin, 1, disabled=True)
    assert not rules.leaves_no_admin(somebody(), 0, disabled=True)
    assert not rules.leaves_no_admin(somebody(role="admin", disabled_at=NOW), 0, role="viewer")


def test_machines_are_replaced_as_a_set() -> None:
    made = rules.edit_user(somebody(role="technician"), frozenset({1, 2}), {}, frozenset({2, 3}), NOW, "user:1")
    assert list(drops(made, UserMachineRow)) == [Drop(UserMachineRow, where=(("user_id", "=", 4),))]
    assert [row.rvm_id for row in put_rows(made, UserMachineRow)] == [2, 3]
    (event,) = events(made)
    assert (event.before, event.after) == ({"machines": [1, 2]}, {"machines": [2, 3]})


def test_removing_a_user_leaves_one_event_that_says_who_it_was() -> None:
    removed, event = rules.remove_user(somebody(), NOW, "user:1")
    assert removed == Drop(UserRow, 4, must="id")
    assert isinstance(event, changes.EventHappened)
    assert (event.code, event.actor, event.params["user_id"]) == ("user.removed", "user:1", 4)
    assert event.before == {"email": "a@b.c", "name": "A", "role": "operator"}


def test_revoking_a_token_leaves_one_event_that_names_it() -> None:
    token = TokenRow(id=4, user_id=3, name="script", prefix="rvmu_ABCDEFGH", hash="h", created_at=NOW)
    revoked, event = rules.revoke_token(token, NOW, "user:3")
    assert isinstance(event, changes.EventHappened)
    assert revoked == Patch(TokenRow, 4, {"revoked_at": NOW}, where=(("revoked_at", "=", None),), must="id")
    assert (event.code, event.params["prefix"]) == ("token.revoked", "rvmu_ABCDEFGH")


def test_a_new_person_may_come_in_by_a_link_only() -> None:
    added, event = rules.add_user(
        email="s@x.id", name="Siti", role="operator", password_hash=None, language="id", now=NOW, by="user:1"
    )
    (user,) = put_rows([added], UserRow)
    assert (user.password_hash, user.language) == (None, "id")
    assert isinstance(event, changes.EventHappened)
    assert event.after == {"email": "s@x.id", "name": "Siti", "role": "operator"}


@pytest.mark.parametrize("ends", [None, NOW + timedelta(days=30)])
def test_a_token_lasts_until_a_day_or_until_it_is_revoked(ends: datetime | None) -> None:
    secret = credentials.new_secret("token")
    created, event = rules.create_token(3, "script", secret, ends, NOW, "system")
    (token,) = put_rows([created], TokenRow)
    assert (token.expires_at, token.hash) == (ends, secret.hash)
    assert isinstance(event, changes.EventHappened)
    assert event.params == {"name": "script", "prefix": secret.prefix, "user_id": 3}


def test_a_new_password_and_being_disabled_close_every_link_that_is_open() -> None:
    closed = Drop(SignInLinkRow, where=(("user_id", "=", 4),))
    for values, closes in (
        ({"password_hash": "$argon2id$new"}, True),
        ({"disabled_at": NOW}, True),
        ({"role": "viewer"}, False),
    ):
        assert (closed in rules.edit_user(somebody(), frozenset(), values, None, NOW, "user:1")) is closes, values
    enabled = rules.edit_user(somebody(disabled_at=NOW), frozenset(), {"disabled_at": None}, None, NOW, "user:1")
    assert closed not in enabled


def test_whom_a_change_alters() -> None:
    renamed, revoked = Patch(UserRow, 4, {"name": "B"}), rules.revoke_tokens(4, NOW)
    one, every = rules.end_sessions(4, "h"), rules.end_sessions(4)
    machines, removed = Drop(UserMachineRow, where=(("user_id", "=", 4),)), Drop(UserRow, 4)
    assert {rules.edited_user(change) for change in (renamed, revoked, one, every, machines, removed)} == {4}
    guards = (rules.while_signed_in(4), rules.while_password_is(somebody()))
    others = (*guards, rules.use_token(4, NOW, None), Drop(SignInLinkRow, where=(("user_id", "=", 4),)))
    assert {rules.edited_user(change) for change in others} == {None}
    assert [rules.ended_session(change) for change in (one, every, removed)] == ["h", None, None]
    assert not rules.narrows(renamed)
    assert all(rules.narrows(c) for c in (one, every, machines, removed, Patch(UserRow, 4, {"role": "viewer"})))
    assert not any(map(rules.is_token_revoked, (revoked, rules.use_token(4, NOW, None))))
    assert rules.is_token_revoked(Patch(TokenRow, 4, {"revoked_at": NOW}))


def test_only_technicians_keep_machines() -> None:
    own = frozenset({1, 2})
    assert rules.own_after(own, "technician", None) is None
    assert rules.own_after(own, "operator", None) == frozenset()
    assert rules.own_after(frozenset(), "operator", None) is None
    assert rules.own_after(own, "technician", frozenset({3})) == frozenset({3})


def test_tags_are_replaced_as_a_set_and_machines_stay() -> None:
    user, own, tags = somebody(role="technician"), frozenset({1}), frozenset({"mall", "south"})
    made = rules.edit_user(user, own, {}, None, NOW, "user:1", own_tags=frozenset({"mall"}), tags=tags)
    assert list(drops(made, UserMachineRow)) == []
    assert list(drops(made, UserTagRow)) == [Drop(UserTagRow, where=(("user_id", "=", 4),))]
    assert [row.tag for row in put_rows(made, UserTagRow)] == ["mall", "south"]
    (event,) = events(made)
    assert (event.before, event.after) == ({"tags": ["mall"]}, {"tags": ["mall", "south"]})
    assert rules.edit_user(user, own, {}, own, NOW, "user:1", own_tags=tags, tags=tags) == []


def test_a_new_technician_has_tags() -> None:
    added, event = rules.add_user(
        email="s@x.id", name="Siti", role="technician", password_hash=None, language=None, now=NOW, by="user:1",
        machines=frozenset({3}), tags=frozenset({"mall"}),
    )  # fmt: skip
    assert isinstance(added, Put)
    assert added.along == (UserMachineRow(user_id=0, rvm_id=3), UserTagRow(user_id=0, tag="mall"))
    assert isinstance(event, changes.EventHappened)
    assert event.after == {
        "email": "s@x.id", "name": "Siti", "role": "technician", "machines": [3], "tags": ["mall"],
    }  # fmt: skip


def test_what_gives_or_takes_machines_by_tag() -> None:
    machine = MachineRow(device_id="d", name="m", status_since=NOW, status_by="system", created_at=NOW, updated_at=NOW)
    tagged = Put(replace(machine, tags=("mall",)))
    moves = (tagged, Patch(MachineRow, 1, {"tags": None}), Patch(MachineRow, 1, {"tags": ("mall",)}))
    others = (Put(machine), Patch(MachineRow, 1, {"name": "x"}), Patch(UserRow, 1, {}), Drop(MachineRow, 1))
    assert [rules.moves_reach(change) for change in (*moves, *others)] == [True] * 3 + [False] * 4
    assert rules.edited_user(Drop(UserTagRow, where=(("user_id", "=", 4),))) == 4


def test_another_administrator_is_held_while_one_goes() -> None:
    held = rules.while_admin(7)
    assert (held.key, held.values, held.must) == (7, {}, "admin")
    assert held.where == (("role", "=", "admin"), ("disabled_at", "=", None))
