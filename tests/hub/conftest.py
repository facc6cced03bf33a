"""What holds for every test of the hub: short pauses, and hubs whose callers are in `tests.support.api_hub`.

`hub` (on SQLite; `door` where a test means the way in) and `any_hub` (once on each database) have two machines and
everybody who may come.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hub.kernel import retry
from tests.support.api_hub import ApiHub, api_hub


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a back-off; test_availability.py tests the pauses themselves."""
    monkeypatch.setattr(retry, "delays", lambda *_: itertools.repeat(0.001))


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


@pytest.fixture
def door(hub: ApiHub) -> ApiHub:
    return hub


@pytest_asyncio.fixture
async def any_hub(tmp_path: Path, database_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=database_url) as made:
        await made.add_everybody()
        yield made
