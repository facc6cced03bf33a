"""Queries on one-time sign-in links and on failed sign-ins."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from db.connection import Store
from db.records import SignInFailureRow, SignInLinkRow, record
from db.schema import sign_in_failures as failures
from db.schema import sign_in_links as links
from db.statements import Write

_LINK = sa.select(links).where(links.c.hash == sa.bindparam("key"))
_FAILURES = sa.select(failures).where(failures.c.email == sa.bindparam("key"))
_EXPIRED_LINKS = sa.select(links.c.hash).where(links.c.expires_at <= sa.bindparam("key_now"))
_DELETE_EXPIRED_LINKS = sa.delete(links).where(links.c.hash.in_(_EXPIRED_LINKS.limit(sa.bindparam("key_limit"))))
_OLDER = sa.select(failures.c.email).where(failures.c.last_at < sa.bindparam("key_before"))
_DELETE_OLDER = sa.delete(failures).where(failures.c.email.in_(_OLDER.limit(sa.bindparam("key_limit"))))


def delete_expired_links(now: datetime, limit: int) -> Write:
    """Delete some of them, used or not; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_EXPIRED_LINKS, {"key_now": now, "key_limit": limit})


def delete_failures_before(before: datetime, limit: int) -> Write:
    """Delete some whose last failure is older; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLDER, {"key_before": before, "key_limit": limit})


async def find_link(store: Store, link_hash: str) -> SignInLinkRow | None:
    row = await store.fetch_one(_LINK, {"key": link_hash})
    return None if row is None else record(SignInLinkRow, row)


async def find_failures(store: Store, email: str) -> SignInFailureRow | None:
    row = await store.fetch_one(_FAILURES, {"key": email})
    return None if row is None else record(SignInFailureRow, row)
