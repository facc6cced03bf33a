"""Owner, mode and time of what was unpacked, as its entry has them; by name, because numbers differ by machine."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from typing import Final

from archive.manifest import Entry

_NEVER_BITS: Final = stat.S_ISUID | stat.S_ISGID
"""Of a file: data need not run as somebody else, and whoever makes an archive must not decide that."""
MAX_SEALED: Final = 10_000
MAX_UNKNOWN: Final = 20


class Owners:
    """Gives entries their owner (root alone can), mode and time. Folders come last: `seal` and `finish`."""

    def __init__(self, *, is_root: bool | None = None) -> None:
        self.is_root = os.geteuid() == 0 if is_root is None else is_root
        self.unknown: list[str] = []  # Bound: MAX_UNKNOWN
        """Names that this computer has not: the number was kept."""
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
            os.chmod(name, entry.mode & ~_NEVER_BITS, dir_fd=above)  # compare opened it: it is no link
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=above, follow_symlinks=False)

    def seal(self, entry: Entry, fd: int) -> None:
        """Of a folder, once nothing is made below it any more."""
        if self.is_root:
            with self._where_owners_are():
                os.fchown(fd, *self.of(entry))
        os.fchmod(fd, entry.mode & ~stat.S_ISUID)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    @contextlib.contextmanager
    def _where_owners_are(self) -> Iterator[None]:
        """A USB stick has none: then nothing more is tried."""
        try:
            yield
        except PermissionError:
            self.is_root = False

    def of(self, entry: Entry) -> tuple[int, int]:
        """User and group on this computer: by name where it is known, else the number."""
        user = self._known(self._users, entry.owner, lambda name: pwd.getpwnam(name).pw_uid)
        group = self._known(self._groups, entry.group, lambda name: grp.getgrnam(name).gr_gid)
        return entry.uid if user is None else user, entry.gid if group is None else group

    def _known(self, known: dict[str, int | None], name: str, look: Callable[[str], int]) -> int | None:
        if name and name not in known:
            known[name] = None
            with contextlib.suppress(KeyError, ValueError, UnicodeError):
                known[name] = look(name)
            if known[name] is None and len(self.unknown) < MAX_UNKNOWN and name not in self.unknown:
                self.unknown.append(name)
        return known.get(name)
