"""Queries on `tokens`, the users' long-lived keys. Sees prefixes and hashes, never a secret."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.connection import Store
from db.records import TokenRow, record
from db.schema import tokens
from db.statements import Write

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
    """Delete some that were revoked or had expired earlier; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_ENDED, {"key_before": before, "key_limit": limit})


async def find_token(store: Store, token_id: int) -> TokenRow | None:
    return await _one(store, _BY_ID, token_id)


async def find_token_by_prefix(store: Store, prefix: str) -> TokenRow | None:
    return await _one(store, _BY_PREFIX, prefix)


async def tokens_of(store: Store, user_id: int) -> list[TokenRow]:
    """All of a user's tokens, revoked ones too, newest first."""
    return [record(TokenRow, row) for row in await store.fetch_all(_OF_USER, {"key": user_id})]


async def valid_tokens(store: Store, now: datetime, limit: int, before: int | None = None) -> list[TokenRow]:
    """Everybody's tokens that work now, newest first; those older than the id `before`."""
    values = {"key_now": now, "key_before": MAX_ID if before is None else before, "key_limit": limit}
    return [record(TokenRow, row) for row in await store.fetch_all(_ALL_VALID, values)]


async def tokens_made_since(store: Store, user_id: int, since: datetime, now: datetime) -> list[TokenRow]:
    """A user's tokens that work now and were not there at `since`."""
    rows = await store.fetch_all(_MADE_SINCE, {"key": user_id, "key_since": since, "key_now": now})
    return [record(TokenRow, row) for row in rows]


async def _one(store: Store, query: sa.Select[Any], key: int | str) -> TokenRow | None:
    row = await store.fetch_one(query, {"key": key})
    return None if row is None else record(TokenRow, row)
