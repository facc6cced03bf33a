"""A hub with two machines and everybody who may come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api_hub import ApiHub, api_hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path) as made:
        await made.add_everybody()
        yield made
