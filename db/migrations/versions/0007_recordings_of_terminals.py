"""The recordings of terminals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "remote_recordings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("rvm_id", sa.Integer(), nullable=False),
        sa.Column("machine_name", sa.String(length=100), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("user_name", sa.String(length=200), nullable=False),
        sa.Column("ip_address", sa.String(length=64)),
        sa.Column("reason", sa.String(length=500)),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("started_at", UtcTimestamp(), nullable=False),
        sa.Column("ended_at", UtcTimestamp()),
        sa.Column("end_reason", sa.String(length=40)),
        sa.Column("duration_s", sa.Float()),
        sa.Column("size", sa.BigInteger()),
        sa.Column("sha256", sa.String(length=64)),
        sa.Column("object_key", sa.String(length=200)),
        sa.Column("input_recorded", sa.Boolean(), nullable=False),
        sa.Column("cols", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remote_recordings")),
        sqlite_autoincrement=True,
    )
    for column in ("rvm_id", "session_id", "started_at", "state"):
        op.create_index(op.f(f"ix_remote_recordings_{column}"), "remote_recordings", [column], unique=False)


def downgrade() -> None:
    op.drop_table("remote_recordings")
