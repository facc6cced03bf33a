"""What the database may refuse; each driver's errors become these."""

from __future__ import annotations

from typing import Literal

ConflictKind = Literal["unique", "reference", "missing"]


class StoreError(Exception):
    """Base of what `db` raises. Nothing was stored, unless `Unavailable.outcome_unknown`."""


class Conflict(StoreError):  # noqa: N818 - it reads `except Conflict`
    """`column` is to blame (of a unique key over several the last). `kind`: "unique" (the value exists), "reference"
    (its target does not, or is still pointed at), "missing" (the row to change does not exist or is past changing)."""

    def __init__(self, column: str, kind: ConflictKind = "unique") -> None:
        super().__init__(f"{kind} conflict on {column}")
        self.column = column
        self.kind = kind


class Unavailable(StoreError):  # noqa: N818 - likewise
    """Away, full or slower than 5 s; the same call may succeed later.

    `outcome_unknown`: it had been sent and may be stored; it must count as not."""

    def __init__(self, reason: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(reason)
        self.outcome_unknown = outcome_unknown


class Rejected(StoreError):  # noqa: N818 - likewise
    """No retry can store it: NUL in a text, out of range, a broken check constraint."""


class Unsuitable(StoreError):  # noqa: N818 - likewise
    """`code`: encoding, pooling, read_only, sqlite, standby, version; `facts` fill the sentence."""

    def __init__(self, code: str, why: str, **facts: object) -> None:
        super().__init__(why)
        self.code = code
        self.facts = facts


class OtherVersion(StoreError):  # noqa: N818 - likewise
    """It, or a copy, has `found`; this program knows up to `newest`."""

    def __init__(self, found: str, newest: str) -> None:
        super().__init__(f"the database has version {found}, this program {newest}")
        self.found = found
        self.newest = newest


class NotEmpty(StoreError):  # noqa: N818 - likewise
    """A hub's tables are in what a copy should fill."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} has tables of a hub already")
        self.where = where
