"""`door` (on SQLite) and `any_hub` (once on each database): a hub whose callers are in `tests.support.api_hub`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.support.api_hub import ApiHub, api_hub


@pytest_asyncio.fixture
async def door(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


@pytest_asyncio.fixture
async def any_hub(tmp_path: Path, database_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=database_url) as made:
        await made.add_everybody()
        yield made
