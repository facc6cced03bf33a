"""Everything of a hub but the web, on a database and a folder of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hub.lifespan import Engine, open_engine
from hub.settings import Settings


@asynccontextmanager
async def engine_life(folder: Path, database_url: str) -> AsyncIterator[tuple[Engine, Settings]]:
    settings = Settings.load({"data_dir": folder / "data", "database_url": database_url}, {})
    up: asyncio.Future[Engine] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def live() -> None:  # a task of its own: a fixture begins and ends in different ones
        async with open_engine(settings) as engine:
            up.set_result(engine)
            await done.wait()

    life: asyncio.Future[None] = asyncio.create_task(live())
    try:
        waited: set[asyncio.Future[Any]] = {up, life}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            life.result()
        yield up.result(), settings
    finally:
        done.set()
        await life
