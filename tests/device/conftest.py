"""What the tests of the time zone share: a look-up server, and a system bus of their own that the agent finds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.system_bus import PrivateBus, private_bus
from tests.support.zone_server import ZoneServer, zone_server


@pytest.fixture
def server() -> Iterator[ZoneServer]:
    with zone_server() as running_server:
        yield running_server


@pytest_asyncio.fixture
async def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateBus]:
    async with private_bus(tmp_path / "bus") as running_bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", running_bus.address)
        yield running_bus
