"""Tokens are narrowed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tokens", sa.Column("role", sa.String(length=20)))
    op.add_column("tokens", sa.Column("machines", sa.JSON(none_as_null=True)))
    op.add_column("tokens", sa.Column("tags", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    op.drop_column("tokens", "tags")
    op.drop_column("tokens", "machines")
    op.drop_column("tokens", "role")
