"""An encrypted backup that is cut: goes on with its key, or begins anew with another; and what becomes of the key."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest

from archive.plan import Work
from device.backups.control import FOLDER
from device.backups.rules import MAX_RUN_S
from device.commands.jobs import WorkCancelledError, WorkFailedError
from tests.device.backups.client_bench import MIB, ClientBench, client_bench
from tests.support.backed_up_machine import unpacked
from tests.support.until import until

LONG_S = 100.0
"""The child has the lowest priority: on a busy computer it waits."""
pytestmark = pytest.mark.timeout(300)
OPERATOR = pyrage.x25519.Identity.generate()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ClientBench]:
    with client_bench(tmp_path, backup_public_key=str(OPERATOR.to_public())) as made:
        yield made


def opened(bench: ClientBench) -> dict[str, bytes]:
    return unpacked(pyrage.decrypt(bench.hub.backup(1).archive, [OPERATOR]))


def key_of(bench: ClientBench) -> Path:
    return Work(bench.settings.state_dir / FOLDER / "1" / "work").key


async def has_parts(bench: ClientBench, count: int) -> None:
    await until(lambda: len(bench.hub.backup(1).parts) >= count, LONG_S)


async def cut(bench: ClientBench, running: asyncio.Future[Any]) -> None:
    """The agent and its child end."""
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    bench.anew()


async def test_a_killed_child_goes_on_at_the_last_confirmed_part(bench: ClientBench) -> None:
    file = bench.fill("a.jpg", 60 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    for count in (2, 4, 6):
        await has_parts(bench, count)
        if running.done():
            break
        os.kill(bench.client.pid or 0, signal.SIGKILL)
        await until(lambda: bench.client.pid is None, LONG_S)
    await running
    backup = bench.hub.backup(1)
    assert opened(bench) == {"photos/a.jpg": file.read_bytes()}
    assert backup.summary is not None
    assert backup.summary["sha256"] == "", "it did not read the beginning again"
    assert not backup.replaced
    assert sum(backup.deliveries.values()) - len(backup.parts) <= 3, "one for each kill at most"


async def test_an_agent_that_starts_again_goes_on(bench: ClientBench) -> None:
    file = bench.fill("a.jpg", 60 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    await has_parts(bench, 3)
    assert key_of(bench).stat().st_mode & 0o777 == 0o600
    await cut(bench, running)
    before = len(bench.hub.backup(1).begun)
    await bench.back_up()
    backup = bench.hub.backup(1)
    assert opened(bench) == {"photos/a.jpg": file.read_bytes()}
    assert not backup.replaced
    assert sum(backup.deliveries.values()) - len(backup.parts) <= 1, backup.deliveries
    assert all("estimate" not in begun for begun in backup.begun[before:]), "it did not scan again"
    assert (await bench.verify(1))["bytes"] == 60 * MIB


def share_that_is_equal(left: bytes, right: bytes) -> float:
    both = list(zip(left, right, strict=False))
    return sum(a == b for a, b in both) / len(both)


@pytest.mark.parametrize("happens", ["changed", "key gone", "key damaged", "checkpoint damaged"])
async def test_where_nobody_can_go_on_it_begins_anew_under_another_key(bench: ClientBench, happens: str) -> None:
    """What is sent under a number then has nothing in common with what was sent before: one key would show both."""
    bench.set(compression_enabled=False)
    bench.fill("a.jpg", 60 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    await has_parts(bench, 3)
    await cut(bench, running)
    if happens == "changed":
        (bench.source / "a.jpg").write_bytes(b"\0" * 60 * MIB)  # what a same key would make of it is seen at once
    elif happens == "key gone":
        key_of(bench).unlink()
    elif happens == "key damaged":
        content = key_of(bench).read_bytes()
        key_of(bench).write_bytes(content[:200] + content[201:])
    else:
        (bench.settings.state_dir / FOLDER / "1" / "checkpoint").write_bytes(b"\x00")
    sent = dict(bench.hub.backup(1).parts)
    await bench.back_up()
    backup = bench.hub.backup(1)
    assert opened(bench) == {"photos/a.jpg": (bench.source / "a.jpg").read_bytes()}
    for number, before in sent.items():
        after = backup.parts[number]
        if happens == "changed" and number not in backup.replaced:
            assert after == before, "the cut came between two parts: nothing was made again, and it went on"
            continue
        begin = 400 if number == 1 else 0  # behind a header that all archives have
        assert backup.replaced[number] == before
        assert share_that_is_equal(before[begin : begin + 20_000], after[begin : begin + 20_000]) < 0.02
    assert (await bench.verify(1))["bytes"] == 60 * MIB


async def test_sources_that_changed_behind_what_went_do_not_matter(bench: ClientBench) -> None:
    bench.fill("a.jpg", 30 * MIB)
    bench.fill("b.jpg", 30 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    await has_parts(bench, 1)
    await cut(bench, running)
    bench.fill("b.jpg", 29 * MIB, seed=9)
    await bench.back_up()
    assert opened(bench)["photos/b.jpg"] == (bench.source / "b.jpg").read_bytes()


async def test_its_key_is_gone_when_it_has_ended_however(bench: ClientBench) -> None:
    bench.fill("a.jpg", 20 * MIB)
    bench.hub.finishing = 3
    running = asyncio.ensure_future(bench.back_up())
    await until(lambda: bench.hub.finishing < 3, LONG_S)
    assert not key_of(bench).exists(), "nothing is encrypted any more"
    await running
    assert not key_of(bench).parent.exists()

    bench.fill("a.jpg", 1000)
    bench.hub.backups.clear()
    bench.hub.refusals["complete"] = [(409, "damaged")]
    with pytest.raises(WorkFailedError, match="damaged"):
        await bench.back_up()
    assert not key_of(bench).parent.exists()

    bench.hub.backups.clear()
    bench.fill("a.jpg", 40 * MIB)
    job = bench.job()
    running = asyncio.ensure_future(bench.back_up(job=job))
    await has_parts(bench, 1)
    job.cancelled.set()
    with pytest.raises(WorkCancelledError):
        await running
    assert not key_of(bench).parent.exists()


async def test_what_an_earlier_life_left_is_gone_a_day_later(bench: ClientBench) -> None:
    """The hub has ended that backup meanwhile, and no command comes again for it."""
    bench.fill("a.jpg", 40 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    await has_parts(bench, 1)
    await cut(bench, running)
    await bench.client.open()
    assert key_of(bench).exists(), "it may go on"
    task = bench.settings.state_dir / FOLDER / "1" / "task"
    os.utime(task, (task.stat().st_mtime - MAX_RUN_S - 60,) * 2)
    await bench.client.open()
    assert not task.parent.exists()


async def test_a_check_of_another_one_leaves_what_goes_on_alone(bench: ClientBench) -> None:
    """The agent starts again in the middle of a backup, and the command that comes first is a check."""
    bench.fill("b.jpg", 1000)
    await bench.back_up(1)
    bench.fill("a.jpg", 40 * MIB)
    running = asyncio.ensure_future(bench.back_up(2))
    await until(lambda: len(bench.hub.backup(2).parts) >= 3, LONG_S)
    await cut(bench, running)
    await bench.verify(1)
    await bench.back_up(2)
    backup = bench.hub.backup(2)
    assert backup.replaced == {}, "under the same key"
    assert sum(backup.deliveries.values()) - len(backup.parts) <= 1, backup.deliveries


async def test_what_nobody_goes_on_with_is_gone_at_the_next_start(bench: ClientBench) -> None:
    """A life that ended between dropping its task and a new scan, or in a check."""
    bench.fill("a.jpg", 40 * MIB)
    running = asyncio.ensure_future(bench.back_up())
    await has_parts(bench, 1)
    await cut(bench, running)
    (bench.settings.state_dir / FOLDER / "1" / "task").unlink()
    await bench.client.open()
    assert not key_of(bench).parent.exists()
