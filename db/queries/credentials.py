"""Queries on `sessions`, sign-in links, failed sign-ins, second steps and `tokens`. Sees prefixes and hashes only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.engine.statements import Write
from db.engine.store import Store
from db.records import SessionRow, SignInFailureRow, SignInLinkRow, TokenRow, record
from db.schema import recovery_codes, sessions, tokens, two_steps
from db.schema import sign_in_failures as failures
from db.schema import sign_in_links as links
from db.sign_in_records import TwoStepRow

_BY_HASH = sa.select(sessions).where(sessions.c.hash == sa.bindparam("key"))
_EXPIRED = sa.select(sessions.c.id).where(sessions.c.expires_at <= sa.bindparam("key_now"))
_DELETE_EXPIRED = sa.delete(sessions).where(sessions.c.id.in_(_EXPIRED.limit(sa.bindparam("key_limit"))))


def delete_expired_sessions(now: datetime, limit: int) -> Write:
    return Write(_DELETE_EXPIRED, {"key_now": now, "key_limit": limit})


_SESSIONS_OF = (
    sa.select(sessions)
    .where(sessions.c.user_id == sa.bindparam("key"), sessions.c.expires_at > sa.bindparam("key_now"))
    .order_by(sessions.c.id.desc())
    .limit(sa.bindparam("key_limit"))
)
MOST_SESSIONS = 200


async def sessions_of(store: Store, user_id: int, now: datetime) -> list[SessionRow]:
    """Those that count now, the newest sign-in first, MOST_SESSIONS at most."""
    values = {"key": user_id, "key_now": now, "key_limit": MOST_SESSIONS}
    return [record(SessionRow, row) for row in await store.fetch_all(_SESSIONS_OF, values)]


async def find_session(store: Store, session_hash: str) -> SessionRow | None:
    """Also an expired one: the caller compares `expires_at`."""
    row = await store.fetch_one(_BY_HASH, {"key": session_hash})
    return None if row is None else record(SessionRow, row)


_LINK = sa.select(links).where(links.c.hash == sa.bindparam("key"))
_FAILURES = sa.select(failures).where(failures.c.email == sa.bindparam("key"))
_EXPIRED_LINKS = sa.select(links.c.hash).where(links.c.expires_at <= sa.bindparam("key_now"))
_DELETE_EXPIRED_LINKS = sa.delete(links).where(links.c.hash.in_(_EXPIRED_LINKS.limit(sa.bindparam("key_limit"))))
_OLDER = sa.select(failures.c.email).where(failures.c.last_at < sa.bindparam("key_before"))
_DELETE_OLDER = sa.delete(failures).where(failures.c.email.in_(_OLDER.limit(sa.bindparam("key_limit"))))


def delete_expired_links(now: datetime, limit: int) -> Write:
    """Some, used or not; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_EXPIRED_LINKS, {"key_now": now, "key_limit": limit})


def delete_failures_before(before: datetime, limit: int) -> Write:
    """Some whose last failure is older; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLDER, {"key_before": before, "key_limit": limit})


async def find_link(store: Store, link_hash: str) -> SignInLinkRow | None:
    row = await store.fetch_one(_LINK, {"key": link_hash})
    return None if row is None else record(SignInLinkRow, row)


async def find_failures(store: Store, email: str) -> SignInFailureRow | None:
    row = await store.fetch_one(_FAILURES, {"key": email})
    return None if row is None else record(SignInFailureRow, row)


_LOCKED = sa.select(failures).where(failures.c.locked_until > sa.bindparam("key_now"))


async def locked_sign_ins(store: Store, now: datetime) -> list[SignInFailureRow]:
    return [record(SignInFailureRow, row) for row in await store.fetch_all(_LOCKED, {"key_now": now})]


_TWO_STEP = sa.select(two_steps).where(two_steps.c.user_id == sa.bindparam("key"))
_RECOVERY = sa.select(recovery_codes.c.hash).where(recovery_codes.c.user_id == sa.bindparam("key"))


async def find_two_step(store: Store, user_id: int) -> TwoStepRow | None:
    row = await store.fetch_one(_TWO_STEP, {"key": user_id})
    return None if row is None else record(TwoStepRow, row)


async def recovery_codes_of(store: Store, user_id: int) -> frozenset[str]:
    """The hashes of those that were not used yet."""
    return frozenset(row["hash"] for row in await store.fetch_all(_RECOVERY, {"key": user_id}))


_BY_ID = sa.select(tokens).where(tokens.c.id == sa.bindparam("key"))
_BY_PREFIX = sa.select(tokens).where(tokens.c.prefix == sa.bindparam("key"))
_OF_USER = sa.select(tokens).where(tokens.c.user_id == sa.bindparam("key")).order_by(tokens.c.id.desc())
_ENDED = sa.select(tokens.c.id).where(
    sa.or_(tokens.c.revoked_at < sa.bindparam("key_before"), tokens.c.expires_at < sa.bindparam("key_before"))
)
_DELETE_ENDED = sa.delete(tokens).where(tokens.c.id.in_(_ENDED.limit(sa.bindparam("key_limit"))))
_VALID = sa.and_(
    tokens.c.revoked_at.is_(None), sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > sa.bindparam("key_now"))
)
_ALL_VALID = (
    sa.select(tokens)
    .where(_VALID, tokens.c.id < sa.bindparam("key_before"))
    .order_by(tokens.c.id.desc())
    .limit(sa.bindparam("key_limit"))
)
_MADE_SINCE = sa.select(tokens).where(
    tokens.c.user_id == sa.bindparam("key"), tokens.c.created_at > sa.bindparam("key_since"), _VALID
)
MAX_ID = 2**31 - 1


def delete_tokens_before(before: datetime, limit: int) -> Write:
    """Some revoked or expired earlier; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_ENDED, {"key_before": before, "key_limit": limit})


async def find_token(store: Store, token_id: int) -> TokenRow | None:
    return await _one(store, _BY_ID, token_id)


async def find_token_by_prefix(store: Store, prefix: str) -> TokenRow | None:
    return await _one(store, _BY_PREFIX, prefix)


async def tokens_of(store: Store, user_id: int) -> list[TokenRow]:
    return [record(TokenRow, row) for row in await store.fetch_all(_OF_USER, {"key": user_id})]


async def valid_tokens(store: Store, now: datetime, limit: int, before: int | None = None) -> list[TokenRow]:
    """Everybody's, newest first, older than the id `before`."""
    values = {"key_now": now, "key_before": MAX_ID if before is None else before, "key_limit": limit}
    return [record(TokenRow, row) for row in await store.fetch_all(_ALL_VALID, values)]


async def tokens_made_since(store: Store, user_id: int, since: datetime, now: datetime) -> list[TokenRow]:
    """A user's valid ones."""
    rows = await store.fetch_all(_MADE_SINCE, {"key": user_id, "key_since": since, "key_now": now})
    return [record(TokenRow, row) for row in rows]


async def _one(store: Store, query: sa.Select[Any], key: int | str) -> TokenRow | None:
    row = await store.fetch_one(query, {"key": key})
    return None if row is None else record(TokenRow, row)
