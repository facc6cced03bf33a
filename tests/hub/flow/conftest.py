"""What holds for every test of the flow."""

from __future__ import annotations

import itertools

import pytest

from hub.flow import availability


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a back-off; test_availability.py tests the pauses themselves."""
    monkeypatch.setattr(availability, "delays", lambda *_: itertools.repeat(0.001))
