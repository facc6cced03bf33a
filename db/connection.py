"""The one face of the database: `open_store(url)` and the `Store` it gives. Knows no table and no query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from sqlalchemy.sql.selectable import SelectBase

from db.rows import SampleRow
from db.statements import Step, WriteResult

Dialect = Literal["sqlite", "postgresql"]


class Store(Protocol):
    """Every call ends within 5 s, if need be with `db.errors.Unavailable`."""

    dialect: Dialect

    async def fetch_all(self, query: SelectBase) -> list[Mapping[str, Any]]:
        """All rows of a select, as mappings of Python values."""

    async def fetch_one(self, query: SelectBase) -> Mapping[str, Any] | None:
        """The first row of a select."""

    async def write(self, *steps: Step) -> list[WriteResult]:
        """All steps in ONE transaction, on the disk when this returns; one result for each statement, in order.

        Calls take effect in the order in which they were made. Raises Conflict, Rejected, Unavailable.
        """

    async def store_samples(self, rows: Sequence[SampleRow]) -> None:
        """Store samples and raise machine_boots.last_seq, in one durable transaction; duplicates are ignored."""

    async def close(self) -> None:
        """Finish what was begun and let go of the database."""


async def open_store(url: str) -> Store:
    """Bring the database at `url` to the newest schema and open it.

    `sqlite:///PATH` (PATH taken as it is, so an absolute one gives four slashes) or `postgresql://...`.
    """
    raise NotImplementedError
