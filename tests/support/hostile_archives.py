"""The hostile corpus of archives (bar 50): each must end in a clear error, nothing written outside of its folder."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from archive import manifest
from archive.errors import DAMAGED, DISK_FULL, TOO_LARGE, UNKNOWN_FORMAT, UNSAFE, WRONG_KEY
from archive.manifest import Entry
from tests.support.archives import (
    Item,
    archive,
    file,
    folder,
    hardlink,
    header,
    manifest_of,
    packed,
    plan_of,
    replaced,
    symlink,
    tar_archive,
    tar_info,
    tar_of,
)  # fmt: skip

ESCAPES = (
    "../escaped", "app/../../escaped", "app/../../../../../../tmp/escaped", "/tmp/escaped", "//tmp/escaped", "app//x",
    "app/./x", "app/..", "..", ".", "", "app/" + "n" * 256, "app/" + "/".join(["d"] * 130), "app/" + "d/" * 2100 + "x",
    ".myrvm/more", "other/x", "app/nul\0x",
)  # fmt: skip
SOMEBODY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


class Hostile(NamedTuple):
    """An archive and the codes that are right for it."""

    name: str
    make: Callable[[Path], bytes]
    """Given the folder outside of the target, which it tries to write into."""
    codes: frozenset[str]


def _with(*members: tuple[tarfile.TarInfo, bytes], items: tuple[Item, ...] = ()) -> bytes:
    """An honest archive with members that its manifest does not know."""
    inside = [*(item.member for item in items), *members]
    return packed(tar_archive(header(), items, members=inside))


def _raw_path(path: str) -> bytes:
    info = tar_info("x", "file", b"evil")
    info.pax_headers = {"path": path}
    return _with((info, b"evil"))


def _special(kind: bytes) -> bytes:
    info = tar_info("app/special", "file")
    info.type = kind
    info.devmajor, info.devminor = 1, 3
    return _with((info, b""))


def _through_link(outside: Path) -> bytes:
    return _with(
        (tar_info("app/out", "symlink", link=str(outside)), b""),
        (tar_info("app/out/escaped", "file", b"evil"), b"evil"),
    )


def _through_link_chain(outside: Path) -> bytes:
    """CVE-2025-4517: a way out that is longer than PATH_MAX once it is resolved."""
    deep = "app/" + "/".join(["d" * 200] * 15)
    up = "../" * 40 + str(outside).lstrip("/")
    return _with(
        (tar_info(deep, "dir"), b""), (tar_info(f"{deep}/up", "symlink", link=up), b""),
        (tar_info(f"{deep}/up/escaped", "file", b"evil"), b"evil"),
    )  # fmt: skip


def _over_link(outside: Path) -> bytes:
    """A file in the place of a link must replace it, not write where it leads."""
    there = outside / "there"
    there.write_bytes(b"old")
    return _with(
        (tar_info("app/out", "symlink", link=str(there)), b""), (tar_info("app/out", "file", b"evil"), b"evil"),
    )  # fmt: skip


def _folder_over_link(outside: Path) -> bytes:
    return _with(
        (tar_info("app", "symlink", link=str(outside)), b""), (tar_info("app", "dir"), b""),
        (tar_info("app/escaped", "file", b"evil"), b"evil"),
    )  # fmt: skip


def _hard_link_out(outside: Path) -> bytes:
    (outside / "there").write_bytes(b"old")
    info = tar_info("app/hard", "hardlink", link=str(outside / "there"))
    return _with((info, b""), (tar_info("app/hard", "file", b"evil"), b"evil"))


def _hard_link_through_link(outside: Path) -> bytes:
    (outside / "there").write_bytes(b"old")
    return _with(
        (tar_info("app/out", "symlink", link=str(outside)), b""),
        (tar_info("app/hard", "hardlink", link="app/out/there"), b""),
    )


def _hard_link_of_link(outside: Path) -> bytes:
    (outside / "there").write_bytes(b"old")
    return _with(
        (tar_info("app/out", "symlink", link=str(outside / "there")), b""),
        (tar_info("app/hard", "hardlink", link="app/out"), b""),
    )


def _deletes_outside(outside: Path) -> bytes:
    (outside / "there").write_bytes(b"old")
    items = (folder("app"), symlink("app/out", str(outside)))
    end = manifest_of(header(2, 1), [item.entry for item in items], ["app/out/there"])
    plan = plan_of(header(2, 1), [item.entry for item in items])
    return packed(tar_of([
        (tar_info(manifest.BEGIN, "file", plan), plan), *(item.member for item in items),
        (tar_info(manifest.MANIFEST, "file", end), end),
    ]))  # fmt: skip


def _listed_bomb(outside: Path) -> bytes:
    """1000:1, and honest about it: 4 TiB in the plan."""
    entry = replaced(file("app/bomb", b"").entry, size=2**42)
    return _bomb(entry)


def _hidden_bomb(outside: Path) -> bytes:
    """1000:1, with a plan that says 5 bytes."""
    return _bomb(replaced(file("app/bomb", b"").entry, size=5))


def _bomb(entry: Entry, mebibytes: int = 600) -> bytes:
    plan = plan_of(header(), [entry])
    info = tar_info("app/bomb", "file")
    info.size = mebibytes * 1024 * 1024
    begin = tar_of([(tar_info(manifest.BEGIN, "file", plan), plan)]).rstrip(b"\0")
    begin += bytes(-len(begin) % 512) + info.tobuf(tarfile.PAX_FORMAT)
    zeros = gzip.compress(bytes(1024 * 1024), 9, mtime=0)
    return gzip.compress(begin, mtime=0) + zeros * mebibytes + gzip.compress(bytes(1024), mtime=0)


def _million(outside: Path) -> bytes:
    """More members than a backup may have, for the price of a header that is compressed to nothing."""
    plan = plan_of(header(), [folder("app").entry])
    begin = tar_of([(tar_info(manifest.BEGIN, "file", plan), plan)]).rstrip(b"\0")
    begin += bytes(-len(begin) % 512)
    one = tar_info("app/d", "dir").tobuf(tarfile.PAX_FORMAT)
    block = gzip.compress(one * 2000, 9, mtime=0)
    return gzip.compress(begin, mtime=0) + block * 2000


def _wide_manifest(outside: Path) -> bytes:
    """A plan of more entries than the bound."""
    line = manifest.encode(folder("app").entry)
    compressor = zlib.compressobj(9, wbits=31)
    size = len(line) * (manifest.MAX_ENTRIES + 10) + len(manifest.encode(header()))
    info = tar_info(manifest.BEGIN, "file")
    info.size = size
    parts = [compressor.compress(info.tobuf(tarfile.PAX_FORMAT) + manifest.encode(header()))]
    parts += [compressor.compress(line * 1000) for _ in range(manifest.MAX_ENTRIES // 1000 + 1)]
    return b"".join([*parts, compressor.flush()])


def _endless_line(outside: Path) -> bytes:
    info = tar_info(manifest.BEGIN, "file")
    info.size = 2**33
    return (
        gzip.compress(info.tobuf(tarfile.PAX_FORMAT))
        + gzip.compress(b'{"t":"header","x":"' + b"a" * 1024 * 1024, 9) * 200
    )


def _sparse(map_text: bytes, stored: bytes = b"", realsize: str = "100") -> bytes:
    body = map_text + bytes(-len(map_text) % 512) + stored
    info = tar_info("app/sparse", "file", body)
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "app/sparse",
        "GNU.sparse.realsize": realsize,
    }  # fmt: skip
    return _with((info, body))


def _twins(outside: Path) -> bytes:
    """Two members of one name, one of them listed: what is listed must be what is there."""
    one, two = file("app/a", b"one"), file("app/a", b"two")
    return packed(tar_archive(header(), [folder("app"), one], members=[folder("app").member, one.member, two.member]))


def _flipped(data: bytes, place: float) -> bytes:
    """One bit the other way round, in the middle of what is stored."""
    at = int(len(data) * place)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def _honest(how: str = "gzip") -> bytes:
    text = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(200))
    return archive(header(), [folder("app"), file("app/a", text), file("app/b", text * 3)], how=how)


def _extended(**records: str) -> bytes:
    """A member with records that a tar would set beside its content; the manifest lists none."""
    info = tar_info("app/a", "file", b"x")
    info.pax_headers = {key.replace("__", "."): value for key, value in records.items()}
    item = file("app/a", b"x")
    return packed(tar_archive(header(), [item], members=[(info, b"x")]))


def _attributes() -> Iterator[Hostile]:
    """What would make a program more than it is, or the system believe something else of a file."""
    for key in (
        "SCHILY__xattr__security__capability", "SCHILY__xattr__security__selinux", "SCHILY__xattr__trusted__overlay",
        "SCHILY__xattr__system__posix_acl_access", "SCHILY__xattr__user__", "SCHILY__xattr__", "SCHILY__acl__ace",
        "RHT__security__selinux", "LIBARCHIVE__xattr__user__a", "SCHILY__fflags",
    ):  # fmt: skip
        yield Hostile(f"attribute {key}", _given(_extended(**{key: "1"})), frozenset({UNSAFE}))
    yield Hostile(
        "attributes that are huge", _given(_extended(SCHILY__xattr__user__a="x" * 60_000)), frozenset({TOO_LARGE})
    )
    many = {f"SCHILY__xattr__user__a{number}": "x" * 100 for number in range(300)}
    yield Hostile("attributes without number", _given(_extended(**many)), frozenset({TOO_LARGE}))
    for key in ("SCHILY__xattr__user__a", "SCHILY__acl__access", "SCHILY__acl__default"):
        yield Hostile(f"unlisted {key}", _given(_extended(**{key: "1"})), frozenset({DAMAGED}))
    one = file("app/a", b"x", attributes={"user.a": b"1"}, acl="user::rw-,group::r--,other::r--")
    bare = tar_archive(header(), [], members=[file("app/a", b"x").member], listed=[one.entry])
    yield Hostile("attributes that only the manifest has", _given(packed(bare)), frozenset({DAMAGED}))
    for honest, lie, code in ((b'"user.a"', b'"evil.a"', UNSAFE), (b'"MQ=="', b'"M==="', DAMAGED)):
        forged = tar_archive(header(), [one]).replace(honest, lie)
        yield Hostile(f"a manifest with {lie!r}", _given(packed(forged)), frozenset({code}))


def _given(data: bytes) -> Callable[[Path], bytes]:
    return lambda _: data


def _unsafe() -> Iterator[Hostile]:
    for path in ESCAPES:
        yield Hostile(f"path {path[:30]!r}", _given(_raw_path(path)), frozenset({UNSAFE}))
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, b"Z"):
        yield Hostile(f"type {kind!r}", _given(_special(kind)), frozenset({UNSAFE}))
    for make in (_through_link, _through_link_chain, _hard_link_out, _hard_link_through_link, _hard_link_of_link):
        yield Hostile(make.__name__, make, frozenset({UNSAFE}))
    for make in (_over_link, _folder_over_link, _twins):
        yield Hostile(make.__name__, make, frozenset({DAMAGED}))


def _damaged() -> Iterator[Hostile]:
    for how in ("gzip", "zstd", "none"):
        whole = _honest(how)
        for share in (0.02, 0.3, 0.6, 0.97) if how != "none" else (0.02, 0.3, 0.6):  # such a tar ends in padding
            cut = whole[: int(len(whole) * share)]
            yield Hostile(f"{how} cut at {share}", _given(cut), frozenset({DAMAGED, UNKNOWN_FORMAT}))
        for share in (0.1, 0.4, 0.5, 0.75, 0.9):
            bad = _flipped(whole, share)
            if how != "none" or share != 0.9:
                codes = frozenset({DAMAGED, UNKNOWN_FORMAT, UNSAFE})
                yield Hostile(f"{how} flipped at {share}", _given(bad), codes)
    for name, data in (
        ("empty", b""), ("text", b"hello " * 200), ("zeros", bytes(10240)), ("gzip of nothing", gzip.compress(b"")),
        ("foreign tar", packed(tar_of([(tar_info("etc/passwd", "file", b"root"), b"root")]))),
        ("behind its end", packed(tar_archive(header(), [folder("app")]) + b"more" * 128)),
        ("a second archive behind it", packed(tar_archive(header(), [folder("app")]) * 2)),
        ("garbage behind gzip", _honest() + b"garbage"),
        ("zip", b"PK\x03\x04" + bytes(600)),
    ):  # fmt: skip
        yield Hostile(name, _given(data), frozenset({DAMAGED, UNKNOWN_FORMAT}))


def _lying() -> Iterator[Hostile]:
    one = file("app/a", b"one")
    for name, listed in (
        ("other size", replaced(one.entry, size=4)),
        ("other content", replaced(one.entry, sha256="0" * 64)),
        ("other kind", Entry(path="app/a", kind="dir")),
        ("not there", file("app/b", b"one").entry),
    ):
        data = packed(tar_archive(header(), [], members=[one.member], listed=[listed]))
        yield Hostile(f"manifest with {name}", _given(data), frozenset({DAMAGED}))
    unlisted = packed(tar_archive(header(), [], members=[one.member, file("app/more").member], listed=[one.entry]))
    yield Hostile("more than listed", _given(unlisted), frozenset({DAMAGED}))
    link = symlink("app/l", "a").entry
    data = packed(tar_archive(header(), [], members=[(tar_info("app/l", "symlink", link="b"), b"")], listed=[link]))
    yield Hostile("a link that leads elsewhere", _given(data), frozenset({DAMAGED}))
    items = [one, file("app/b", b"two"), hardlink("app/c", "app/a")]
    for name, lie in (("link of another file", hardlink("app/c", "app/b")), ("link that is a file", file("app/c"))):
        members = [*(item.member for item in items[:2]), lie.member]
        data = packed(tar_archive(header(), items, members=members))
        yield Hostile(f"a hard {name}", _given(data), frozenset({DAMAGED}))
    for name, text, stored in (
        ("count", b"999999\n", b""), ("cut", b"3\n0\n", b""), ("letters", b"x\n0\n1\n", b""),
        ("overlap", b"2\n4\n4\n0\n4\n", b"x" * 8),
        ("beyond", b"1\n90\n20\n", b"x" * 20), ("short", b"1\n0\n50\n", b"x" * 20), ("long", b"1\n0\n5\n", b"x" * 20),
    ):  # fmt: skip
        made = _sparse(text, stored)
        yield Hostile(f"sparse {name}", _given(made), frozenset({DAMAGED, TOO_LARGE}))
    yield Hostile("sparse of an exabyte", lambda _: _sparse(b"0\n", realsize=str(2**52)), frozenset({TOO_LARGE}))


def _large() -> Iterator[Hostile]:
    yield Hostile("bomb, listed", _listed_bomb, frozenset({DISK_FULL, TOO_LARGE}))
    yield Hostile("bomb, hidden", _hidden_bomb, frozenset({DISK_FULL, TOO_LARGE}))
    yield Hostile("a million members", _million, frozenset({DISK_FULL, TOO_LARGE}))
    yield Hostile("a plan of too many entries", _wide_manifest, frozenset({DISK_FULL, TOO_LARGE}))
    yield Hostile("an endless line", _endless_line, frozenset({DAMAGED}))
    records = tar_info("app/a", "file")
    records.pax_headers = {"comment": "c" * 100_000}
    yield Hostile("PAX records without end", lambda _: _with((records, b"")), frozenset({TOO_LARGE}))


CORPUS: tuple[Hostile, ...] = (
    *_unsafe(), *_attributes(), *_damaged(), *_lying(), *_large(),
    Hostile("encrypted to somebody else", lambda _: packed(
        tar_archive(header(), [folder("app")]), recipients=[SOMEBODY],
    ), frozenset({WRONG_KEY})),
)  # fmt: skip
"""Each as a full archive of a chain of one."""
DELETES_OUTSIDE = Hostile("deletes through a link", _deletes_outside, frozenset({DAMAGED}))
"""The second of a chain."""


def snapshot(outside: Path) -> dict[str, bytes | str]:
    """What is in a folder, to see that nothing of it was changed."""
    found: dict[str, bytes | str] = {}
    for path in sorted(outside.rglob("*")):
        name = str(path.relative_to(outside))
        found[name] = path.read_bytes() if path.is_file() and not path.is_symlink() else "other"
    return found
