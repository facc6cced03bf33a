"""What the system says of a path, as an entry of a manifest."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from functools import lru_cache

from archive.manifest import Entry, Kind


def described(path: str, kind: Kind, found: os.stat_result, link: str | None = None) -> Entry:
    """The entry of what was found at a path."""
    return Entry(
        path=path, kind=kind, size=found.st_size if kind == "file" else 0, mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid, gid=found.st_gid, owner=user_name(found.st_uid), group=group_name(found.st_gid),
        mtime_ns=found.st_mtime_ns, link=link,
    )  # fmt: skip


@lru_cache(maxsize=1000)
def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name[:64]
    except KeyError:
        return ""


@lru_cache(maxsize=1000)
def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name[:64]
    except KeyError:
        return ""
