"""Records of backups, of uploaded parts, and of restores."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final

from db.table_row import TableRow

OPEN_BACKUP: Final = ("pending", "uploading")
GOOD_BACKUP: Final = ("completed", "verified")
"""Good `BackupRow.upload_status`; `failed` is the other end."""
BACKUP_COUNTER: Final = "backup_id"
"""Counter of the newest backup's id: none is given twice."""


class BackupRow(TableRow, frozen=True, kw_only=True):
    """`upload_status`: pending, uploading, completed, verified, failed; `file_path`: its key in the store; `sha256`
    and `file_size`: of what the store holds. `chain_id`: the full it builds on (a full's: itself), None before the
    upload. The hub numbers the rows itself, before the machine is asked."""

    TABLE: ClassVar[str] = "backup_logs"
    id: int = 0
    rvm_id: int
    backup_type: str
    file_path: str | None = None
    file_size: int | None = None
    upload_status: str = "pending"
    minio_path: str | None = None
    created_at: datetime
    trigger: str = "manual"
    requested_by: str | None = None
    command_id: str | None = None
    parent_id: int | None = None
    chain_id: int | None = None
    chain_position: int | None = None
    include_images: bool | None = None
    include_logs: bool | None = None
    compression: str | None = None
    encrypted: bool = False
    sha256: str | None = None
    upload_id: str | None = None
    part_size: int | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    verified_at: datetime | None = None
    drill_at: datetime | None = None
    drill_error: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    files: int | None = None
    bytes_total: int | None = None
    entries: int | None = None
    deleted_entries: int | None = None
    report: dict[str, Any] | None = None
    manifest_key: str | None = None
    expires_at: datetime | None = None
    deleted_at: datetime | None = None


class BackupPartRow(TableRow, frozen=True, kw_only=True):
    """In the store; `tag` is the store's."""

    TABLE: ClassVar[str] = "backup_parts"
    backup_id: int
    number: int
    size: int
    sha256: str
    tag: str


class RestoreRow(TableRow, frozen=True, kw_only=True):
    """Or its preview (`dry_run`)."""

    TABLE: ClassVar[str] = "backup_restores"
    id: int = 0
    rvm_id: int
    backup_id: int
    safety_backup_id: int | None = None
    command_id: str | None = None
    state: str
    dry_run: bool
    classes: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None
    requested_by: str
    reason: str | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    created_at: datetime
    finished_at: datetime | None = None
