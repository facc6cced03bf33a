"""The machine's memory and its journal kept in step: a fact counts once it is on disk, and then everybody is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from device.core.machine_state import MachineState
from device.core.memory import Fact, Memory
from device.journal import Journal
from device.worker_thread import WorkerThread


class StateKeeper:
    """`on_change` is called in the loop after every recorded fact. Disk work happens in `disk`."""

    def __init__(self, journal_file: Path, disk: WorkerThread, on_change: Callable[[], None]) -> None:
        self.memory = Memory()
        self.was_damaged = False
        self._journal = Journal(journal_file)
        self._disk = disk
        self._on_change = on_change
        self._lock = asyncio.Lock()

    @property
    def state(self) -> MachineState:
        """What the machine is now."""
        return self.memory.state

    async def open(self) -> None:
        """Read the journal; a damaged one is rewritten from what could be read. Raises OSError."""
        for fact in await self._disk.call(self._journal.load):
            self.memory.apply(fact)
        self.was_damaged = self._journal.damaged
        if self.was_damaged or self._journal.is_long:
            await self._disk.call(self._journal.rewrite, self.memory.summary())

    async def step(self, decide: Callable[[MachineState], Fact]) -> Fact:
        """Remember the fact that `decide` makes of the present state; nobody changes the state in between."""
        async with self._lock:
            fact = decide(self.memory.state)
            await self._disk.call(lambda: self._journal.append(fact))
            self.memory.apply(fact)
            if self._journal.is_long:
                with contextlib.suppress(OSError):  # the fact stands; the next one tries again to make room
                    await self._disk.call(self._journal.rewrite, self.memory.summary())
        self._on_change()
        return fact

    async def forget(self, ref: int | str) -> None:
        """The hub has confirmed `ref`. Losing this note costs one repetition: it need not be durable, nor succeed."""
        fact = Fact(at=0.0, received=ref)
        async with self._lock:
            with contextlib.suppress(OSError):
                await self._disk.call(lambda: self._journal.append(fact, durable=False))
        self.memory.apply(fact)
