"""Keeps the machine's facts: journaled, flushed, then applied to the memory."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from device.journal.rules import Fact, Memory
from device.kernel import records, state_file
from device.kernel.worker_thread import WorkerThread
from device.status.rules import MachineState

LEAST_REWRITE_BYTES: Final = 1024 * 1024
GROWTH: Final = 4
"""A journal so many times its summary is rewritten: length costs disk, rewriting costs flash."""


class Journal:
    """One file; one thread at a time. `load` first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 1
        self._size = 0
        self._rewrite_at = LEAST_REWRITE_BYTES
        self.damaged = False

    @property
    def is_long(self) -> bool:
        return self._size > self._rewrite_at

    def load(self) -> list[Fact]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            data = b""
        facts, end, seen = [], 0, 0
        for record in records.scan(data):
            try:
                facts.append(msgspec.json.decode(record.payload, type=Fact))
            except msgspec.DecodeError:
                self.damaged = True
            self._next = record.seq + 1
            end, seen = record.end, seen + 1
        self.damaged = self.damaged or end != len(data) or seen != self._next - 1
        self._size = len(data)
        return facts

    def append(self, fact: Fact, *, durable: bool = True) -> None:
        """`durable` facts survive a power cut. Raises OSError; nothing was written then."""
        data = records.pack(self._next, msgspec.json.encode(fact))
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            before = os.fstat(handle).st_size
            try:
                _write_whole(handle, data, durable)
            except OSError:
                os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)
        if self._next == 1:
            state_file.sync_folder(self._path.parent)
        self._next += 1
        self._size = before + len(data)

    def rewrite(self, facts: list[Fact]) -> None:
        """Replace everything, atomically. Raises OSError; the old journal stands then."""
        content = b"".join(records.pack(n, msgspec.json.encode(fact)) for n, fact in enumerate(facts, start=1))
        state_file.write_bytes(self._path, content)
        self._next, self._size, self.damaged = len(facts) + 1, len(content), False
        self._rewrite_at = max(LEAST_REWRITE_BYTES, GROWTH * len(content))


def _write_whole(handle: int, data: bytes, durable: bool) -> None:
    if os.write(handle, data) != len(data):
        raise OSError(errno.ENOSPC, "the disk took only part of a fact")
    if durable:
        os.fsync(handle)


class StateKeeper:
    """`on_change` is called in the loop after each fact. `floor_seq`: no earlier life of this boot can have reached
    it, whatever folder it had; the hub takes a lower number for a repetition."""

    def __init__(
        self, journal_file: Path, disk: WorkerThread, on_change: Callable[[], None], floor_seq: int = 0
    ) -> None:
        self.memory = Memory()
        self.was_damaged = False
        self._journal = Journal(journal_file)
        self._disk = disk
        self._on_change = on_change
        self._floor_seq = floor_seq
        self._lock = asyncio.Lock()

    @property
    def state(self) -> MachineState:
        return self.memory.state

    async def open(self) -> None:
        """Load the journal, and rewrite a damaged or long one. Raises OSError."""
        for fact in await self._disk.call(self._journal.load):
            self.memory.apply(fact)
        state = self.memory.state
        self.memory.state = msgspec.structs.replace(state, seq=max(state.seq, self._floor_seq))
        self.was_damaged = self._journal.damaged
        if self.was_damaged or self._journal.is_long:
            await self._disk.call(self._journal.rewrite, self.memory.summary())

    async def step(self, decide: Callable[[MachineState], Fact]) -> Fact:
        async with self._lock:
            fact = decide(self.memory.state)
            await self._disk.call(lambda: self._journal.append(fact))
            self.memory.apply(fact)
            if self._journal.is_long:
                with contextlib.suppress(OSError):  # the fact stands; the next one tries again to make room
                    await self._disk.call(self._journal.rewrite, self.memory.summary())
        self._on_change()
        return fact

    async def confirm(self, ref: int | str) -> None:
        """Note that the hub has received an entry. Not flushed: losing this note costs one repetition."""
        fact = Fact(at=0.0, received=ref)
        async with self._lock:
            with contextlib.suppress(OSError):
                await self._disk.call(lambda: self._journal.append(fact, durable=False))
        self.memory.apply(fact)
