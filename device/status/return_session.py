"""Whether a return session is open, as the machine's software declares it (docs/machine_software.md): by a file
touched now and then, or by `declare`. Ends after `most_s` seconds without renewal."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from device.settings import AgentSettings

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""No link is followed, no pipe waited at."""


_WAY: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW
MOST_LINKS: Final = 40


class NotPlainError(OSError):
    """Something other than a file stands there."""


class ReturnSession:
    """Blocks for a look at one file. Ages are monotonic: a jumping clock ends no session, and a file from before
    this boot opens none."""

    def __init__(
        self,
        file: Path,
        most_s: float,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._most_s = most_s
        self._monotonic = monotonic
        self._wall = wall
        self._declared_at: float | None = None
        self._seen: int | None = None
        self._touched_at = 0.0

    def is_open(self) -> bool:
        now = self._monotonic()
        declared = self._declared_at is not None and now - self._declared_at < self._most_s
        return declared or self._file_says_so(now)

    def declare(self, busy: bool) -> None:
        """To be repeated within `most_s`."""
        self._declared_at = self._monotonic() if busy else None

    def touch(self) -> None:
        """Raises OSError, NotPlainError for a link, a pipe and the like."""
        with _named(self._file):
            _make(self._file.parent)
            with opened_way(self._file.parent) as folder:
                try:
                    opened = os.open(self._file.name, _FLAGS, 0o644, dir_fd=folder)
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENXIO):
                        raise NotPlainError(error.errno, "not a plain file", str(self._file)) from error
                    raise
        try:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise NotPlainError(errno.EINVAL, "not a plain file", str(self._file))
            os.utime(opened)
        finally:
            os.close(opened)

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError), _named(self._file), opened_way(self._file.parent) as folder:
            os.unlink(self._file.name, dir_fd=folder)

    def _file_says_so(self, now: float) -> bool:
        try:
            touched = self._file.stat().st_mtime_ns
        except OSError:
            self._seen = None
            return False
        if touched != self._seen:
            first_look = self._seen is None
            self._seen = touched
            # Only at the first look the wall clock has to give its age; one from the future was touched just now.
            self._touched_at = now - max(0.0, self._wall() - touched / 1e9) if first_look else now
        return self._touched_at >= 0 and now - self._touched_at < self._most_s


@contextlib.contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = str(file)
        raise


def _make(folder: Path) -> None:
    try:
        with opened_way(folder):
            return
    except FileNotFoundError:
        _make(folder.parent)
    with opened_way(folder.parent) as above, contextlib.suppress(FileExistsError):
        os.mkdir(folder.name, 0o700, dir_fd=above)


@contextlib.contextmanager
def opened_way(path: Path) -> Iterator[int]:
    """Only links of root or of ourselves are followed. Raises OSError, NotPlainError."""
    rest, links = [*path.absolute().parts[:0:-1]], 0
    handle = os.open("/", _WAY)
    try:
        while rest:
            part = rest.pop()
            following = os.open(part, _WAY, dir_fd=handle)
            facts = os.fstat(following)
            if not stat.S_ISLNK(facts.st_mode):
                os.close(handle)
                handle = following
                continue
            try:
                if facts.st_uid not in (0, os.geteuid()):
                    raise NotPlainError(errno.ELOOP, "a link of somebody else", str(path))
                target = Path(os.readlink("", dir_fd=following))
            finally:
                os.close(following)
            rest += target.parts[::-1] if not target.is_absolute() else target.parts[:0:-1]
            links += 1
            if links > MOST_LINKS:
                raise NotPlainError(errno.ELOOP, "links without end", str(path))
            if target.is_absolute():
                os.close(handle)
                handle = os.open("/", _WAY)
        yield handle
    finally:
        os.close(handle)


def of_settings(settings: AgentSettings) -> ReturnSession:
    """In the state folder, unless the configuration names another."""
    named = settings.text("return_session_file") or "return-session"
    return ReturnSession(settings.state_dir / named, settings.number("return_session_max"))
