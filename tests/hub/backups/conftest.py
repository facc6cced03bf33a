"""A hub on each database for backups, and machine `one`, which uploads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.api_hub import ApiHub, api_hub
from tests.support.backup_client import BackupClient


@pytest_asyncio.fixture
async def any_hub(tmp_path: Path, database_url: str) -> AsyncIterator[ApiHub]:
    """One that drills nothing: most archives here are none."""
    async with api_hub(tmp_path, database_url=database_url, backup_scratch_gib=0) as made:
        await made.add_everybody()
        yield made


@pytest_asyncio.fixture
async def http(any_hub: ApiHub) -> AsyncIterator[httpx.AsyncClient]:
    async with any_hub.of("one") as client:
        yield client


@pytest.fixture
def client(any_hub: ApiHub, http: httpx.AsyncClient) -> BackupClient:
    return BackupClient(http, any_hub.machines["one"])
