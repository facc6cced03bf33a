"""Queries on `enrolment_codes` and `enrolments`. Sees hashes only."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from db.engine.statements import Write
from db.engine.store import Store
from db.enrolment_records import EnrolmentCodeRow, EnrolmentRow
from db.records import record
from db.schema import enrolment_codes as codes
from db.schema import enrolments

MOST: Final = 500
"""Of one list; older ones are not shown."""

_BY_HASH = sa.select(codes).where(codes.c.hash == sa.bindparam("key"))
_CODE = sa.select(codes).where(codes.c.id == sa.bindparam("key"))
_USABLE = (
    sa.select(codes)
    .where(
        codes.c.revoked_at.is_(None),
        codes.c.expires_at > sa.bindparam("key_now"),
        codes.c.used < codes.c.uses,
    )
    .order_by(codes.c.id.desc())
    .limit(sa.bindparam("key_limit"))
)
_NEWEST_FOR = sa.select(codes).where(codes.c.rvm_id == sa.bindparam("key")).order_by(codes.c.id.desc()).limit(1)
_ENDED = sa.select(codes.c.id).where(codes.c.expires_at < sa.bindparam("key_before"))
_DELETE_ENDED = sa.delete(codes).where(codes.c.id.in_(_ENDED.limit(sa.bindparam("key_limit"))))

_BY_ID = sa.select(enrolments).where(enrolments.c.id == sa.bindparam("key"))
_BY_PREFIX = sa.select(enrolments).where(enrolments.c.key_prefix == sa.bindparam("key"))
_IN_STATE = (
    sa.select(enrolments)
    .where(enrolments.c.state == sa.bindparam("key"))
    .order_by(enrolments.c.id.desc())
    .limit(sa.bindparam("key_limit"))
)
_NEWEST = sa.select(enrolments).order_by(enrolments.c.id.desc()).limit(sa.bindparam("key_limit"))
_WITH_CODE = sa.select(enrolments).where(enrolments.c.code_id == sa.bindparam("key")).order_by(enrolments.c.id.desc())
_UNSEEN = sa.select(enrolments.c.id).where(enrolments.c.last_seen_at < sa.bindparam("key_before"))
_DELETE_UNSEEN = sa.delete(enrolments).where(enrolments.c.id.in_(_UNSEEN.limit(sa.bindparam("key_limit"))))


def delete_codes_before(before: datetime, limit: int) -> Write:
    """Some that expired earlier; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_ENDED, {"key_before": before, "key_limit": limit})


def delete_enrolments_before(before: datetime, limit: int) -> Write:
    """Some whose machine asked last earlier; repeat until `rowcount` is below `limit`."""
    return Write(_DELETE_UNSEEN, {"key_before": before, "key_limit": limit})


async def find_code_by_hash(store: Store, code_hash: str) -> EnrolmentCodeRow | None:
    """Also one that is used, revoked or expired."""
    row = await store.fetch_one(_BY_HASH, {"key": code_hash})
    return None if row is None else record(EnrolmentCodeRow, row)


async def find_code(store: Store, code_id: int) -> EnrolmentCodeRow | None:
    row = await store.fetch_one(_CODE, {"key": code_id})
    return None if row is None else record(EnrolmentCodeRow, row)


async def usable_codes(store: Store, now: datetime) -> list[EnrolmentCodeRow]:
    """Newest first."""
    rows = await store.fetch_all(_USABLE, {"key_now": now, "key_limit": MOST})
    return [record(EnrolmentCodeRow, row) for row in rows]


async def newest_code_for(store: Store, rvm_id: int) -> EnrolmentCodeRow | None:
    row = await store.fetch_one(_NEWEST_FOR, {"key": rvm_id})
    return None if row is None else record(EnrolmentCodeRow, row)


async def find_enrolment(store: Store, enrolment_id: int) -> EnrolmentRow | None:
    row = await store.fetch_one(_BY_ID, {"key": enrolment_id})
    return None if row is None else record(EnrolmentRow, row)


async def find_enrolment_by_prefix(store: Store, key_prefix: str) -> EnrolmentRow | None:
    row = await store.fetch_one(_BY_PREFIX, {"key": key_prefix})
    return None if row is None else record(EnrolmentRow, row)


async def enrolments_in(store: Store, state: str | None) -> list[EnrolmentRow]:
    """Newest first; None: in any state."""
    if state is None:
        rows = await store.fetch_all(_NEWEST, {"key_limit": MOST})
    else:
        rows = await store.fetch_all(_IN_STATE, {"key": state, "key_limit": MOST})
    return [record(EnrolmentRow, row) for row in rows]


async def enrolments_with(store: Store, code_id: int) -> list[EnrolmentRow]:
    """Newest first."""
    return [record(EnrolmentRow, row) for row in await store.fetch_all(_WITH_CODE, {"key": code_id})]
