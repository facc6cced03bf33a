"""Machines enrol with one-time codes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_MACHINES = "reverse_vending_machines"


def upgrade() -> None:
    op.create_table(
        "enrolment_codes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=100)),
        sa.Column("rvm_id", sa.Integer()),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("approval", sa.String(length=20), nullable=False),
        sa.Column("created_by", sa.String(length=120), nullable=False),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("expires_at", UtcTimestamp(), nullable=False),
        sa.Column("revoked_at", UtcTimestamp()),
        sa.ForeignKeyConstraint(
            ["rvm_id"], [f"{_MACHINES}.id"], name=op.f(f"fk_enrolment_codes_rvm_id_{_MACHINES}"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment_codes")),
        sa.UniqueConstraint("hash", name=op.f("uq_enrolment_codes_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_enrolment_codes_rvm_id"), "enrolment_codes", ["rvm_id"])
    op.create_table(
        "enrolments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code_id", sa.Integer(), nullable=False),
        sa.Column("rvm_id", sa.Integer()),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("key_prefix", sa.String(length=20), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.String(length=100)) for name in ("hostname", "model", "board_serial")),
        sa.Column("machine_id", sa.String(length=64)),
        *(sa.Column(name, sa.String(length=100)) for name in ("agent_version", "architecture", "os", "l4t")),
        sa.Column("ip_address", sa.String(length=64)),
        sa.Column("created_at", UtcTimestamp(), nullable=False),
        sa.Column("last_seen_at", UtcTimestamp(), nullable=False),
        sa.Column("decided_by", sa.String(length=120)),
        sa.Column("decided_at", UtcTimestamp()),
        sa.ForeignKeyConstraint(
            ["rvm_id"], [f"{_MACHINES}.id"], name=op.f(f"fk_enrolments_rvm_id_{_MACHINES}"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolments")),
        sa.UniqueConstraint("key_prefix", name=op.f("uq_enrolments_key_prefix")),
        sqlite_autoincrement=True,
    )
    for name in ("code_id", "rvm_id", "state"):
        op.create_index(op.f(f"ix_enrolments_{name}"), "enrolments", [name])


def downgrade() -> None:
    op.drop_table("enrolments")
    op.drop_table("enrolment_codes")
