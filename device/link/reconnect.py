"""Keeps a machine connected: connects, serves, waits by the policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from device.kernel.log import Log
from device.link.connection import LinkClosedError
from device.link.rules import KEY_REFUSED, REPLACED, End, FallbackRules, Kind, RetryPolicy
from protocol.errors import BOARD_REFUSED, BOARD_WAITS, CloseCode

WRONG_MACHINE: Final = "wrong_machine"
"""The hub's code: the key belongs to another machine than the one introduced."""
CERTIFICATE_FAULT: Final = "certificate_"
"""Begins the hub's codes for a key without the certificate of its machine (`_missing`, `_other`)."""


class Reconnector:
    """`attempt` makes and serves one link, and returns (or raises LinkClosedError with) its end."""

    def __init__(
        self, attempt: Callable[[], Awaitable[End]], policy: RetryPolicy, fallback: FallbackRules, log: Log
    ) -> None:
        self._attempt = attempt
        self._policy = policy
        self._fallback = fallback
        self._log = log
        self.ended = asyncio.Event()
        """Set after every attempt; the waiter clears it."""
        self.stopping = False

    async def run(self) -> None:
        while True:
            began = time.monotonic()
            end = await self._try_once()
            if self.stopping:
                return
            self._fallback.ended(end)
            self.ended.set()
            delay = self._policy.after(end, time.monotonic() - began)
            self._log("link_ended", why=self._why(end), delay=f"{delay:.1f}")
            await asyncio.sleep(delay)

    async def _try_once(self) -> End:
        try:
            return await self._attempt()
        except LinkClosedError as closed:
            return closed.end
        except Exception as error:  # noqa: BLE001 - the named boundary: link
            self._log("handler_failed", where="link", error=repr(error))
            return End(Kind.CLOSED, "internal error")

    def _why(self, end: End) -> str:
        if end.kind is Kind.RESTARTING:
            return self._log.why("why_restarting")
        if end.kind is Kind.RENEWED:
            return self._log.why("why_renewed")
        if end.kind is Kind.UNREACHABLE:
            return self._log.why("why_unreachable", detail=end.detail)
        if end.kind is Kind.UPGRADE_FAILED:
            return self._log.why("why_upgrade_failed", detail=end.detail)
        if end.code == CloseCode.REVOKED and WRONG_MACHINE in end.detail:
            return self._log.why("why_wrong_machine")
        if CERTIFICATE_FAULT in end.detail:
            return self._log.why("why_certificate", detail=end.detail)
        if BOARD_REFUSED in end.detail:
            return self._log.why("why_board_refused")
        if BOARD_WAITS in end.detail:
            return self._log.why("why_board_waits")
        if end.code in KEY_REFUSED:
            return self._log.why("why_key_refused", detail=end.detail)
        if end.code in REPLACED:
            return self._log.why("why_replaced")
        if end.code == CloseCode.NO_COMMON_VERSION:
            return self._log.why("why_version")
        return self._log.why("why_refused" if end.kind is Kind.REFUSED else "why_closed", detail=end.detail)
