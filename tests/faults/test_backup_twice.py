"""Bar 21: what a cut costs. The bytes of parts on the wire are counted: at most one part's, 8 MiB, goes twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from archive.age import make_identity
from hub.kernel.objects.place import PART_SIZE
from tests.faults.test_backup_killed import PART_S, RATE_KIB_S, SIZE, backed_up_to_s3, kill_agent, nothing_else_is_left
from tests.support.backed_up_machine import BackedUpMachine, backed_up_machine
from tests.support.forked_hub import forked_hub
from tests.support.part_tap import PartTap, part_tap

CUTS = 5


async def cut_again_and_again(
    machine: BackedUpMachine, tap: PartTap, seed: int, cut: Callable[[], Awaitable[None]], identity: str = ""
) -> None:
    """At any moment, while two parts are under way; then it is whole."""
    dice = random.Random(seed)
    backup_id = await machine.ask()
    for size in sorted(dice.randrange(PART_SIZE, SIZE) for _ in range(CUTS)):
        await machine.uploaded(size - PART_SIZE)
        await asyncio.sleep(dice.uniform(0, PART_S))  # anywhere in a part
        await cut()
        tap.cut()
    status = await machine.ended()
    await machine.check(backup_id, status, identity)
    print(f"of {tap.sent} bytes sent twice, by cut: {tap.twice}")
    assert tap.sent == status["file_size"], "the tap has seen every part"
    assert max(tap.twice) <= PART_SIZE
    await nothing_else_is_left(machine.hub, [backup_id])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("what", ["hub", "agent", "link"])
async def test_a_cut_makes_the_machine_send_at_most_one_parts_bytes_twice(
    tmp_path: Path, what: str, encrypted: bool
) -> None:
    identity, recipient = make_identity() if encrypted else ("", "")
    also = {"backup_public_key": recipient} if encrypted else {}
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(forked_hub(tmp_path))
        tap = await stack.enter_async_context(part_tap(hub.port))
        machine = await stack.enter_async_context(
            backed_up_machine(tmp_path / "site", hub, SIZE, url=tap.url, backup_rate=RATE_KIB_S, **also)
        )

        async def cut() -> None:
            if what == "hub":
                await hub.kill()
                await hub.start()
            elif what == "agent":
                await kill_agent(machine)
            else:
                tap.reset()

        await cut_again_and_again(machine, tap, 7, cut, identity)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_store_that_dies_or_hangs_costs_at_most_one_parts_bytes(tmp_path: Path, encrypted: bool) -> None:
    """It keeps whole parts only. Two faults: the agent asks again 15 s after each."""
    identity, recipient = make_identity() if encrypted else ("", "")
    also = {"backup_public_key": recipient} if encrypted else {}
    dice = random.Random(9)
    async with backed_up_to_s3(tmp_path, **also) as (machine, s3, tap):
        backup_id = await machine.ask()
        for size, fault in ((SIZE // 3, s3.kill), (SIZE * 2 // 3, s3.freeze)):
            await machine.uploaded(size)
            await asyncio.sleep(dice.uniform(0, PART_S))  # anywhere in a part
            fault()
            await machine.reports("waiting")
            s3.go_on() if fault == s3.freeze else await asyncio.to_thread(s3.start)
            tap.cut()
        status = await machine.ended()
        await machine.check(backup_id, status, identity)
        print(f"of {tap.sent} bytes sent twice, by fault: {tap.twice}")
        assert tap.sent == status["file_size"]
        assert max(tap.twice) <= PART_SIZE
        await nothing_else_is_left(machine.hub, [backup_id])
