"""Tickets for the control page: printed on the machine, good once.

A file in the state folder, named by its hash: the command line makes it, the agent redeems it by removing it. Ages
count from boot."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import time
from pathlib import Path
from typing import Final

from device.kernel.state_file import as_owner

FOLDER: Final = "page-tickets"
TICKET_S: Final = 300.0
VISIT_S: Final = 3600.0
MAX_VISITORS: Final = 16


def issue(state_dir: Path, boot: str) -> str:
    """Raises OSError."""
    folder = state_dir / FOLDER
    ticket = secrets.token_urlsafe(24)
    with as_owner(state_dir):  # who redeems it
        folder.mkdir(mode=0o700, exist_ok=True)
        for old in folder.iterdir():
            if not _is_fresh(old, boot):
                old.unlink(missing_ok=True)
        file = folder / _hashed(ticket)
        file.write_text(f"{boot} {_since_boot()}")
        file.chmod(0o600)
    return ticket


def redeem(state_dir: Path, boot: str, ticket: str) -> bool:
    file = state_dir / FOLDER / _hashed(ticket)
    with contextlib.suppress(OSError):
        fresh = _is_fresh(file, boot)
        file.unlink()
        return fresh
    return False


class Visitors:
    """Browsers that showed a ticket, each for an hour."""

    def __init__(self) -> None:
        # Bound: MAX_VISITORS, the oldest goes.
        self._until: dict[str, float] = {}

    def admit(self) -> str:
        while len(self._until) >= MAX_VISITORS:
            del self._until[next(iter(self._until))]
        secret = secrets.token_urlsafe(24)
        self._until[_hashed(secret)] = time.monotonic() + VISIT_S
        return secret

    def knows(self, secret: str) -> bool:
        wanted = _hashed(secret)
        return any(
            hmac.compare_digest(wanted, known) and time.monotonic() < until for known, until in self._until.items()
        )


def _is_fresh(file: Path, boot: str) -> bool:
    try:
        made_in, _, at = file.read_text().partition(" ")
        return made_in == boot and 0 <= _since_boot() - float(at) < TICKET_S
    except (OSError, ValueError):
        return False


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
