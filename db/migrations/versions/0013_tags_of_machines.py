"""Tags of machines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reverse_vending_machines", sa.Column("tags", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    op.drop_column("reverse_vending_machines", "tags")
