"""How many commits a store makes, on either database: what waits together shares one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from db.engine.store import Store


def counted_commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Tells how many since now."""
    seen: list[str] = []
    if store.dialect == "postgresql":
        import asyncpg

        execute = asyncpg.Connection.execute

        async def counted(self: asyncpg.Connection, query: str, *args: object, **options: object) -> str:
            seen.append(query)
            status: str = await execute(self, query, *args, **options)
            return status

        monkeypatch.setattr(asyncpg.Connection, "execute", counted)
    else:
        from db.engine.sqlite_writer import SqliteWriter

        commit = SqliteWriter._commit

        def counted_commit(self: SqliteWriter, calls: list[object]) -> None:
            seen.append("COMMIT")
            commit(self, calls)  # type: ignore[arg-type]

        monkeypatch.setattr(SqliteWriter, "_commit", counted_commit)
    return lambda: seen.count("COMMIT")
