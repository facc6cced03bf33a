"""Queries on one-time sign-in links and on failed sign-ins. Single use is decided here, by the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.connection import Store
from db.schema import sign_in_failures as failures
from db.schema import sign_in_links as links
from db.statements import Write, insert_or_update

_LINK = sa.select(links).where(links.c.hash == sa.bindparam("key"))
_FAILURES = sa.select(failures).where(failures.c.email == sa.bindparam("key"))
_INSERT_LINK = sa.insert(links)
_USE_LINK = (
    sa.update(links)
    .where(
        links.c.hash == sa.bindparam("key_hash"),
        links.c.used_at.is_(None),
        links.c.expires_at > sa.bindparam("key_now"),
    )
    .returning(links.c.user_id)
)
_EXPIRED_LINKS = sa.select(links.c.hash).where(links.c.expires_at <= sa.bindparam("key_now"))
_DELETE_EXPIRED_LINKS = sa.delete(links).where(links.c.hash.in_(_EXPIRED_LINKS.limit(sa.bindparam("key_limit"))))
_DELETE_LINKS_OF = sa.delete(links).where(links.c.user_id == sa.bindparam("key_user_id"))
_COUNT = insert_or_update(failures, ("email",), ("failures", "last_at", "locked_until"))
_FORGET = sa.delete(failures).where(failures.c.email == sa.bindparam("key_email"))
_OLDER = sa.select(failures.c.email).where(failures.c.last_at < sa.bindparam("key_before"))
_DELETE_OLDER = sa.delete(failures).where(failures.c.email.in_(_OLDER.limit(sa.bindparam("key_limit"))))


@dataclass(frozen=True, slots=True)
class LinkRow:
    hash: str
    user_id: int
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class FailureRow:
    """Failed sign-ins in a row for an address, whether or not it is anybody's."""

    email: str
    failures: int
    last_at: datetime
    locked_until: datetime | None


def insert_link(*, user_id: int, hash: str, expires_at: datetime) -> Write:  # noqa: A002 - the column's name
    """Conflict: hash, user_id (no such user)."""
    return Write(_INSERT_LINK, {"user_id": user_id, "hash": hash, "expires_at": expires_at})


def use_link(link_hash: str, at: datetime) -> Write:
    """Use it up; returns its `user_id`. Conflict: hash (unknown, used or expired)."""
    return Write(_USE_LINK, {"used_at": at, "key_hash": link_hash, "key_now": at}, must_match="hash")


def delete_links_of(user_id: int) -> Write:
    """Every link of a user, used or not."""
    return Write(_DELETE_LINKS_OF, {"key_user_id": user_id})


def delete_expired_links(now: datetime, limit: int) -> Write:
    """Delete some of them, used or not; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_EXPIRED_LINKS, {"key_now": now, "key_limit": limit})


def count_failures(email: str, *, failures: int, at: datetime, locked_until: datetime | None) -> Write:
    """Set how often sign-in failed for this address; 0 forgets it."""
    if failures == 0:
        return Write(_FORGET, {"key_email": email})
    return Write(_COUNT, {"email": email, "failures": failures, "last_at": at, "locked_until": locked_until})


def delete_failures_before(before: datetime, limit: int) -> Write:
    """Delete some whose last failure is older; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_OLDER, {"key_before": before, "key_limit": limit})


async def find_link(store: Store, link_hash: str) -> LinkRow | None:
    row = await store.fetch_one(_LINK, {"key": link_hash})
    return None if row is None else LinkRow(**row)


async def find_failures(store: Store, email: str) -> FailureRow | None:
    row = await store.fetch_one(_FAILURES, {"key": email})
    return None if row is None else FailureRow(**row)
