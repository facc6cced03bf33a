"""Triggers that keep the audit log from being changed, deleted or emptied.

Part of `db.schema`, and of migration 0004 word for word. A migration that has SQLite rebuild the table (batch mode)
has to make them again."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

REFUSAL: Final = "the record of events is never changed"

ON_SQLITE: Final = tuple(
    f"CREATE TRIGGER events_are_not_{done} BEFORE {verb} ON events BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    for verb, done in (("UPDATE", "changed"), ("DELETE", "deleted"))
)
_FUNCTION: Final = (
    "CREATE FUNCTION refuse_to_change_events() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
)
_TRIGGER: Final = (
    "CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON events "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_events()"
)
ON_POSTGRES: Final = (_FUNCTION, _TRIGGER)


def guard(table: sa.Table) -> None:
    """Whenever SQLAlchemy makes the table (migrations make theirs)."""
    for dialect, statements in (("sqlite", ON_SQLITE), ("postgresql", ON_POSTGRES)):
        for statement in statements:
            ddl: Any = sa.DDL(statement)  # type: ignore[no-untyped-call]
            sa.event.listen(table, "after_create", ddl.execute_if(dialect=dialect))
