"""What a machine's own file and environment set of its settings, as it reports it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("reverse_vending_machines", schema=None) as batch_op:
        batch_op.add_column(sa.Column("config_own", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    with op.batch_alter_table("reverse_vending_machines", schema=None) as batch_op:
        batch_op.drop_column("config_own")
