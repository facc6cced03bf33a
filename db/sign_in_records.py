"""Records of the second step of a sign-in: whose app gives codes, and what replaces it once."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from db.table_row import TableRow


class TwoStepRow(TableRow, frozen=True, kw_only=True):
    """`secret`: what the app computes its codes from, sealed (hub.kernel.sealing); `last_step`: of the newest code that
    was accepted, none of it or before counts again."""

    TABLE: ClassVar[str] = "two_steps"
    user_id: int
    secret: str
    since: datetime
    last_step: int


class RecoveryCodeRow(TableRow, frozen=True, kw_only=True):
    """One that was not used yet."""

    TABLE: ClassVar[str] = "recovery_codes"
    hash: str
    user_id: int
