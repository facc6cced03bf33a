"""Renews the machine's key over its link: made here, offered to the hub, used when the hub has committed it, and
confirmed on a link of its own.

Each step is on disk before the next, and the old key stays valid until the new one has opened a link: a kill of either
side at any step leaves a key that connects, and the next link goes on where the last one was."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from device.commands.jobs import Job, Result, WorkFailedError, WorkHandler, WorkRejectedError
from device.enrolment.service import new_key
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.settings import AgentSettings
from device.settings.machine_key import RenewedKey, keep, renewed_key, write_into
from protocol.commands import RenewKey
from protocol.enrolment import key_hash
from protocol.messages import KeyOffer

NO_DISK: Final = "the machine cannot write to its disk"


class KeyRenewal:
    """`turn`: of backups and restores, which hold the present key; `send(offer)`: by the link, if there is one;
    `use(key)`: for whatever begins from now on; `reconnect()`: close the link and come back at once."""

    def __init__(
        self,
        settings: AgentSettings,
        disk: WorkerThread,
        log: Log,
        turn: asyncio.Lock,
        send: Callable[[KeyOffer], None],
        use: Callable[[str], None],
        reconnect: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._written = settings.written_key
        self._disk = disk
        self._log = log
        self._turn = turn
        self._send = send
        self._use = use
        self._reconnect = reconnect
        self._kept = RenewedKey(instead_of=key_hash(self._written))
        self._in_use = settings.api_token
        self._linked_with = ""
        # Bound: two a link: the offer is sent once a link, and once more by a command.
        self._answers: deque[tuple[str, str | None]] = deque()
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._fault: str | None = None

    async def open(self) -> None:
        self._kept = await self._disk.call(renewed_key, self._written, self._settings.state_dir)
        if self._kept.offered:
            self._log.hide(self._kept.offered)
        if self._kept.current:  # an earlier life could not write it, or was killed before
            await self._write_into_file(self._written, self._kept.current)

    def handler(self) -> WorkHandler:
        return WorkHandler(self.renew, begins_itself=True)

    async def renew(self, _args: RenewKey, job: Job) -> Result:
        """Until the hub has confirmed the new key. Never begun before that: a restart begins it again, and it goes on
        with the same key. Raises WorkRejectedError, WorkFailedError."""
        if self._kept.command == job.id and not self._kept.offered:  # confirmed in an earlier life
            return await self._succeeded(job, self._in_use)
        self._check()
        async with self._turn:
            job.check()
            offered = self._kept.offered or new_key()
            self._log.hide(offered)
            self._ended.clear()
            await self._keep(replace(self._kept, offered=offered, command=job.id))
            job.progress("offering")
            self._offer()
            await self._ended.wait()
            if self._fault is not None:
                raise WorkFailedError("key_refused", self._fault)
            return await self._succeeded(job, offered)

    def linked(self, key: str) -> None:
        """A link is live that this key has opened."""
        self._linked_with = key
        if self._kept.offered:
            self._offer()

    def refused(self) -> bool:
        """The hub refuses the key in use. True: it was not confirmed, and the one before it is in use again; when that
        is refused, too, the new one has its turn after the usual wait."""
        kept, was_new = self._kept, self._in_use == self._kept.offered
        if kept.adopted:
            self._switch(kept.before(self._written) if was_new else kept.offered)
        return kept.adopted and was_new

    def answered(self, ref: int | str | None, fault: str | None = None) -> None:
        """The hub committed what has this reference, or why not."""
        if self._kept.offered and ref == prefix_of(self._kept.offered):
            self._answers.append((self._linked_with, fault))
            self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._answers:
                await self._take(*self._answers.popleft())

    async def _take(self, linked_with: str, fault: str | None) -> None:
        try:
            await self._settle(linked_with, fault)
        except WorkFailedError as failed:  # the next link offers it again
            self._end(failed.failure.message)

    async def _settle(self, linked_with: str, fault: str | None) -> None:
        kept = self._kept
        if not kept.offered or linked_with != self._linked_with:
            return
        if fault is not None:
            await self._keep(replace(kept, offered="", adopted=False))
            self._switch(kept.before(self._written))
            self._log("key_not_renewed", why=fault)
            self._end(fault)
        elif linked_with == kept.offered:
            await self._keep(replace(kept, current=kept.offered, offered="", adopted=False))
            self._log("key_renewed", prefix=prefix_of(kept.offered))
            if not await self._write_into_file(self._written, kept.offered):
                self._log("key_in_state", file=str(self._settings.key_place or ""))
            self._end(None)
        else:
            await self._keep(replace(kept, adopted=True))
            self._switch(kept.offered)
            self._reconnect()

    async def _write_into_file(self, old: str, new: str) -> bool:
        """False: the state folder goes on holding it."""
        place = self._settings.key_place
        try:
            is_there = place is not None and await self._disk.call(write_into, place, old, new)
        except OSError:
            return False
        if is_there:
            self._written = new
            kept = replace(self._kept, instead_of=key_hash(new), current="")
            with contextlib.suppress(WorkFailedError):  # the old note does not count beside the new file
                await self._keep(kept)
            self._kept = kept
        return is_there

    def _check(self) -> None:
        """Raises WorkRejectedError."""
        if self._settings.key_place is None:
            raise WorkRejectedError(
                "key_in_environment",
                "the key stands in the environment: write it into the machine's file (api_token), or one of its own",
            )
        if self._settings.is_plain:
            raise WorkRejectedError("plain_link", "the link is not encrypted: whoever listens would have the new key")
        if self._turn.locked():
            raise WorkRejectedError("busy_backup", "a backup or a restore uses the present key: ask again at its end")

    async def _keep(self, kept: RenewedKey) -> None:
        """Raises WorkFailedError."""
        try:
            await self._disk.call(keep, self._settings.state_dir, kept)
        except OSError as full:
            raise WorkFailedError("disk", NO_DISK) from full
        self._kept = kept

    def _offer(self) -> None:
        key = self._kept.offered
        self._send(KeyOffer(command=self._kept.command, key_prefix=prefix_of(key), key_hash=key_hash(key)))

    def _switch(self, key: str) -> None:
        if key != self._in_use:
            self._in_use = key
            self._use(key)

    def _end(self, fault: str | None) -> None:
        self._fault = fault
        self._ended.set()

    async def _succeeded(self, job: Job, key: str) -> Result:
        await job.begin()
        return {"key_prefix": prefix_of(key)}


def prefix_of(key: str) -> str:
    return key.rpartition("_")[0]
