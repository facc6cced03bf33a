"""Every query on users, tokens, sessions and sign-ins, on both databases."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from db.engine.row_writes import delete, insert, update
from db.engine.statements import Write
from db.engine.store import Store
from db.errors import Conflict
from db.queries import credentials, users
from db.records import (
    MachineRow,
    SessionRow,
    SignInFailureRow,
    SignInLinkRow,
    TokenRow,
    UserMachineRow,
    UserRow,
    UserTagRow,
)
from db.schema import user_tags
from tests.support.database_rows import NOW, add_machine, after


def user(email: str = "ana@example.com", **changes: Any) -> Write:
    values: dict[str, Any] = {"name": "Ana", "role": "admin", "password_hash": "argon", "language": "id"}
    return insert(UserRow(email=email, created_at=NOW, updated_at=NOW, **{**values, **changes}))


async def add_user(store: Store, email: str = "ana@example.com", **changes: Any) -> int:
    (result,) = await store.write(user(email, **changes))
    return int(result.rows[0]["id"])


async def test_a_user_comes_back_with_the_machines_that_are_theirs(store: Store) -> None:
    north, south = await add_machine(store, "north"), await add_machine(store, "south")
    user_id = await add_user(store, role="technician")
    own = [UserMachineRow(user_id=user_id, rvm_id=rvm_id) for rvm_id in (south, north)]
    await store.write(*map(insert, own))
    row = await users.find_user_by_email(store, "ana@example.com")
    assert row is not None
    assert (row.id, row.role, row.language, row.machines) == (
        user_id, "technician", "id", frozenset({north, south}),
    )  # fmt: skip
    await store.write(delete(UserMachineRow, None, (("user_id", "=", user_id), ("rvm_id", "=", north))))
    assert (await users.all_users(store))[0].machines == {south}
    assert await users.find_user(store, row.id) == (await users.all_users(store))[0]
    assert await users.find_user_by_email(store, "nobody@example.com") is None


async def test_a_user_comes_back_with_the_machines_that_have_their_tags(store: Store) -> None:
    ids = [await add_machine(store, name) for name in ("north", "south", "east")]
    user_id = await add_user(store, role="technician")
    other = await add_user(store, "ben@example.com", role="technician")
    named = UserMachineRow(user_id=user_id, rvm_id=ids[2])
    await store.write(insert(named), *(insert(UserTagRow(user_id=user_id, tag=tag)) for tag in ("mall", "station")))
    for tags, by_tag in ((("mall", "x"), {ids[0]}), (("malls",), set()), (None, set()), (("station",), {ids[0]})):
        await store.write(update(MachineRow, ids[0], {"tags": tags}))
        found = await users.find_user(store, user_id)
        assert found is not None
        assert found.named == {ids[2]}
        assert found.tags == {"mall", "station"}
        assert found.machines == {ids[2], *by_tag}
        assert await users.all_users(store) == [found, await users.find_user(store, other)]
    await store.write(delete(UserRow, user_id))
    assert await store.fetch_all(sa.select(user_tags)) == []


async def test_an_address_belongs_to_one_user(store: Store) -> None:
    await add_user(store)
    other = await add_user(store, "ben@example.com")
    for write in (user(), update(UserRow, other, {"email": "ana@example.com"})):
        with pytest.raises(Conflict) as caught:
            await store.write(write)
        assert caught.value.column == "email"


async def test_users_are_edited_counted_and_removed_with_all_that_is_theirs(store: Store) -> None:
    ana = await add_user(store)
    ben = await add_user(store, "ben@example.com", role="viewer")
    assert (await users.count_users(store), await users.count_users(store, "admin")) == (2, 1)
    await store.write(update(UserRow, ben, {"disabled_at": after(1), "theme": "dark", "updated_at": after(2)}))
    assert await users.count_users(store) == 1
    row = await users.find_user(store, ben)
    assert row is not None
    assert (row.disabled_at, row.theme, row.updated_at) == (after(1), "dark", after(2))
    await store.write(session(ana, "h1"), token(ana, "p1"))
    await store.write(delete(UserRow, ana, must="id"))
    assert await credentials.find_session(store, "h1") is None
    assert await credentials.find_token_by_prefix(store, "p1") is None
    with pytest.raises(Conflict):
        await store.write(delete(UserRow, ana, must="id"))


def token(user_id: int, prefix: str) -> Write:
    return insert(TokenRow(user_id=user_id, name="ci", prefix=prefix, hash="h", expires_at=after(60), created_at=NOW))


async def test_a_token_is_found_by_its_prefix_used_and_revoked_once(store: Store) -> None:
    ana = await add_user(store)
    (made, _) = await store.write(token(ana, "p1"), token(ana, "p2"))
    token_id = made.rows[0]["id"]
    await store.write(update(TokenRow, token_id, {"last_used_at": after(5), "last_used_ip": "10.0.0.1"}))
    await store.write(revoke(token_id, after(6)))
    row = await credentials.find_token_by_prefix(store, "p1")
    assert row is not None
    assert row == await credentials.find_token(store, token_id)
    assert (row.user_id, row.hash, row.expires_at, row.last_used_at) == (ana, "h", after(60), after(5))
    assert (row.last_used_ip, row.revoked_at) == ("10.0.0.1", after(6))
    with pytest.raises(Conflict):
        await store.write(revoke(token_id, after(7)))
    assert [row.prefix for row in await credentials.tokens_of(store, ana)] == ["p2", "p1"]
    with pytest.raises(Conflict) as caught:
        await store.write(token(ana, "p2"))
    assert caught.value.column == "prefix"


def revoke(token_id: int, at: datetime) -> Write:
    return update(TokenRow, token_id, {"revoked_at": at}, (("revoked_at", "=", None),), must="id")


def use_link(link: str, at: datetime) -> Write:
    return update(SignInLinkRow, link, {"used_at": at}, (("used_at", "=", None), ("expires_at", ">", at)), must="hash")


def counted(email: str, failures: int, at: datetime, locked_until: datetime | None = None) -> Write:
    row = SignInFailureRow(email=email, failures=failures, last_at=at, locked_until=locked_until)
    return insert(row, over=("failures", "last_at", "locked_until"))


def session(user_id: int, session_hash: str, lasts: float = 60) -> Write:
    made = SessionRow(
        user_id=user_id, hash=session_hash, created_at=NOW, expires_at=after(lasts), ip="10.0.0.1", user_agent="Firefox"
    )
    return insert(made)


async def test_sessions_are_found_extended_ended_and_swept(store: Store) -> None:
    ana, ben = await add_user(store), await add_user(store, "ben@example.com")
    await store.write(session(ana, "a1"), session(ana, "a2", lasts=10), session(ben, "b1"), session(ben, "b2"))
    row = await credentials.find_session(store, "a1")
    assert row is not None
    assert (row.user_id, row.expires_at, row.ip, row.user_agent) == (ana, after(60), "10.0.0.1", "Firefox")
    await store.write(update(SessionRow, row.id, {"expires_at": after(90)}))
    await store.write(credentials.delete_expired_sessions(after(10), 100))
    assert await credentials.find_session(store, "a2") is None
    await store.write(delete(SessionRow, None, (("hash", "=", "b1"),)))
    assert await credentials.find_session(store, "b1") is None
    assert await credentials.find_session(store, "b2") is not None
    await store.write(delete(SessionRow, None, (("user_id", "=", ben),)))
    assert await credentials.find_session(store, "b2") is None
    assert await credentials.find_session(store, "a1") is not None


async def test_a_sign_in_link_works_exactly_once_however_many_try(store: Store) -> None:
    ana = await add_user(store)
    await store.write(insert(SignInLinkRow(user_id=ana, hash="h", expires_at=after(60))))
    tries = await asyncio.gather(*(store.write(use_link("h", after(1))) for _ in range(8)), return_exceptions=True)
    won = [outcome for outcome in tries if isinstance(outcome, list)]
    assert len(won) == 1
    lost = [outcome for outcome in tries if isinstance(outcome, Conflict)]
    assert [(conflict.column, conflict.kind) for conflict in lost] == [("hash", "missing")] * 7
    row = await credentials.find_link(store, "h")
    assert row is not None
    assert row.used_at == after(1)


async def test_an_expired_or_unknown_link_does_not_work(store: Store) -> None:
    ana = await add_user(store)
    await store.write(insert(SignInLinkRow(user_id=ana, hash="h", expires_at=after(60))))
    for link, at in (("h", after(60)), ("x", NOW)):
        with pytest.raises(Conflict):
            await store.write(use_link(link, at))
    await store.write(credentials.delete_expired_links(after(60), 100))
    assert await credentials.find_link(store, "h") is None


async def test_failed_sign_ins_are_counted_and_expire(store: Store) -> None:
    await store.write(counted("x@y.z", 1, NOW))
    await store.write(counted("x@y.z", 5, after(1), after(9)))
    await store.write(counted("a@b.c", 2, after(5)))
    row = await credentials.find_failures(store, "x@y.z")
    assert row == SignInFailureRow(email="x@y.z", failures=5, last_at=after(1), locked_until=after(9))
    await store.write(credentials.delete_failures_before(after(5), 100))
    assert await credentials.find_failures(store, "x@y.z") is None
    await store.write(delete(SignInFailureRow, "a@b.c"))
    assert await credentials.find_failures(store, "a@b.c") is None
