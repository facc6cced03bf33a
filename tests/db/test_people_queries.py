"""Every query on users, tokens, sessions and sign-ins, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from db import sessions, sign_ins, tokens, users
from db.connection import Store
from db.errors import Conflict
from db.statements import Statement, Write, WriteResult
from tests.support.database_rows import NOW, add_machine, after


def user(email: str = "ana@example.com", **changes: Any) -> Write:
    values: dict[str, Any] = {
        "email": email, "name": "Ana", "role": "admin", "password_hash": "argon", "language": "id", "at": NOW,
    }  # fmt: skip
    return users.insert_user(**{**values, **changes})


async def add_user(store: Store, email: str = "ana@example.com", **changes: Any) -> int:
    (result,) = await store.write(user(email, **changes))
    return int(result.rows[0]["id"])


async def test_a_user_comes_back_with_the_machines_that_are_theirs(store: Store) -> None:
    north, south = await add_machine(store, "north"), await add_machine(store, "south")

    def their_machines(results: Sequence[WriteResult]) -> Sequence[Statement]:
        return users.set_machines(results[0].rows[0]["id"], [south, north, south])

    made = await store.write(user(role="technician"), their_machines)
    row = await users.find_user_by_email(store, "ana@example.com")
    assert row is not None
    assert (row.id, row.role, row.language, row.machines) == (
        made[0].rows[0]["id"], "technician", "id", frozenset({north, south}),
    )  # fmt: skip
    await store.write(*users.set_machines(row.id, [south]))
    assert (await users.all_users(store))[0].machines == {south}
    assert await users.find_user(store, row.id) == (await users.all_users(store))[0]
    assert await users.find_user_by_email(store, "nobody@example.com") is None


async def test_an_address_belongs_to_one_user(store: Store) -> None:
    await add_user(store)
    other = await add_user(store, "ben@example.com")
    for write in (user(), users.update_user(other, {"email": "ana@example.com"}, NOW)):
        with pytest.raises(Conflict) as caught:
            await store.write(write)
        assert caught.value.column == "email"


async def test_users_are_edited_counted_and_removed_with_all_that_is_theirs(store: Store) -> None:
    ana = await add_user(store)
    ben = await add_user(store, "ben@example.com", role="viewer")
    assert (await users.count_users(store), await users.count_users(store, "admin")) == (2, 1)
    await store.write(users.update_user(ben, {"disabled_at": after(1), "theme": "dark"}, after(2)))
    assert await users.count_users(store) == 1
    row = await users.find_user(store, ben)
    assert row is not None
    assert (row.disabled_at, row.theme, row.updated_at) == (after(1), "dark", after(2))
    await store.write(session(ana, "h1"), token(ana, "p1"))
    await store.write(users.delete_user(ana))
    assert await sessions.find_session(store, "h1") is None
    assert await tokens.find_token_by_prefix(store, "p1") is None
    with pytest.raises(Conflict):
        await store.write(users.delete_user(ana))


def token(user_id: int, prefix: str) -> Write:
    return tokens.insert_token(user_id=user_id, name="ci", prefix=prefix, hash="h", expires_at=after(60), at=NOW)


async def test_a_token_is_found_by_its_prefix_used_and_revoked_once(store: Store) -> None:
    ana = await add_user(store)
    (made, _) = await store.write(token(ana, "p1"), token(ana, "p2"))
    token_id = made.rows[0]["id"]
    await store.write(tokens.touch_token(token_id, after(5), "10.0.0.1"))
    await store.write(tokens.revoke_token(token_id, after(6)))
    row = await tokens.find_token_by_prefix(store, "p1")
    assert row is not None
    assert row == await tokens.find_token(store, token_id)
    assert (row.user_id, row.hash, row.expires_at, row.last_used_at) == (ana, "h", after(60), after(5))
    assert (row.last_used_ip, row.revoked_at) == ("10.0.0.1", after(6))
    with pytest.raises(Conflict):
        await store.write(tokens.revoke_token(token_id, after(7)))
    assert [row.prefix for row in await tokens.tokens_of(store, ana)] == ["p2", "p1"]
    with pytest.raises(Conflict) as caught:
        await store.write(token(ana, "p2"))
    assert caught.value.column == "prefix"


def session(user_id: int, session_hash: str, lasts: float = 60) -> Write:
    return sessions.insert_session(
        user_id=user_id, hash=session_hash, at=NOW, expires_at=after(lasts), ip="10.0.0.1", user_agent="Firefox"
    )


async def test_sessions_are_found_extended_ended_and_swept(store: Store) -> None:
    ana, ben = await add_user(store), await add_user(store, "ben@example.com")
    await store.write(session(ana, "a1"), session(ana, "a2", lasts=10), session(ben, "b1"), session(ben, "b2"))
    row = await sessions.find_session(store, "a1")
    assert row is not None
    assert (row.user_id, row.expires_at, row.ip, row.user_agent) == (ana, after(60), "10.0.0.1", "Firefox")
    await store.write(sessions.extend_session("a1", after(90)))
    await store.write(sessions.delete_expired_sessions(after(10), 100))
    assert await sessions.find_session(store, "a2") is None
    await store.write(sessions.delete_session("b1"))
    assert await sessions.find_session(store, "b1") is None
    assert await sessions.find_session(store, "b2") is not None
    await store.write(sessions.delete_sessions_of(ben))
    assert await sessions.find_session(store, "b2") is None
    assert await sessions.find_session(store, "a1") is not None


async def test_a_sign_in_link_works_exactly_once_however_many_try(store: Store) -> None:
    ana = await add_user(store)
    await store.write(sign_ins.insert_link(user_id=ana, hash="h", expires_at=after(60)))
    tries = await asyncio.gather(
        *(store.write(sign_ins.use_link("h", after(1))) for _ in range(8)), return_exceptions=True
    )
    won = [outcome for outcome in tries if isinstance(outcome, list)]
    assert [outcome[0].rows for outcome in won] == [[{"user_id": ana}]]
    lost = [outcome for outcome in tries if isinstance(outcome, Conflict)]
    assert [(conflict.column, conflict.kind) for conflict in lost] == [("hash", "missing")] * 7
    row = await sign_ins.find_link(store, "h")
    assert row is not None
    assert row.used_at == after(1)


async def test_an_expired_or_unknown_link_does_not_work(store: Store) -> None:
    ana = await add_user(store)
    await store.write(sign_ins.insert_link(user_id=ana, hash="h", expires_at=after(60)))
    for link, at in (("h", after(60)), ("x", NOW)):
        with pytest.raises(Conflict):
            await store.write(sign_ins.use_link(link, at))
    await store.write(sign_ins.delete_expired_links(after(60), 100))
    assert await sign_ins.find_link(store, "h") is None


async def test_failed_sign_ins_are_counted_and_forgotten(store: Store) -> None:
    await store.write(sign_ins.count_failures("x@y.z", failures=1, at=NOW, locked_until=None))
    await store.write(sign_ins.count_failures("x@y.z", failures=5, at=after(1), locked_until=after(9)))
    await store.write(sign_ins.count_failures("a@b.c", failures=2, at=after(5), locked_until=None))
    row = await sign_ins.find_failures(store, "x@y.z")
    assert row == sign_ins.FailureRow("x@y.z", 5, after(1), after(9))
    await store.write(sign_ins.delete_failures_before(after(5), 100))
    assert await sign_ins.find_failures(store, "x@y.z") is None
    await store.write(sign_ins.count_failures("a@b.c", failures=0, at=after(6), locked_until=None))
    assert await sign_ins.find_failures(store, "a@b.c") is None
