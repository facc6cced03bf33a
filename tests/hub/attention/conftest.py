"""What holds for every test of attention."""

from __future__ import annotations

import pytest

from hub.attention import service


@pytest.fixture(autouse=True)
def _looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is recorded with the next look is awaited some hundred times here."""
    monkeypatch.setattr(service, "LOOK_S", 0.01)
