"""POSIX ACLs: as text in a manifest and in a tar, and as the kernel has them.

`user::rw-,user:joe:rwx:1000,group::r--,mask::rwx,other::---`: with a name comes its number, as names count first and
differ by machine. In a tar the number alone stands, which every `tar --acls` takes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

MAX_NAMED: Final = 128
"""Users and groups that one ACL names."""
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_.@$-]{0,63}"
_ENTRY: Final = re.compile(
    rf"(?P<tag>user|group|mask|other):(?:(?P<name>{_NAME})|(?P<number>[0-9]{{1,10}}))?:"
    r"(?P<bits>[r-][w-][x-])(?::(?P<behind>[0-9]{1,10}))?\Z"
)
_NAMES: Final = re.compile(rf"{_NAME}\Z")
_VERSION: Final = struct.Struct("<I")
_RAW: Final = struct.Struct("<HHI")
_NOBODY: Final = 2**32 - 1
_TAGS: Final = {("user", False): 1, ("user", True): 2, ("group", False): 4, ("group", True): 8,
                ("mask", False): 16, ("other", False): 32}  # fmt: skip
_WORDS: Final = {tag: word for word, tag in _TAGS.items()}


class AclEntry(NamedTuple):
    """`number`: of the user or group it names, None for the owner's, the mask and others'. `bits`: rwx as a number."""

    tag: str
    bits: int
    number: int | None = None
    name: str = ""


class AclError(ValueError):
    """No ACL that a kernel takes."""


NameOf = Callable[[int], str]
NumberOf = Callable[[str, int], int]
"""Of a name on this computer, or the number that stands beside it."""


def parse(text: str) -> list[AclEntry]:
    """In the order of the kernel. Raises AclError for what it would refuse."""
    parts = text.split(",")
    if len(parts) > MAX_NAMED + 4:
        raise AclError(f"an ACL names {MAX_NAMED} users and groups at most")
    entries = sorted(map(_parsed, parts), key=lambda entry: (_tag(entry), entry.number or 0))
    keys = [(entry.tag, entry.number) for entry in entries]
    if len(set(keys)) != len(keys):
        raise AclError("an ACL has an entry twice")
    is_named = any(entry.number is not None for entry in entries)
    needed = {("user", None), ("group", None), ("other", None)} | ({("mask", None)} if is_named else set())
    if not needed <= set(keys):
        raise AclError("an ACL has an entry of the owner, the group and others, and a mask where it names anybody")
    return entries


def _parsed(part: str) -> AclEntry:
    found = _ENTRY.match(part)
    if found is None:
        raise AclError("an entry of an ACL is not like `user:joe:rwx:1000`")
    name, number = found["name"], found["number"] or found["behind"]
    is_named = number is not None
    if is_named != bool(name or found["number"]) or (found["number"] and found["behind"]):
        raise AclError("an entry of an ACL has a number where it names somebody, and only there")
    if (found["tag"], is_named) not in _TAGS or (number is not None and int(number) >= _NOBODY):
        raise AclError("an entry of an ACL names nobody who can be")
    bits = sum(bit for bit, letter in zip((4, 2, 1), found["bits"], strict=True) if letter != "-")
    return AclEntry(found["tag"], bits, int(number) if number is not None else None, name or "")


def text_of(raw: bytes, user_name: NameOf, group_name: NameOf) -> str:
    """The text of what the kernel gives. Raises AclError."""
    if len(raw) < _VERSION.size or (len(raw) - _VERSION.size) % _RAW.size or _VERSION.unpack_from(raw)[0] != 2:
        raise AclError("an ACL of another form than version 2")
    entries = _RAW.iter_unpack(raw[_VERSION.size :])
    return _joined([_unpacked(tag, bits, who, user_name, group_name) for tag, bits, who in entries])


def _unpacked(tag: int, bits: int, number: int, user_name: NameOf, group_name: NameOf) -> AclEntry:
    word, is_named = _WORDS.get(tag, ("", False))
    if not word or bits > 7:
        raise AclError("an ACL with an entry of another kind")
    if not is_named:
        return AclEntry(word, bits)
    name = user_name(number) if word == "user" else group_name(number)
    return AclEntry(word, bits, number, name if _NAMES.match(name) else "")


def numeric(text: str) -> str:
    """Without names: what the members of a tar have. Raises AclError."""
    return _joined([entry._replace(name="") for entry in parse(text)])


def packed(text: str, user: NumberOf, group: NumberOf) -> bytes:
    """What the kernel takes: names as this computer numbers them. Raises AclError."""
    known = [_numbered(entry, user if entry.tag == "user" else group) for entry in parse(text)]
    once = {(entry.tag, entry.number): entry for entry in known}  # two names may be one number here
    order = sorted(once.values(), key=lambda entry: (_tag(entry), entry.number or 0))
    raw = [_RAW.pack(_tag(entry), entry.bits, _NOBODY if entry.number is None else entry.number) for entry in order]
    return _VERSION.pack(2) + b"".join(raw)


def _numbered(entry: AclEntry, number_of: NumberOf) -> AclEntry:
    return entry if entry.number is None else entry._replace(number=number_of(entry.name, entry.number))


def group_bits(text: str) -> int:
    """What the owning group may: the mode of a file with an ACL has the mask in that place. Raises AclError."""
    found = {entry.tag: entry.bits for entry in parse(text) if entry.number is None}
    return found["group"] & found.get("mask", 7)


def _tag(entry: AclEntry) -> int:
    return _TAGS[entry.tag, entry.number is not None]


def _joined(entries: Sequence[AclEntry]) -> str:
    return ",".join(map(_text, entries))


def _text(entry: AclEntry) -> str:
    bits = "".join(letter if entry.bits & bit else "-" for bit, letter in ((4, "r"), (2, "w"), (1, "x")))
    if entry.number is None:
        return f"{entry.tag}::{bits}"
    return f"{entry.tag}:{entry.name}:{bits}:{entry.number}" if entry.name else f"{entry.tag}:{entry.number}:{bits}"
