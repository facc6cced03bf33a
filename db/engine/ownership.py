"""Which hub has the data: who it is, where it is reached, and a file lock. Each driver adds its own lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, Literal

import anyio

from db.errors import StoreError

LOCK_FILE: Final = "hub.lock"
WAIT_S: Final = 3.0
"""For a hub before it, which may be ending."""
RETRY_S: Final = 0.1
_MOST_BYTES: Final = 512

Resource = Literal["data folder", "database"]


@dataclass(frozen=True, slots=True)
class Owner:
    """`token` distinguishes its connections from those of another with its process id."""

    host: str
    pid: int
    since: datetime
    token: str = field(default_factory=lambda: secrets.token_hex(3))

    @staticmethod
    def here() -> Owner:
        return Owner(socket.gethostname(), os.getpid(), datetime.now(timezone.utc).replace(microsecond=0))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


class InUse(StoreError):  # noqa: N818 - it reads `except InUse`
    """`holder` None: unknown."""

    def __init__(self, resource: Resource, where: str, holder: Owner | None) -> None:
        super().__init__(f"another hub has the {resource} ({where}): {holder or 'an unknown process'}")
        self.resource = resource
        self.where = where
        self.holder = holder


class FileLock:
    """The kernel opens it at the process's end; the file stays."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @staticmethod
    async def take(path: Path, owner: Owner, resource: Resource) -> FileLock:
        """Raises InUse, and OSError where no file can be made or locked (some NFS)."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not await _locked_in_time(descriptor):
                raise InUse(resource, str(path.parent), _read(descriptor))  # noqa: TRY301 - it closes the file, too
            # In place and of one length: a full disk has room for what is there already.
            with contextlib.suppress(OSError):
                os.pwrite(descriptor, _text(owner), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return FileLock(descriptor)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextlib.asynccontextmanager
async def own_folder(folder: Path, owner: Owner) -> AsyncIterator[None]:
    """For this user alone, off limits to every other hub. Raises InUse, OSError."""
    _make(folder)
    lock = await FileLock.take(folder / LOCK_FILE, owner, "data folder")
    try:
        yield
    finally:
        lock.release()


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


async def _locked_in_time(descriptor: int) -> bool:
    until = time.monotonic() + WAIT_S
    while not _locked(descriptor):
        if time.monotonic() > until:
            return False
        await anyio.sleep(RETRY_S)
    return True


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _text(owner: Owner) -> bytes:
    return _line({"host": owner.host[:200], "pid": owner.pid, "since": owner.since.timestamp()})


def _line(known: dict[str, object]) -> bytes:
    return json.dumps(known).encode().ljust(_MOST_BYTES - 1)[: _MOST_BYTES - 1] + b"\n"


def note_address(folder: Path, address: str) -> None:
    """Where the hub that has the folder is reached. Where that cannot be written, nobody finds it there."""
    with contextlib.suppress(OSError, ValueError, TypeError), _opened(folder, os.O_RDWR) as descriptor:
        text = _line({**json.loads(os.pread(descriptor, _MOST_BYTES, 0)), "address": address})
        if text.rstrip().endswith(b"}"):
            os.pwrite(descriptor, text, 0)


def address_of_holder(folder: Path) -> str | None:
    """Where the hub is reached that has the folder now; None: no hub has it, or nobody knows."""
    try:
        with _opened(folder, os.O_RDONLY) as descriptor:
            if _locked(descriptor):
                return None
            return str(json.loads(os.pread(descriptor, _MOST_BYTES, 0))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _opened(folder: Path, how: int) -> Iterator[int]:
    descriptor = os.open(folder / LOCK_FILE, how | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Owner | None:
    try:
        known = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
        return Owner(str(known["host"]), int(known["pid"]), datetime.fromtimestamp(known["since"], timezone.utc))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
