"""Takes status declarations of other programs: files in a folder that only its owner may enter."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from device.kernel import state_file
from device.status.rules import KEEP, Kept, MachineState, declared

_PATTERN: Final = "*.request"


class StatusRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is absent stays, null ends it."""

    status: str | None = None
    capacity: int | None = None
    special_status: str | Kept | None = KEEP
    reason: str | Kept | None = KEEP
    until: str | Kept | None = KEEP


class StatusMailbox:
    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "requests"

    def post(self, request: StatusRequest) -> None:
        """Raises IllegalStatusError before anything is written, or OSError."""
        declared(MachineState(), "", **msgspec.structs.asdict(request))
        self._give_back()
        with state_file.as_owner(self._folder.parent):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._held():
                newest = max((int(path.stem) for path in self._numbered()), default=0)
                state_file.write_value(self._folder / f"{newest + 1:020d}.request", request)

    def _give_back(self) -> None:
        """A folder that root has made, by an earlier release: the agent that takes from it may be another user."""
        with contextlib.suppress(FileNotFoundError):
            owner, facts = self._folder.parent.stat(), self._folder.lstat()
            if os.geteuid() == facts.st_uid == 0 != owner.st_uid and stat.S_ISDIR(facts.st_mode):
                os.chown(self._folder, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def waiting(self) -> Iterator[tuple[Path, StatusRequest]]:
        """In order; a damaged one is removed."""
        for path in sorted(self._folder.glob(_PATTERN)):
            request = state_file.read_value(path, StatusRequest)
            if request is None:
                self.done(path)
            else:
                yield path, request

    def _numbered(self) -> list[Path]:
        return [path for path in self._folder.glob(_PATTERN) if path.stem.isdecimal()]

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """One program at a time numbers; the kernel unlocks."""
        lock, flags = self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            handle = os.open(lock, flags, 0o600)
        except PermissionError:  # root has left it, by an earlier release
            lock.unlink()
            handle = os.open(lock, flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def done(self, path: Path) -> None:
        """Journaled, or worthless."""
        with contextlib.suppress(OSError):
            path.unlink()
