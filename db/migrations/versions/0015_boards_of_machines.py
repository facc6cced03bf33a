"""Which board a machine's key belongs to, and a different one that used it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLE = "reverse_vending_machines"


def upgrade() -> None:
    op.add_column(_TABLE, sa.Column("board", sa.JSON(none_as_null=True)))
    op.add_column(_TABLE, sa.Column("board_other", sa.JSON(none_as_null=True)))
    op.add_column(_TABLE, sa.Column("board_other_at", UtcTimestamp))


def downgrade() -> None:
    for name in ("board_other_at", "board_other", "board"):
        op.drop_column(_TABLE, name)
