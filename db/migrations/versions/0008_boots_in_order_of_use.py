"""A boot's row tells when it was used last, so that those unused for longest can go. Nobody read when it was first."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rename("first_seen_at", "last_used_at")


def downgrade() -> None:
    _rename("last_used_at", "first_seen_at")


def _rename(old: str, new: str) -> None:
    """Not by batch: on SQLite that would make the table anew and lose AUTOINCREMENT."""
    op.execute(f"ALTER TABLE machine_boots RENAME COLUMN {old} TO {new}")
    if op.get_context().dialect.name != "postgresql":
        return
    # From version 18 on NOT NULL has a name, made from that of the column.
    name = "machine_boots_{}_not_null"
    op.execute(
        f"DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_constraint WHERE conname = '{name.format(old)}') THEN"  # noqa: S608 - our own names
        f" ALTER TABLE machine_boots RENAME CONSTRAINT {name.format(old)} TO {name.format(new)}; END IF; END $$"
    )
