"""Uploads kept samples by HTTP: all while WebSocket cannot pass, and earlier boots' always.

A link numbers samples within its boot; REST carries boot and number of each. Only success frees them."""

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
"""At least; a full request is followed by a longer pause (`replay.pause_after`)."""
LEFTOVERS_RETRY_S: Final = 60.0
LEFTOVERS_RETRY_CAP_S: Final = 3600.0
UNACCEPTABLE: Final = frozenset({400, 413, 422})
"""The batch is halved until the bad sample is alone, which is dropped."""


class Uploader:
    """`is_live`: the link is up; `link_ended`: set whenever an attempt to connect has ended."""

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
        """Set when a link goes live."""

    def set_interval(self, seconds: float) -> None:
        """Also for the present pause."""
        if seconds != self._interval:
            self._interval = seconds
            self._changed.set()

    def use_key(self, key: str) -> None:
        self._client.use_key(key)

    async def run(self) -> None:
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
        """False: the hub refused a batch."""
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
        """Samples taken: all, or 0 when the batch must be halved."""
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
    """As REST takes them, each with boot and number."""
    first = batch.seq - len(batch.payloads) + 1
    samples = []
    for seq, payload in enumerate(batch.payloads, start=first):
        sample: Any = msgspec.json.decode(payload)
        samples.append({**sample, "boot_id": batch.boot, "seq": seq})
    return samples
