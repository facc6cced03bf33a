"""Files below a declared folder: opened part by part from that folder on, so that no link on the way leads out of it.

Everything here blocks; a worker thread calls it. Knows no stream.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from typing import Any, Final

from device.core.folders import TEMPORARY, PathRefusedError, Place

MAX_LISTED: Final = 2000
KEEP_FREE: Final = 64 * 1024 * 1024
"""What an upload leaves on the disk for everybody else."""
STALE_S: Final = 86400.0
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_LINKS: Final = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def opened_folder(place: Place) -> Iterator[int]:
    """A handle of the folder the place is, which may itself be a link its owner declared; nothing below it may."""
    with _explained():
        handle = os.open(place.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in place.parts:
            with _explained():
                following = os.open(part, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = following
        yield handle
    finally:
        os.close(handle)


def listing(place: Place) -> tuple[list[dict[str, Any]], bool]:
    """Files and folders of a folder by name, and whether there are more than are told. Links are left out, as they
    cannot be followed."""
    entries: list[dict[str, Any]] = []
    with opened_folder(place) as folder, _explained(), os.scandir(folder) as found:
        for entry in found:
            if len(entries) == MAX_LISTED:
                return _sorted(entries), True
            if entry.name.startswith(TEMPORARY):
                continue
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                kind = "folder" if stat.S_ISDIR(facts.st_mode) else "file"
                if kind == "folder" or stat.S_ISREG(facts.st_mode):
                    name = entry.name.encode(errors="surrogateescape").decode(errors="replace")
                    entries.append({"name": name, "kind": kind, "size": facts.st_size, "mtime": int(facts.st_mtime)})
    return _sorted(entries), False


class Reading:
    """A plain file on its way out."""

    def __init__(self, place: Place, limit: int) -> None:
        self._place = place
        self._limit = limit
        self._handle = -1
        self.size = 0
        self.mtime = 0

    def begin(self) -> None:
        """Open it, once it is known to be one: opening may already have an effect on what is no plain file."""
        with opened_folder(_above(self._place)) as folder, _explained():
            name = self._place.name
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise PathRefusedError("not_found", "this is no plain file")
            self._handle = os.open(name, _FILE, dir_fd=folder)
        facts = os.fstat(self._handle)
        if not stat.S_ISREG(facts.st_mode):
            raise PathRefusedError("not_found", "this is no plain file")
        if facts.st_size > self._limit:
            raise PathRefusedError("too_large", f"it has {facts.st_size} bytes, and {self._limit} are allowed")
        self.size, self.mtime = facts.st_size, int(facts.st_mtime)

    def read(self, size: int, offset: int) -> bytes:
        """Raises OSError."""
        return os.pread(self._handle, size, offset)

    def end(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class Reception:
    """A file on its way in: nobody sees it under its name before all of it is on the disk."""

    def __init__(self, place: Place, size: int, *, overwrite: bool) -> None:
        self._place = place
        self._size = size
        self._overwrite = overwrite
        self._open = contextlib.ExitStack()
        self._hash = hashlib.sha256()
        self._temporary = TEMPORARY + secrets.token_hex(8)
        self._handle = -1
        self.received = 0
        self.is_kept = False

    def begin(self) -> None:
        """Find the folder, look whether there is room, and make the file under its other name."""
        with self._on_failure():
            self._folder = self._open.enter_context(opened_folder(_above(self._place)))
            _sweep(self._folder)
            replaced = self._look_at_target()
            room = os.fstatvfs(self._folder)
            if room.f_bavail * room.f_frsize < self._size + KEEP_FREE:
                raise PathRefusedError("disk", "there is not enough room on the machine's disk")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._handle = os.open(self._temporary, flags, 0o644, dir_fd=self._folder)
            self._open.callback(os.close, self._handle)
            owner = replaced or os.fstat(self._folder)
            if os.geteuid() == 0:  # else the machine's own software could not replace or remove it
                os.fchown(self._handle, owner.st_uid, owner.st_gid)
            if replaced is not None:
                os.fchmod(self._handle, replaced.st_mode & 0o777)

    def write(self, data: bytes) -> None:
        with self._on_failure():
            if self.received + len(data) > self._size:
                raise PathRefusedError("too_large", "more bytes came than were announced")
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
            self._hash.update(data)
            self.received += len(data)

    def keep(self) -> str:
        """All of it came: flush it, give it its name, and say its SHA-256."""
        with self._on_failure():
            if self.received != self._size:
                raise PathRefusedError("invalid", f"{self._size} bytes were announced and {self.received} came")
            os.fsync(self._handle)
            self._name_it()
            os.fsync(self._folder)
        self.is_kept = True
        self.drop()
        return self._hash.hexdigest()

    def drop(self) -> None:
        """Leave nothing of it under its other name; what was kept stays."""
        if self._handle >= 0:
            self._handle = -1
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
        self._open.close()

    def _name_it(self) -> None:
        """One step either way; a link refuses to replace what came there meanwhile, a rename does not."""
        both = {"src_dir_fd": self._folder, "dst_dir_fd": self._folder}
        if not self._overwrite:
            with contextlib.suppress(PermissionError, NotImplementedError):  # a stick's FAT knows no links
                os.link(self._temporary, self._place.name, **both, follow_symlinks=False)
                return
        self._look_at_target()
        os.rename(self._temporary, self._place.name, **both)  # noqa: PTH104 - Path.rename knows no folder's handle

    def _look_at_target(self) -> os.stat_result | None:
        try:
            found = os.stat(self._place.name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise PathRefusedError("exists", "there is something of that name that is no plain file")
        if not self._overwrite:
            raise PathRefusedError("exists", "there is a file of that name; say that it may be replaced")
        return found

    @contextlib.contextmanager
    def _on_failure(self) -> Iterator[None]:
        try:
            with _explained():
                yield
        except PathRefusedError:
            self.drop()
            raise


def _above(place: Place) -> Place:
    if not place.parts:
        raise PathRefusedError("not_found", "this is a folder")
    return Place(place.folder, place.parts[:-1])


def _sorted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: (entry["kind"] == "file", entry["name"]))


def _sweep(folder: int) -> None:
    """Remove what an agent that was killed has left half received."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(TEMPORARY):
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_S:
                        os.unlink(entry.name, dir_fd=folder)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _LINKS:
            raise PathRefusedError("not_declared", "a link, or no folder where the path goes through one") from error
        if error.errno == errno.EEXIST:
            raise PathRefusedError("exists", "there is a file of that name") from error
        if error.errno in _FULL:
            raise PathRefusedError("disk", "there is no room on the machine's disk") from error
        if error.errno in (errno.EROFS, errno.EIO):
            raise PathRefusedError("disk", "the machine's disk does not take it") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise PathRefusedError("not_allowed", "the agent itself may not do this there") from error
        raise PathRefusedError("not_found", "there is no such file on the machine") from error
