"""Uploads kept samples by HTTP: all of them while WebSocket cannot pass, and those of earlier boots always.

A link numbers samples within its boot; REST carries boot and number of each. Only success frees them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from device.api_client import ApiClient, ApiError, HubUnreachableError
from device.kernel.log import Log
from device.kernel.tasks import until_one_ends, wait_for_any
from device.kernel.worker_thread import WorkerThread
from device.link.rules import FallbackRules
from device.samples import rules as replay
from device.samples.spool import Batch, SampleSpool

BATCH_SAMPLES: Final = 100
BATCH_BYTES: Final = 48 * 1024
PACE_S: Final = 0.5
"""Between two requests at least; a full one is followed by a longer pause (`replay.pause_after`)."""
LEFTOVERS_RETRY_S: Final = 60.0
LEFTOVERS_RETRY_CAP_S: Final = 3600.0
UNACCEPTABLE: Final = frozenset({400, 413, 422})
"""The batch itself is refused: it is halved until the bad sample is alone, and that one is dropped."""


class Uploader:
    """`is_live` tells whether the link is up; `link_ended` is set whenever an attempt to connect has ended."""

    def __init__(
        self,
        client: ApiClient,
        spool: SampleSpool,
        disk: WorkerThread,
        rules: FallbackRules,
        interval: float,
        log: Log,
        is_live: Callable[[], bool],
        link_ended: asyncio.Event,
    ) -> None:
        self._client = client
        self._spool = spool
        self._disk = disk
        self._http: WorkerThread | None = None
        self._rules = rules
        self._interval = interval
        self._log = log
        self._is_live = is_live
        self._link_ended = link_ended
        self._changed = asyncio.Event()
        self.went_live = asyncio.Event()
        """To be set when a link goes live."""

    def set_interval(self, seconds: float) -> None:
        """From now on, also for the pause that is going on."""
        if seconds != self._interval:
            self._interval = seconds
            self._changed.set()

    async def run(self) -> None:
        """Uploads when there is reason to, for ever."""
        await until_one_ends(self._fall_back(), self._clear_leftovers())

    async def _fall_back(self) -> None:
        while True:
            await self._link_ended.wait()
            self._link_ended.clear()
            if not self._rules.wanted or self._is_live() or not await self._call(self._client.is_alive):
                continue
            self._log("fallback_begins")
            while self._rules.wanted and not self._is_live():
                await self._upload_all(self._spool.read_pending)
                self.went_live.clear()
                await self._pause()

    async def _pause(self) -> None:
        began = time.monotonic()
        while not self.went_live.is_set() and (left := began + self._interval - time.monotonic()) > 0:
            self._changed.clear()
            await wait_for_any((self.went_live, self._changed), left)

    async def _clear_leftovers(self) -> None:
        delay = LEFTOVERS_RETRY_S
        while True:
            await self.went_live.wait()
            if await self._upload_all(self._spool.read_leftovers):
                return  # this life makes no new ones
            await asyncio.sleep(delay)
            delay = min(2 * delay, LEFTOVERS_RETRY_CAP_S)

    async def _upload_all(self, read: Callable[[int, int], Batch | None]) -> bool:
        """Sends batches until there is none; False when the hub refused one."""
        count, limit = 0, BATCH_SAMPLES
        try:
            while (batch := await self._disk.call(read, limit, BATCH_BYTES)) is not None:
                sent = await self._upload(batch)
                count += sent
                limit = BATCH_SAMPLES if sent else max(1, len(batch.payloads) // 2)
                await asyncio.sleep(max(PACE_S, replay.pause_after(sent)))
        except (ApiError, HubUnreachableError) as error:
            self._log("upload_failed", why=error)
            return False
        if count:
            self._log("uploaded", count=count)
        return True

    async def _upload(self, batch: Batch) -> int:
        """How many samples were taken: all, or 0 when the batch must be halved."""
        try:
            await self._call(self._client.upload_metrics, numbered(batch))
        except ApiError as error:
            if error.status not in UNACCEPTABLE:
                raise
            if len(batch.payloads) > 1:
                return 0
            self._log("upload_failed", why=error)
        await self._disk.call(self._spool.acknowledge, batch.seq, batch.boot)
        return len(batch.payloads)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self._http = self._http or WorkerThread("http")
        return await self._http.call(function, *arguments)


def numbered(batch: Batch) -> list[dict[str, Any]]:
    """The samples of a batch as REST takes them: each with its boot and its number."""
    first = batch.seq - len(batch.payloads) + 1
    samples = []
    for seq, payload in enumerate(batch.payloads, start=first):
        sample: Any = msgspec.json.decode(payload)
        samples.append({**sample, "boot_id": batch.boot, "seq": seq})
    return samples
