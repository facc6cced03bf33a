"""The record of what was wrong with a machine."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from db.table_row import TableRow


class TroubleRow(TableRow, frozen=True, kw_only=True):
    """One cause of one machine, from `began_at` (the true since; `noticed_at`: when the hub had it) until `ended_at`
    (None: it stands). `value`: the reading behind it when it began; `owner_id`: who is on it; `snoozed_until`: until
    then it is not counted; `note`: of `note_by`. Names stay when the person is removed."""

    TABLE: ClassVar[str] = "troubles"
    id: int = 0
    rvm_id: int
    cause: str
    value: float | None = None
    began_at: datetime
    noticed_at: datetime
    ended_at: datetime | None = None
    owner_id: int | None = None
    owner: str | None = None
    taken_at: datetime | None = None
    snoozed_until: datetime | None = None
    snoozed_by: str | None = None
    note: str | None = None
    note_by: str | None = None
    note_at: datetime | None = None
