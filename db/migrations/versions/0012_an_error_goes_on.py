"""Since when a machine reports an error, also while people took it out of service."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reverse_vending_machines", sa.Column("error_since", UtcTimestamp))
    op.execute(
        "UPDATE reverse_vending_machines SET error_since = status_since "
        "WHERE COALESCE(special_status, status) = 'error'"
    )


def downgrade() -> None:
    op.drop_column("reverse_vending_machines", "error_since")
