"""Extended attributes and ACLs of files and folders: which of them a backup keeps, read and set.

Kept are `user.*` and POSIX ACLs. Never `security.*` and `trusted.*`: whoever makes an archive must not decide what a
program may (capabilities) or what the system believes of a file (labels).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from archive import acl
from archive.acl import AclError
from archive.describe import group_name, user_name
from archive.errors import printable
from archive.manifest import MAX_ATTRIBUTES, USER_ATTRIBUTE, Entry

ACCESS: Final = "system.posix_acl_access"
DEFAULT: Final = "system.posix_acl_default"
_NONE: Final = (errno.ENOTSUP, errno.ENODATA, errno.ENOSYS)
"""Of a file system without, and of one that is gone by now."""


class FoundAttributes(NamedTuple):
    """`problem`: why some are left out."""

    values: dict[str, bytes]
    acl: str | None
    default_acl: str | None
    problem: str


_NOTHING: Final = FoundAttributes({}, None, None, "")


def extended(entry: Entry, place: int | str) -> tuple[Entry, str]:
    """The entry with what an open file, or a path whose last step is no link, has; and why some of it is left out."""
    found = _found(place)
    if found is _NOTHING:
        return entry, ""
    made = msgspec.structs.replace(
        entry, attributes=found.values or None, acl=found.acl, default_acl=found.default_acl
    )  # fmt: skip
    if made.extended_size > MAX_ATTRIBUTES:
        return entry, f"{made.extended_size} bytes of extended attributes and ACLs; {MAX_ATTRIBUTES} are kept at most"
    return made, found.problem


def _found(place: int | str) -> FoundAttributes:
    try:
        names = _listed(place)
        return _read(place, names) if names else _NOTHING
    except OSError as wrong:
        return _NOTHING if wrong.errno in _NONE else FoundAttributes({}, None, None, wrong.strerror or str(wrong))


def _listed(place: int | str) -> list[str]:
    names = os.listxattr(place) if isinstance(place, int) else os.listxattr(place, follow_symlinks=False)
    return [name for name in names if name.startswith("user.") or name in (ACCESS, DEFAULT)]


def _read(place: int | str, names: list[str]) -> FoundAttributes:
    values: dict[str, bytes] = {}
    acls: dict[str, str] = {}
    problems = [_read_one(place, name, values, acls) for name in sorted(names)]
    return FoundAttributes(values, acls.get(ACCESS), acls.get(DEFAULT), next(filter(None, problems), ""))


def _read_one(place: int | str, name: str, values: dict[str, bytes], acls: dict[str, str]) -> str:
    """Into one of both; or why not."""
    if name not in (ACCESS, DEFAULT) and USER_ATTRIBUTE.match(name) is None:
        return f"{printable(name[:100])}: only names of printable ASCII without = and % are kept"
    try:
        value = os.getxattr(place, name) if isinstance(place, int) else _of_path(place, name)
        if name in (ACCESS, DEFAULT):
            text = acl.text_of(value, user_name, group_name)
            acl.parse(text)
            acls[name] = text
        else:
            values[name] = value
    except AclError as wrong:
        return f"{name}: {wrong}"
    except OSError as wrong:
        return "" if wrong.errno in _NONE else f"{name}: {wrong.strerror or wrong}"
    return ""


def _of_path(path: str, name: str) -> bytes:
    return os.getxattr(path, name, follow_symlinks=False)


def put(entry: Entry, fd: int, user: acl.NumberOf, group: acl.NumberOf) -> Iterator[tuple[str, str]]:
    """Sets what an entry lists on an open file or folder; what the file system refuses, and why."""
    wanted = {**(entry.attributes or {})}
    for name, text in ((ACCESS, entry.acl), (DEFAULT, entry.default_acl)):
        if text is not None:
            wanted[name] = acl.packed(text, user, group)
    for name, value in wanted.items():
        refused = _set(fd, name, value)
        if refused:
            yield name, refused


def _set(place: int | bytes, name: str, value: bytes) -> str:
    """Why it is refused, empty when it is set."""
    try:
        os.setxattr(place, name, value)
    except OSError as refused:
        return refused.strerror or str(refused)
    return ""


def inherit_nothing(folder: int) -> None:
    """What is made in an open folder gets no ACL from the one above it."""
    try:
        os.removexattr(folder, DEFAULT)
    except OSError as none:
        if none.errno not in _NONE:
            raise


def copy(old: bytes, new: bytes) -> None:
    """From one folder to another, as far as the file system takes them."""
    with contextlib.suppress(OSError):
        for name in _listed(os.fsdecode(old)):
            _set(new, name, _of_path(os.fsdecode(old), name))
