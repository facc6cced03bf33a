"""A simulated machine's backups: real archives of made-up files, by the agent's own protocol."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator

import pytest

from demo import simulated_backup
from demo.simulated_machine import SimulatedMachine
from demo.simulated_plan import Plan, rfc3339
from protocol import messages as m
from tests.support.fake_backups import FakeBackups, fake_backups

SECONDS = 30.0


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBackups]:
    monkeypatch.setattr(simulated_backup, "RATE", 0.0)
    with fake_backups() as made:
        yield made


def machine(hub: FakeBackups) -> SimulatedMachine:
    link_url = hub.url.replace("http:", "ws:") + "/ws/device"
    return SimulatedMachine(Plan(device_id="rvm-1", api_key="rvmk_of_a_simulated_machine"), time.time(), link_url)


def back_up(rvm: SimulatedMachine, backup_id: int, kind: str) -> list[m.CommandUpdate]:
    """Its updates, to the last one."""
    now = time.time()
    args = {"backup_id": backup_id, "backup_type": kind, "include_images": True, "include_logs": False}
    expires = rfc3339(now + 3600)
    command = m.Command(id=f"c{backup_id}", name="start_backup", args=args, issued_at=rfc3339(now), expires_at=expires)
    updates = rvm.handle(command, now)
    ends = now + SECONDS
    while not any(
        isinstance(update, m.CommandUpdate) and update.state in ("succeeded", "failed") for update in updates
    ):
        assert time.time() < ends
        time.sleep(0.02)
        updates += rvm.act(time.time() + 1000)
    return [update for update in updates if isinstance(update, m.CommandUpdate)]


def test_its_archives_are_real_and_those_that_follow_are_small(hub: FakeBackups) -> None:
    rvm = machine(hub)
    assert "start_backup" in rvm.hello(0.0).capabilities
    first = back_up(rvm, 1, "incremental")
    assert first[-1].result is not None
    assert (first[-1].state, first[-1].result["backup_type"]) == ("succeeded", "full")
    with tarfile.open(fileobj=io.BytesIO(hub.backup(1).archive)) as tar:
        names = tar.getnames()
    assert sum(name.endswith(".jpg") for name in names) == simulated_backup.PHOTOS
    assert not any(name.endswith(".log") for name in names)
    second = back_up(rvm, 2, "incremental")
    assert second[-1].result is not None
    assert second[-1].result["backup_type"] == "incremental"
    assert len(hub.backup(2).archive) < len(hub.backup(1).archive) / 2
    assert {update.progress.phase for update in first + second if update.progress} >= {"scanning"}


def test_what_the_hub_refuses_is_how_it_ends(hub: FakeBackups) -> None:
    hub.refusals["upload"] = [(413, "too_large")]
    rvm = SimulatedMachine(
        Plan(device_id="rvm-1", api_key="k"), time.time(), hub.url.replace("http:", "ws:") + "/ws/device"
    )
    (*_, ended) = back_up(rvm, 1, "full")
    assert (ended.state, ended.error and ended.error.code) == ("failed", "too_large")
