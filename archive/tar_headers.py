"""The headers of a tar: ustar, and PAX records only where ustar cannot say it.

Made by hand because tarfile takes 30 us for one. The same entry always gives the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from archive import acl
from archive.manifest import Entry, Extent

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""Two empty blocks end a tar."""
MOST_SIZE: Final = 8**11 - 1
"""Eleven octal digits; likewise a time."""
MOST_ID: Final = 8**7 - 1
ATTRIBUTE: Final = "SCHILY.xattr."
ACL: Final = "SCHILY.acl.access"
DEFAULT_ACL: Final = "SCHILY.acl.default"
_TYPES: Final = {"file": b"0", "hardlink": b"1", "symlink": b"2", "dir": b"5"}
_USTAR: Final = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_SUM_AT: Final = 148


def padding(size: int) -> int:
    """Bytes of zeros behind `size` bytes of content."""
    return -size % BLOCK


def header(entry: Entry, stored: int, sparse_map: bytes = b"") -> bytes:
    """The header of one member whose content takes `stored` bytes; behind it the map of a sparse file."""
    name = os_bytes(entry.path) + (b"/" if entry.kind == "dir" else b"")
    link = os_bytes(entry.link or "")
    owner, group = os_bytes(entry.owner), os_bytes(entry.group)
    seconds = entry.mtime_ns // 10**9
    records = _records(name, link, owner, group, entry, stored, seconds)
    if entry.sparse is not None:
        records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", name)]
        records.append((b"GNU.sparse.realsize", b"%d" % entry.size))
        name = b"GNUSparseFile.0/" + name
    plain = _ustar(
        name, link, owner, group, _TYPES[entry.kind], entry.mode,
        entry.uid if entry.uid <= MOST_ID else 0, entry.gid if entry.gid <= MOST_ID else 0,
        stored if stored <= MOST_SIZE else 0, seconds if 0 <= seconds <= MOST_SIZE else 0,
    )  # fmt: skip
    return _extended(records) + plain + sparse_map


def own(name: str, size: int) -> bytes:
    """The header of a manifest."""
    return _ustar(name.encode(), b"", b"", b"", b"0", 0o600, 0, 0, size, 0)


def sparse_map(extents: Sequence[Extent], size: int) -> bytes:
    """The extents as GNU tar's sparse format 1.0 has them in front of the data, padded to a block."""
    listed = list(extents)
    if not listed or sum(listed[-1]) < size:
        listed.append((size, 0))  # what the last hole ends at
    text = b"%d\n" % len(listed) + b"".join(b"%d\n%d\n" % extent for extent in listed)
    return text + bytes(padding(len(text)))


def os_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _records(
    name: bytes, link: bytes, owner: bytes, group: bytes, entry: Entry, stored: int, seconds: int
) -> list[tuple[bytes, bytes]]:
    """What ustar has no room for, or what is no ASCII."""
    found: list[tuple[bytes, bytes]] = []
    texts = ((b"path", name, 100), (b"linkpath", link, 100), (b"uname", owner, 31), (b"gname", group, 31))
    wide = [(key, text) for key, text, most in texts if len(text) > most or not text.isascii()]
    if any(not _is_utf8(text) for _, text in wide):
        found.append((b"hdrcharset", b"BINARY"))
    found += wide
    if stored > MOST_SIZE:
        found.append((b"size", b"%d" % stored))
    found += [(key, b"%d" % value) for key, value in ((b"uid", entry.uid), (b"gid", entry.gid)) if value > MOST_ID]
    if not 0 <= seconds <= MOST_SIZE:
        found.append((b"mtime", b"%d" % seconds))
    found += [(os_bytes(key), os_bytes(value)) for key, value in extended(entry)]
    return found


def extended(entry: Entry) -> tuple[tuple[str, str], ...]:
    """The records of extended attributes and ACLs, which `tar --xattrs --acls` takes as well; values as os_bytes has
    them."""
    if not entry.extended_size:
        return ()
    values = sorted((entry.attributes or {}).items())
    found = [(ATTRIBUTE + name, value.decode("utf-8", "surrogateescape")) for name, value in values]
    acls = ((ACL, entry.acl), (DEFAULT_ACL, entry.default_acl))
    return tuple([(key, acl.numeric(text)) for key, text in acls if text] + found)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _extended(records: Sequence[tuple[bytes, bytes]]) -> bytes:
    if not records:
        return b""
    text = b"".join(_record(key, value) for key, value in records)
    return _ustar(b"PaxHeaders/x", b"", b"", b"", b"x", 0o644, 0, 0, len(text), 0) + text + bytes(padding(len(text)))


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH key=value`, LENGTH counting itself."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def _ustar(
    name: bytes,
    link: bytes,
    owner: bytes,
    group: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
) -> bytes:
    made = bytearray(
        _USTAR.pack(
            name[:100], b"%07o" % mode, b"%07o" % uid, b"%07o" % gid, b"%011o" % size, b"%011o" % mtime, b" " * 8, kind,
            link[:100], b"ustar\x0000", owner[:31], group[:31], b"", b"", b"",
        )
    )  # fmt: skip
    made[_SUM_AT : _SUM_AT + 8] = b"%06o\0 " % sum(made)
    return bytes(made)
