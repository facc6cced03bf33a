"""A folder that is filled and read without leaving it: each step is opened from the one above, no link followed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from archive.errors import DISK_FULL, UNSAFE, WRITE_FAILED, ArchiveError

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Steps = tuple[str, ...]
Records = tuple[tuple[str, str], ...]
"""Extended attributes and ACLs, as a tar has them (archive.tar_headers.extended)."""
ENTRY_COST: Final = 4096
"""Bytes that an entry takes of a disk beside its content."""


class Tree:
    """`root` is an open folder, which stays the caller's. Steps are names without `/`, `.` and `..`
    (`archive.manifest.check_path`). Whatever is made belongs to this user alone until its entry says otherwise."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._fds: list[int] = []  # Bound: MAX_DEPTH, one for each step of `_steps`
        self._steps: list[str] = []  # Bound: likewise
        self.spent = 0
        """Bytes of the disk, less those of files that gave way: whoever writes counts them up, folders on the way count
        here."""
        self._extended: dict[int, int] = {}
        """Of each path with extended attributes, and of those. Bound: MAX_ENTRIES, two numbers each."""
        self._linked: dict[int, int] = {}
        """Of each hard link, and of what it is a link of. Bound: likewise."""

    def close(self) -> None:
        self._shorten(0)

    def note(self, path: str, extended: Records) -> None:
        """What its archive says of a path beside content: set is nothing of it, this disk may take none."""
        if extended:
            self._extended[hash(path)] = hash(extended)
        else:
            self._extended.pop(hash(path), None)

    def note_same(self, path: str, as_of: str) -> None:
        found = self._extended.get(hash(as_of))
        if found is None:
            self._extended.pop(hash(path), None)
        else:
            self._extended[hash(path)] = found

    def has(self, path: str, extended: Records) -> bool:
        """Whether the archive said just that of it."""
        return self._extended.get(hash(path)) == (hash(extended) if extended else None)

    def note_link(self, path: str, file: str) -> None:
        """What its archive says a hard link is of: later archives may put another file there."""
        self._linked[hash(path)] = hash(file)

    def is_link_of(self, path: str, file: str) -> bool:
        return self._linked.get(hash(path)) == hash(file)

    def make_folder(self, steps: Steps) -> None:
        """What is there already stays; anything that is no folder gives way."""
        above, name = self._above(steps)
        if not self._is_folder(above, name):
            self._clear(above, name)
            os.mkdir(name, 0o700, dir_fd=above)

    def make_file(self, steps: Steps) -> int:
        """Opens a new file for writing, in the place of whatever was there."""
        above, name = self._above(steps)
        try:
            return os.open(name, _NEW, 0o600, dir_fd=above)
        except FileExistsError:
            self._clear(above, name)
            return os.open(name, _NEW, 0o600, dir_fd=above)

    def make_link(self, steps: Steps, target: str) -> None:
        above, name = self._above(steps)
        self._clear(above, name)
        os.symlink(target, name, dir_fd=above)

    def make_hard_link(self, steps: Steps, target: Steps) -> None:
        """Raises ArchiveError unless the target is a regular file that stands in this tree already. One of itself is
        there."""
        try:
            with self.opened(target) as fd:
                first = os.fstat(fd)
        except OSError as error:
            raise ArchiveError(
                UNSAFE, "a hard link of what this archive does not hold", path="/".join(steps)
            ) from error
        if not stat.S_ISREG(first.st_mode):
            raise ArchiveError(UNSAFE, "a hard link of what is no file", path="/".join(steps))
        if steps == target:
            return
        above, name = self._above(target, make=False)
        above = os.dup(above)
        try:
            below, new = self._above(steps)
            self._clear(below, new)
            os.link(name, new, src_dir_fd=above, dst_dir_fd=below, follow_symlinks=False)
        finally:
            os.close(above)

    def delete(self, steps: Steps) -> bool:
        """Whatever is there, with all that is below it; False when nothing is."""
        try:
            above, name = self._above(steps, make=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return self._clear(above, name)

    @contextlib.contextmanager
    def opened(self, steps: Steps) -> Iterator[int]:
        """A file or a folder for reading. Raises OSError, also where a link stands."""
        above, name = self._above(steps, make=False)
        fd = os.open(name, _OLD, dir_fd=above)
        try:
            yield fd
        finally:
            os.close(fd)

    def place(self, steps: Steps) -> tuple[int, str]:
        """The open folder above, good until the next call, and the last step. Raises OSError when it is not there."""
        return self._above(steps, make=False)

    def _above(self, steps: Steps, *, make: bool = True) -> tuple[int, str]:
        folders = steps[:-1]
        same = 0
        for known, step in zip(self._steps, folders, strict=False):
            if known != step:
                break
            same += 1
        self._shorten(same)
        for step in folders[same:]:
            above = self._fds[-1] if self._fds else self._root
            self._fds.append(self._enter(above, step, steps, make=make))
            self._steps.append(step)
        return (self._fds[-1] if self._fds else self._root), steps[-1]

    def _enter(self, above: int, step: str, steps: Steps, *, make: bool) -> int:
        try:
            return os.open(step, FOLDER, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(step, 0o700, dir_fd=above)
            self.spent += ENTRY_COST
            return os.open(step, FOLDER, dir_fd=above)
        except OSError as error:
            if make and error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise ArchiveError(UNSAFE, "leads through a link or a file", path="/".join(steps)) from error
            raise

    def _shorten(self, size: int) -> None:
        while len(self._fds) > size:
            os.close(self._fds.pop())
            self._steps.pop()

    @staticmethod
    def _is_folder(above: int, name: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def _clear(self, above: int, name: str) -> bool:
        try:
            found = os.stat(name, dir_fd=above, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=above)
            # A hole of a sparse file was never spent.
            self.spent -= min(found.st_size, found.st_blocks * 512) if found.st_nlink == 1 else 0
            return True
        folder = os.open(name, FOLDER, dir_fd=above)
        try:
            with os.scandir(folder) as found_below:
                names = [inner.name for inner in found_below]
            for inner in names:
                self._clear(folder, inner)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=above)
        return True


@contextlib.contextmanager
def refusals(path: str) -> Iterator[None]:
    """Says of what member the file system refused something."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ArchiveError(DISK_FULL, "no room left on the disk", path=path) from error
        raise ArchiveError(WRITE_FAILED, f"cannot be unpacked: {error.strerror or error}", path=path) from error
