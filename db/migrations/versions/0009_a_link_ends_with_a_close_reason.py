"""What a machine's link ended with is its close reason."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rename("farewell", "close_reason")


def downgrade() -> None:
    _rename("close_reason", "farewell")


def _rename(old: str, new: str) -> None:
    """Not by batch: on SQLite that would make the table anew and lose AUTOINCREMENT."""
    op.execute(f"ALTER TABLE reverse_vending_machines RENAME COLUMN {old} TO {new}")
