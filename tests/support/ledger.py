"""What a hub's database really holds, read beside the hub or after it: to be held against what was promised."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import sqlalchemy as sa

from db import schema
from db.engine.store import Store, open_store

Sample = tuple[int, str, int]
TERMINAL = frozenset({"succeeded", "failed", "rejected", "expired", "cancelled"})


class Ledger:
    """Questions to the tables; each is asked anew."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def rows(self, *columns: sa.ColumnElement[Any], where: sa.ColumnElement[bool] | None = None) -> list[Any]:
        query = sa.select(*columns) if where is None else sa.select(*columns).where(where)
        found: list[Mapping[str, Any]] = list(await self._store.fetch_all(query))
        return found

    async def samples(self) -> Counter[Sample]:
        """How often each (machine, boot, seq) is stored."""
        kept, boots = schema.system_metrics.c, schema.machine_boots.c
        rows = await self.rows(kept.rvm_id, boots.boot_id, kept.seq, where=kept.boot == boots.id)
        return Counter((row["rvm_id"], row["boot_id"], row["seq"]) for row in rows)

    async def taken(self, rvm_id: int) -> dict[int, float]:
        """When each sample of a machine was taken, in Unix seconds, by its number."""
        kept = schema.system_metrics.c
        rows = await self.rows(kept.seq, kept.timestamp, where=kept.rvm_id == rvm_id)
        return {row["seq"]: row["timestamp"].timestamp() for row in rows}

    async def clamped(self, rvm_id: int) -> set[int]:
        """The numbers of a machine's samples that were dated by the hub."""
        kept = schema.system_metrics.c
        return {row["seq"] for row in await self.rows(kept.seq, where=sa.and_(kept.rvm_id == rvm_id, kept.clamped))}

    async def reasons(self) -> Counter[str]:
        """How often each reason stands in the history of statuses."""
        return Counter(row["reason"] for row in await self.rows(schema.status_history.c.reason))

    async def commands(self) -> dict[str, str]:
        """The state of every command by its id."""
        rows = await self.rows(schema.commands.c.id, schema.commands.c.state)
        return {row["id"]: row["state"] for row in rows}

    async def ends(self) -> Counter[str]:
        """How often the end of each command was recorded as an event."""
        rows = await self.rows(schema.events.c.params, where=schema.events.c.code == "command.finished")
        return Counter(row["params"]["command_id"] for row in rows)

    async def late(self) -> set[str]:
        """The commands whose machine had another end to tell after they had ended."""
        rows = await self.rows(schema.events.c.params, where=schema.events.c.code == "command.late")
        return {row["params"]["command_id"] for row in rows}

    async def all_commands_ended(self, within: float) -> None:
        await self.until(lambda states: set(states.values()) <= TERMINAL, within)

    async def until(self, true: Callable[[dict[str, str]], bool], within: float) -> None:
        """Until it is true of the commands."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + within
        while not true(states := await self.commands()):
            assert loop.time() < ends, Counter(states.values())
            await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def open_ledger(database_url: str) -> AsyncIterator[Ledger]:
    store = await open_store(database_url)
    try:
        yield Ledger(store)
    finally:
        await store.close()
