"""Declarations left by other programs on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.core.machine_state import IllegalStatusError
from device.status_mailbox import StatusMailbox, StatusRequest


def test_requests_wait_in_order_until_they_are_done(tmp_path: Path) -> None:
    box = StatusMailbox(tmp_path)
    assert list(box.waiting()) == []
    box.post(StatusRequest(status="full", capacity=100))
    box.post(StatusRequest(status="active"))
    assert [request.status for _, request in box.waiting()] == ["full", "active"]
    for path, _ in list(box.waiting()):
        assert path.stat().st_mode & 0o777 == 0o600
        box.done(path)
    assert list(box.waiting()) == []


def test_nonsense_is_refused_before_it_is_written_and_removed_when_found(tmp_path: Path) -> None:
    box = StatusMailbox(tmp_path)
    with pytest.raises(IllegalStatusError):
        box.post(StatusRequest(status="asleep"))
    assert not (tmp_path / "requests").exists()
    box.post(StatusRequest(status="full"))
    rubbish = tmp_path / "requests" / "0.request"
    rubbish.write_text("x")
    assert [request.status for _, request in box.waiting()] == ["full"]
    assert not rubbish.exists()
