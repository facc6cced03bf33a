"""Users and tokens: what each act changes, and that its one event tells no secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from hub.model import changes, credentials
from hub.people import rules

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)


@dataclass
class Somebody:
    id: int = 4
    email: str = "a@b.c"
    name: str = "A"
    role: str = "operator"
    language: str | None = None
    password_hash: str | None = "$argon2id$before"
    disabled_at: datetime | None = None
    machines: frozenset[int] = frozenset()


def events(made: list[changes.Change]) -> list[changes.EventHappened]:
    return [c for c in made if isinstance(c, changes.EventHappened)]


def test_an_edit_records_before_and_after() -> None:
    made = rules.edit_user(Somebody(), {"name": "B", "role": "operator"}, None, NOW, "user:1")
    assert isinstance(made[0], changes.UserEdited)
    assert made[0].values == {"name": "B"}
    (event,) = events(made)
    assert (event.before, event.after) == ({"name": "A"}, {"name": "B"})


def test_an_edit_that_changes_nothing_is_nothing() -> None:
    assert rules.edit_user(Somebody(), {"name": "A"}, frozenset(), NOW, "user:1") == []


def test_a_new_password_role_or_being_disabled_ends_every_session() -> None:
    for values in ({"password_hash": "$argon2id$new"}, {"role": "viewer"}, {"disabled_at": NOW}):
        made = rules.edit_user(Somebody(), values, None, NOW, "user:1")
        assert any(isinstance(c, changes.SessionEnded) and c.hash is None for c in made), values
        assert len(events(made)) == 1
    kept = rules.edit_user(Somebody(), {"name": "B"}, None, NOW, "user:1")
    assert not any(isinstance(c, changes.SessionEnded) for c in kept)


def test_events_hold_no_hash() -> None:
    secret = credentials.new_user_token()
    made = [
        *rules.edit_user(Somebody(), {"password_hash": "$argon2id$canary"}, None, NOW, "user:1"),
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
    admin = Somebody(role="admin")
    assert rules.leaves_no_admin(admin, 0, role="viewer")
    assert rules.leaves_no_admin(admin, 0, disabled=True)
    assert not rules.leaves_no_admin(admin, 0, role="admin")
    assert not rules.leaves_no_admin(admin, 1, disabled=True)
    assert not rules.leaves_no_admin(Somebody(), 0, disabled=True)
    assert not rules.leaves_no_admin(Somebody(role="admin", disabled_at=NOW), 0, role="viewer")


def test_machines_are_replaced_as_a_set() -> None:
    made = rules.edit_user(
        Somebody(role="technician", machines=frozenset({1, 2})), {}, frozenset({2, 3}), NOW, "user:1"
    )
    assert isinstance(made[0], changes.UserEdited)
    assert made[0].machines == (2, 3)
    (event,) = events(made)
    assert (event.before, event.after) == ({"machines": [1, 2]}, {"machines": [2, 3]})


def test_removing_a_user_leaves_one_event_that_says_who_it_was() -> None:
    removed, event = rules.remove_user(Somebody(), NOW, "user:1")
    assert isinstance(removed, changes.UserRemoved)
    assert isinstance(event, changes.EventHappened)
    assert (event.code, event.actor, event.params["user_id"]) == ("user.removed", "user:1", 4)
    assert event.before == {"email": "a@b.c", "name": "A", "role": "operator"}


def test_revoking_a_token_leaves_one_event_that_names_it() -> None:
    revoked, event = rules.revoke_token(4, 3, "script", "rvmu_ABCDEFGH", NOW, "user:3")
    assert isinstance(revoked, changes.TokenRevoked)
    assert isinstance(event, changes.EventHappened)
    assert (revoked.token_id, event.code, event.params["prefix"]) == (4, "token.revoked", "rvmu_ABCDEFGH")


def test_a_new_person_may_come_in_by_a_link_only() -> None:
    added, event = rules.add_user(
        email="s@x.id", name="Siti", role="operator", password_hash=None, language="id", now=NOW, by="user:1"
    )
    assert isinstance(added, changes.UserAdded)
    assert (added.password_hash, added.language) == (None, "id")
    assert isinstance(event, changes.EventHappened)
    assert event.after == {"email": "s@x.id", "name": "Siti", "role": "operator"}


@pytest.mark.parametrize("ends", [None, NOW + timedelta(days=30)])
def test_a_token_lasts_until_a_day_or_until_it_is_revoked(ends: datetime | None) -> None:
    secret = credentials.new_user_token()
    created, event = rules.create_token(3, "script", secret, ends, NOW, "system")
    assert isinstance(created, changes.TokenCreated)
    assert (created.expires_at, created.hash) == (ends, secret.hash)
    assert isinstance(event, changes.EventHappened)
    assert event.params == {"name": "script", "prefix": secret.prefix, "user_id": 3}
