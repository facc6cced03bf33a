"""Takes over authorities that the hub gives instead of the pinned ones: at a `welcome`, and while the link is live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from device.kernel import tls
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.settings import AgentSettings
from protocol.messages import TrustReport

ADOPT_S: Final = 5.0


class AuthorityAdoption:
    """`reply(report)` sends what is pinned from then on."""

    def __init__(self, settings: AgentSettings, log: Log, reply: Callable[[TrustReport], None]) -> None:
        self._settings = settings
        self._log = log
        self._reply = reply
        self._offered: str | None = None
        self._news = asyncio.Event()

    def offer(self, authority: str | None) -> None:
        """Adopt this authority next; never waits, the newest counts. None: the hub has none for this machine."""
        if authority is not None and self._settings.hub_trust.authorities:
            self._offered = authority
            self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            offered, self._offered = self._offered, None
            if offered is not None:
                await self._adopt(offered)

    async def _adopt(self, authority: str) -> None:
        """Trust the authority if it verifies the hub; a refusal leaves everything as it is."""
        trust = self._settings.hub_trust
        thread = WorkerThread("authority")
        try:
            adopted = await thread.call(tls.adopt, trust, self._settings.base_url, authority, ADOPT_S)
            pinned = adopted or await thread.call(trust.bundle)
        except OSError as error:
            self._log("authority_refused", why=error)
            return
        finally:
            thread.stop()
        if adopted is not None:
            self._log("authority_adopted", fingerprints=", ".join(each[:16] for each in adopted.fingerprints))
        if pinned is not None:
            until = f"{pinned.ends_at:%Y-%m-%dT%H:%M:%SZ}"
            self._reply(TrustReport(authorities=list(pinned.fingerprints), until=until))
