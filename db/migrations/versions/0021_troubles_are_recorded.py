"""Troubles are recorded from their beginning to their end."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "troubles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rvm_id", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("began_at", UtcTimestamp(), nullable=False),
        sa.Column("noticed_at", UtcTimestamp(), nullable=False),
        sa.Column("ended_at", UtcTimestamp(), nullable=True),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("owner", sa.String(length=100), nullable=True),
        sa.Column("taken_at", UtcTimestamp(), nullable=True),
        sa.Column("snoozed_until", UtcTimestamp(), nullable=True),
        sa.Column("snoozed_by", sa.String(length=100), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("note_by", sa.String(length=100), nullable=True),
        sa.Column("note_at", UtcTimestamp(), nullable=True),
        sa.ForeignKeyConstraint(
            ["rvm_id"],
            ["reverse_vending_machines.id"],
            name=op.f("fk_troubles_rvm_id_reverse_vending_machines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_troubles")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_troubles_rvm_id"), "troubles", ["rvm_id"])
    op.create_index(op.f("ix_troubles_ended_at"), "troubles", ["ended_at"])


def downgrade() -> None:
    op.drop_table("troubles")
