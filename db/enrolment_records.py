"""Records of how machines come into the fleet: one-time codes, and what came with one."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from db.table_row import TableRow


class EnrolmentCodeRow(TableRow, frozen=True, kw_only=True):
    """`rvm_id`: the machine it is for, None: each use adds one. `approval`: at_once, waiting. `created_at` to
    `expires_at`, `uses` at most."""

    TABLE: ClassVar[str] = "enrolment_codes"
    id: int = 0
    hash: str
    prefix: str
    name: str | None = None
    rvm_id: int | None = None
    uses: int
    used: int = 0
    approval: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


class EnrolmentRow(TableRow, frozen=True, kw_only=True):
    """A machine that came with a code. `state`: waiting, approved, rejected. `key_prefix`, `key_hash`: of the key that
    it made; `rvm_id`: the machine whose key it becomes, None: a new one's."""

    TABLE: ClassVar[str] = "enrolments"
    id: int = 0
    code_id: int
    rvm_id: int | None = None
    state: str
    key_prefix: str
    key_hash: str
    hostname: str | None = None
    model: str | None = None
    board_serial: str | None = None
    machine_id: str | None = None
    agent_version: str | None = None
    architecture: str | None = None
    os: str | None = None
    l4t: str | None = None
    ip_address: str | None = None
    created_at: datetime
    last_seen_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
