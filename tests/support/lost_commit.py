"""A connection to PostgreSQL that is lost in the moment of a COMMIT."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest


def lose_the_next_commit(monkeypatch: pytest.MonkeyPatch, *, arrives: bool) -> None:
    """Its request, or its answer, is lost with the connection."""
    execute, lost = asyncpg.Connection.execute, list[str]()

    async def loses(self: asyncpg.Connection, query: str, *args: Any, **options: Any) -> str:
        if query != "COMMIT" or lost:
            answer: str = await execute(self, query, *args, **options)
            return answer
        lost.append(query)
        if arrives:
            await execute(self, query, *args, **options)
        self.terminate()
        raise ConnectionResetError("cut off")

    monkeypatch.setattr(asyncpg.Connection, "execute", loses)
