"""What passes between the agent and the child that archives: assignment, reports, yielding.

One JSON object a line, by standard input and output; the end of its input ends the child."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from device.backups.rules import CHUNK, TRICKLE, TRICKLE_EVERY_S, RateLimit
from device.kernel.tls import HubTrust

FOLDER: Final = "backups"
IDENTITY: Final = "backup.key"
"""In the state folder: the machine's age identity, made with its first encrypted backup."""
MAX_LINE: Final = 1024 * 1024


class HubAddress(msgspec.Struct, frozen=True, kw_only=True):
    base_url: str
    api_token: str
    device_id: str
    timeout: float
    trust: HubTrust = HubTrust()


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """`folder`: the agent's own for backups; `args`: those of the kind."""

    kind: Literal["backup", "verify", "restore"]
    hub: HubAddress
    backup_id: int
    folder: str
    rate: float = 0.0
    args: dict[str, Any] = {}


class Yielding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Go on, or yield to `to`; at most `rate` bytes a second (0: no limit)."""

    to: Literal["", "customer", "control"] = ""
    rate: float = 0.0


class ChildFailure(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class ChildReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Progress, or the end. `waits_for`: `hub` or `store` while nothing gets through."""

    phase: str = ""
    done: float | None = None
    total: float | None = None
    waits_for: str = ""
    result: dict[str, Any] | None = None
    failure: ChildFailure | None = None
    peak_rss: int = 0
    """Bytes, at the end."""


class ChildFailedError(Exception):
    """A code for programs and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Gate:
    """Where the child's threads wait while it yields, and for its rate. Thread-safe."""

    def __init__(
        self,
        rate: float,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        trickle_every_s: float = TRICKLE_EVERY_S,
    ) -> None:
        self._monotonic = monotonic
        self._trickle_every_s = trickle_every_s
        self._changed = threading.Condition()
        self._to = ""
        self._most = rate
        self._limit = RateLimit(rate, monotonic())

    def set(self, wanted: Yielding) -> None:
        with self._changed:
            now = self._monotonic()
            if wanted.rate != self._most:
                self._most, self._limit = wanted.rate, RateLimit(wanted.rate, now)
            if wanted.to == "control" and self._to != "control":
                self._limit.fell_behind(now)
            elif not wanted.to:
                self._limit.resumed(now)
            self._to = wanted.to
            self._changed.notify_all()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._to)

    def grant(self, left: int) -> int:
        """How many of `left` bytes may be sent now; waits. While yielding, only a trickle."""
        with self._changed:
            if self._changed.wait_for(lambda: not self._to, self._trickle_every_s):
                while (wait_s := self._limit.wait_s(self._monotonic())) > 0 and not self._to:
                    self._changed.wait(wait_s)
            size = min(left, TRICKLE if self._to else CHUNK)
            self._limit.was_sent(size, self._monotonic())
            return size


class Control:
    """The child's side. `send` by one thread at a time, the methods by any."""

    def __init__(self, gate: Gate, send: Callable[[ChildReport], None]) -> None:
        self.gate = gate
        self._send = send
        self._lock = threading.Lock()

    def report(self, report: ChildReport) -> None:
        """Raises OSError when nobody reads."""
        with self._lock:
            self._send(report)

    def progress(self, phase: str, done: float | None = None, total: float | None = None) -> None:
        self.report(ChildReport(phase=phase, done=done, total=total))

    def stop(self) -> bool:
        """For loops that ask: waits while the child yields."""
        self.gate.wait()
        return False
