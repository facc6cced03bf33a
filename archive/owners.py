"""Owner, mode and time of what was unpacked, as its entry has them; by name, because numbers differ by machine."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from typing import Final

from archive import acl, attributes
from archive.manifest import Entry

SET_ID_BITS: Final = stat.S_ISUID | stat.S_ISGID
"""Never given to a file: data need not run as somebody else, and whoever makes an archive must not decide that."""
MAX_SEALED: Final = 10_000
MAX_UNKNOWN: Final = 20
MAX_LEFT_OUT: Final = 20


class Owners:
    """Gives entries their owner (root alone can), mode and time. Folders come last: `seal` and `finish`."""

    def __init__(self, *, is_root: bool | None = None) -> None:
        self.is_root = os.geteuid() == 0 if is_root is None else is_root
        self.unknown: list[str] = []  # Bound: MAX_UNKNOWN
        """Names that this computer has not: the number was kept."""
        self.set_id: list[str] = []  # Bound: MAX_LEFT_OUT
        """Files that ran as somebody else, and do not now."""
        self.without: list[str] = []  # Bound: MAX_LEFT_OUT
        """Paths whose extended attributes or ACLs this file system refuses."""
        self._users: dict[str, int | None] = {}  # Bound: users of one archive, a name each
        self._groups: dict[str, int | None] = {}  # Bound: likewise

    def keep(self, entry: Entry, above: int, name: str) -> None:
        """Of a file or a link; the folder above is open."""
        if entry.kind in ("dir", "hardlink"):
            return  # a hard link shares what its file has
        if self.is_root:
            with self._where_owners_are():
                os.chown(name, *self.of(entry), dir_fd=above, follow_symlinks=False)
        if entry.kind == "file":
            if entry.mode & SET_ID_BITS:
                _name(self.set_id, entry.path)
            mode = self._extended(entry, above, name) & ~SET_ID_BITS
            os.chmod(name, mode, dir_fd=above)  # compare opened it: it is no link
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=above, follow_symlinks=False)

    def seal(self, entry: Entry, fd: int) -> None:
        """Of a folder, once nothing is made below it any more."""
        if self.is_root:
            with self._where_owners_are():
                os.fchown(fd, *self.of(entry))
        os.fchmod(fd, self._put(entry, fd) & ~stat.S_ISUID)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def _extended(self, entry: Entry, above: int, name: str) -> int:
        if not entry.extended_size:
            return entry.mode
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
        try:
            return self._put(entry, fd)
        finally:
            os.close(fd)

    def _put(self, entry: Entry, fd: int) -> int:
        """Extended attributes and ACLs; the mode to give after that."""
        mode = entry.mode
        for name, _why in attributes.put(entry, fd, self._user, self._group):
            _name(self.without, entry.path)
            if name == attributes.ACCESS and entry.acl is not None:
                mode &= acl.group_bits(entry.acl) << 3 | ~stat.S_IRWXG  # the mask would be the group's rights
        return mode

    def _user(self, name: str, number: int) -> int:
        found = self._known(self._users, name, lambda name: pwd.getpwnam(name).pw_uid)
        return number if found is None else found

    def _group(self, name: str, number: int) -> int:
        found = self._known(self._groups, name, lambda name: grp.getgrnam(name).gr_gid)
        return number if found is None else found

    @contextlib.contextmanager
    def _where_owners_are(self) -> Iterator[None]:
        """A USB stick has none: then nothing more is tried."""
        try:
            yield
        except PermissionError:
            self.is_root = False

    def of(self, entry: Entry) -> tuple[int, int]:
        """User and group on this computer: by name where it is known, else the number."""
        return self._user(entry.owner, entry.uid), self._group(entry.group, entry.gid)

    def _known(self, known: dict[str, int | None], name: str, look: Callable[[str], int]) -> int | None:
        if name and name not in known:
            known[name] = None
            with contextlib.suppress(KeyError, ValueError, UnicodeError):
                known[name] = look(name)
            if known[name] is None and len(self.unknown) < MAX_UNKNOWN and name not in self.unknown:
                self.unknown.append(name)
        return known.get(name)


def _name(paths: list[str], path: str) -> None:
    if len(paths) < MAX_LEFT_OUT and path not in paths:
        paths.append(path)
