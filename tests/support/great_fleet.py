"""A hub process with so many machines that what is done for all of them at once would show, and readings of each."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from db.schema import system_metrics
from hub.cli.data import open_data
from hub.lifespan import utc_now
from hub.machines import rules
from hub.settings import Settings
from tests.support.forked_hub import ForkedHub, forked_hub

MACHINES = 2000
AT_ONCE = 250


@asynccontextmanager
async def great_fleet(folder: Path, machines: int = MACHINES) -> AsyncIterator[ForkedHub]:
    """Everything is there before it starts; its administrator is `hub.admin`."""
    async with forked_hub(folder) as hub:
        await hub.end()
        await fill(hub.settings, machines)
        await hub.start()
        yield hub


async def fill(settings: Settings, machines: int) -> None:
    chance, now = random.Random(machines), utc_now()
    async with open_data(settings, create=True) as opened:
        for start in range(0, machines, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, machines))
            made = [
                rules.new_machine(
                    rules.MachineFacts(f"Mall Kelapa Gading {n}", f"great-{n}", "Lantai 1, dekat lift"), "system", now
                )[1]
                for n in numbers
            ]
            await opened.commit(*[change for changes in made for change in changes])
        rows = [
            {
                "rvm_id": rvm_id, "timestamp": now - timedelta(minutes=minute), "boot": 1, "seq": minute,
                "id": rvm_id * 10 + minute, "cpu_usage": chance.uniform(1, 99), "memory_usage": 50.0,
                "temperature": chance.uniform(40, 99), "created_at": now,
            }
            for rvm_id in range(1, machines + 1)
            for minute in range(2)
        ]  # fmt: skip
        for start in range(0, len(rows), AT_ONCE):
            await opened.store.write(sa.insert(system_metrics).values(rows[start : start + AT_ONCE]))
