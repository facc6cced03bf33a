"""Machines have coordinates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("latitude", "longitude"):
        op.add_column("reverse_vending_machines", sa.Column(name, sa.Float()))


def downgrade() -> None:
    for name in ("longitude", "latitude"):
        op.drop_column("reverse_vending_machines", name)
