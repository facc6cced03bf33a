"""Machines renew their keys over the link."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.columns import UtcTimestamp

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reverse_vending_machines", sa.Column("next_api_key", sa.String(64)))
    op.add_column("reverse_vending_machines", sa.Column("next_api_key_prefix", sa.String(20)))
    op.add_column("reverse_vending_machines", sa.Column("next_api_key_at", UtcTimestamp))


def downgrade() -> None:
    for name in ("next_api_key_at", "next_api_key_prefix", "next_api_key"):
        op.drop_column("reverse_vending_machines", name)
