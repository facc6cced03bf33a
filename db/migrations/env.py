"""Runs migrations for `db.engine.migrate`: on a connection it is given, or as SQL text. Logs nothing."""

from __future__ import annotations

from typing import Any

from alembic import context

from db.schema import metadata

_OPTIONS: dict[str, Any] = {"target_metadata": metadata, "render_as_batch": True}


def _run() -> None:
    if context.is_offline_mode():
        # db.engine.migrate holds the transaction: no BEGIN and COMMIT in the text.
        dialect = context.config.attributes["dialect"]
        context.configure(dialect_name=dialect, transactional_ddl=False, **_OPTIONS)
    else:
        context.configure(connection=context.config.attributes["connection"], **_OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


_run()
