"""A remote access session as a lease: until when, why, for what, who agreed, and how it ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLE = "remote_access_sessions"
# SQLite does not tell the names of its keys: this is how they are called.
_NAMES = {"fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s"}
_ADMIN = "fk_remote_access_sessions_admin_id_users"


def upgrade() -> None:
    with op.batch_alter_table(_TABLE, naming_convention=_NAMES) as batch_op:
        batch_op.add_column(sa.Column("admin_name", sa.String(length=200)))
        batch_op.add_column(sa.Column("reason", sa.String(length=500)))
        batch_op.add_column(sa.Column("duration_s", sa.Float()))
        batch_op.add_column(sa.Column("expires_at", UtcTimestamp()))
        batch_op.add_column(sa.Column("allow", sa.JSON(none_as_null=True)))
        batch_op.add_column(sa.Column("ports", sa.JSON(none_as_null=True)))
        batch_op.add_column(sa.Column("origin", sa.String(length=20), nullable=False, server_default="hub"))
        batch_op.add_column(sa.Column("approved_by", sa.String(length=120)))
        batch_op.add_column(sa.Column("approved_at", UtcTimestamp()))
        batch_op.add_column(sa.Column("ended_by", sa.String(length=120)))
        batch_op.add_column(sa.Column("end_reason", sa.String(length=100)))
        batch_op.add_column(sa.Column("command_id", sa.String(length=100)))
        batch_op.drop_constraint(_ADMIN, type_="foreignkey")
        batch_op.create_foreign_key(_ADMIN, "users", ["admin_id"], ["id"], ondelete="SET NULL")
        batch_op.create_index(batch_op.f("ix_remote_access_sessions_status"), ["status"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table(_TABLE, naming_convention=_NAMES) as batch_op:
        batch_op.drop_index(batch_op.f("ix_remote_access_sessions_status"))
        batch_op.drop_constraint(_ADMIN, type_="foreignkey")
        batch_op.create_foreign_key(_ADMIN, "users", ["admin_id"], ["id"])
        for name in (
            "command_id", "end_reason", "ended_by", "approved_at", "approved_by", "origin", "ports", "allow",
            "expires_at", "duration_s", "reason", "admin_name",
        ):  # fmt: skip
            batch_op.drop_column(name)
