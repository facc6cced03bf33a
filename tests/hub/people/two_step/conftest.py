"""A hub on either database, with Budi, an operator with a password; and his phone, with which he signs in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from hub.people.two_step import rules
from tests.support.api_hub import PASSWORD, ApiHub, api_hub
from tests.support.authenticator import Phone


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=database_url) as made:
        await made.add_everybody()
        await made.add_user("budi", "operator", password=PASSWORD)
        yield made


@pytest_asyncio.fixture
async def phone(hub: ApiHub) -> Phone:
    made = Phone(hub)
    async with hub.of("budi") as budi:
        assert (await made.turn_on(budi)).status_code == 201
    made.wait(seconds=rules.STEP_S)
    return made
