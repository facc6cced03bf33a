"""Destinations choose causes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notification_destinations", sa.Column("causes", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    op.drop_column("notification_destinations", "causes")
