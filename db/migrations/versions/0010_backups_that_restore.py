"""A backup's life, the parts of its upload, and restores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLE = "backup_logs"


def upgrade() -> None:
    for column in _new_columns():
        op.add_column(_TABLE, column)
    for name in ("upload_status", "command_id"):
        op.create_index(op.f(f"ix_backup_logs_{name}"), _TABLE, [name])
    op.create_table(
        "backup_parts",
        sa.Column("backup_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["backup_id"], ["backup_logs.id"], name=op.f("fk_backup_parts_backup_id_backup_logs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("backup_id", "number", name=op.f("pk_backup_parts")),
    )
    _restores()


def downgrade() -> None:
    op.drop_table("backup_restores")
    op.drop_table("backup_parts")
    for name in ("command_id", "upload_status"):
        op.drop_index(op.f(f"ix_backup_logs_{name}"), _TABLE)
    for column in reversed(_new_columns()):
        op.drop_column(_TABLE, column.name)


def _new_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("trigger", sa.String(length=20), server_default="manual", nullable=False),
        sa.Column("requested_by", sa.String(length=120)),
        sa.Column("command_id", sa.String(length=100)),
        sa.Column("parent_id", sa.Integer()),
        sa.Column("chain_id", sa.Integer()),
        sa.Column("chain_position", sa.Integer()),
        sa.Column("include_images", sa.Boolean()),
        sa.Column("include_logs", sa.Boolean()),
        sa.Column("compression", sa.String(length=20)),
        sa.Column("encrypted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("sha256", sa.String(length=64)),
        sa.Column("upload_id", sa.String(length=500)),
        sa.Column("part_size", sa.Integer()),
        sa.Column("started_at", UtcTimestamp()),
        sa.Column("completed_at", UtcTimestamp()),
        sa.Column("verified_at", UtcTimestamp()),
        sa.Column("drill_at", UtcTimestamp()),
        sa.Column("drill_error", sa.JSON(none_as_null=True)),
        sa.Column("error", sa.JSON(none_as_null=True)),
        sa.Column("files", sa.Integer()),
        sa.Column("bytes_total", sa.BigInteger()),
        sa.Column("entries", sa.Integer()),
        sa.Column("deleted_entries", sa.Integer()),
        sa.Column("report", sa.JSON(none_as_null=True)),
        sa.Column("manifest_key", sa.String(length=200)),
        sa.Column("expires_at", UtcTimestamp()),
        sa.Column("deleted_at", UtcTimestamp()),
    ]


def _restores() -> None:
    op.create_table(
        "backup_restores",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rvm_id", sa.Integer(), nullable=False),
        sa.Column("backup_id", sa.Integer(), nullable=False),
        sa.Column("safety_backup_id", sa.Integer()),
        sa.Column("command_id", sa.String(length=100)),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("classes", sa.JSON(none_as_null=True)),
        sa.Column("paths", sa.JSON(none_as_null=True)),
        sa.Column("requested_by", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.String(length=500)),
        sa.Column("result", sa.JSON(none_as_null=True)),
        sa.Column("error", sa.JSON(none_as_null=True)),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("finished_at", UtcTimestamp()),
        sa.ForeignKeyConstraint(
            ["rvm_id"],
            ["reverse_vending_machines.id"],
            name=op.f("fk_backup_restores_rvm_id_reverse_vending_machines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_restores")),
        sqlite_autoincrement=True,
    )
    for name in ("command_id", "rvm_id"):
        op.create_index(op.f(f"ix_backup_restores_{name}"), "backup_restores", [name])
