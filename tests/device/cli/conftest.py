"""What tests of `doctor` share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sick_hub import SickHub


@pytest.fixture
def hub() -> Iterator[SickHub]:
    sick = SickHub()
    thread = threading.Thread(target=sick.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield sick
    sick.server.shutdown()
    sick.server.server_close()
    thread.join()


@pytest.fixture
def no_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
