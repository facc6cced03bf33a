"""What tables share: metadata, recurring columns and options."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

JSON = sa.JSON(none_as_null=True)
# Events and samples outlive what they name by its id; SQLite would give the id of a deleted last row again.
NEVER_REUSED: dict[str, Any] = {"sqlite_autoincrement": True}

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def machine_column() -> sa.Column[int]:
    """`rvm_id`: the row goes with its machine."""
    return sa.Column(
        "rvm_id", sa.ForeignKey("reverse_vending_machines.id", ondelete="CASCADE"), nullable=False, index=True
    )
