"""Machines report their boards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_TABLE = "reverse_vending_machines"


def upgrade() -> None:
    op.add_column(_TABLE, sa.Column("board_report", sa.JSON(none_as_null=True)))
    op.add_column(_TABLE, sa.Column("board_report_at", UtcTimestamp))


def downgrade() -> None:
    for name in ("board_report_at", "board_report"):
        op.drop_column(_TABLE, name)
