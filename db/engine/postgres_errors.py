"""asyncpg's errors as ours."""

from __future__ import annotations

import asyncio

import asyncpg
import sqlalchemy as sa

from db.errors import Conflict, Rejected, StoreError, Unavailable
from db.schema import metadata

# SQLSTATE classes: connection, authorisation, read-only (a demoted server), rollback (deadlock), resources (disk
# full), object state (lock time-out), intervention (shutdown, time-out), system.
_AWAY = ("08", "28", "25006", "40", "53", "55", "57", "58")


FAILURES = (
    OSError, ValueError, OverflowError, TimeoutError, asyncio.TimeoutError, asyncpg.PostgresError,
    asyncpg.InterfaceError, asyncpg.InternalClientError,
)  # fmt: skip
"""InternalClientError: a connection lost within a statement."""


def _last_columns() -> dict[str, str]:
    """By constraint, the column that a Conflict blames."""
    known = {}
    for table in metadata.tables.values():
        for constraint in table.constraints:
            columns = getattr(constraint, "columns", None)
            if constraint.name is not None and columns:
                known[str(constraint.name)] = str(list(columns)[-1].name)
    return known


_BLAMED = _last_columns()


def from_postgres(error: Exception, table: sa.Table | None = None) -> StoreError:
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        column = _BLAMED.get(str(error.constraint_name), str(error.constraint_name))
        if isinstance(error, asyncpg.UniqueViolationError):
            return Conflict(column)
        if isinstance(error, (asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError)):
            pointed_at = table is not None and error.table_name not in (None, table.name)
            return Conflict("id" if pointed_at else column, "reference")
        return Rejected(str(error))
    if isinstance(error, asyncpg.PostgresError):
        code = str(error.sqlstate or "")
        if code.startswith(_AWAY):
            return Unavailable(str(error))
        return Rejected(str(error)) if code.startswith("22") else StoreError(str(error))
    # asyncpg's own "cannot encode this value" is an InterfaceError and a ValueError.
    if isinstance(error, (ValueError, OverflowError)):
        return Rejected(str(error))
    if isinstance(
        error, (OSError, TimeoutError, asyncio.TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    ):
        return Unavailable(str(error) or type(error).__name__)
    return StoreError(str(error))
