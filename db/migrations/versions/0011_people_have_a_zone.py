"""A person's own time zone, and when a session was last used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("timezone", sa.String(length=100)))
    op.add_column("sessions", sa.Column("last_used_at", UtcTimestamp()))


def downgrade() -> None:
    op.drop_column("sessions", "last_used_at")
    op.drop_column("users", "timezone")
