"""Makes archives of real folders as a machine does, and reads them with Python's tarfile and the system's tar."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import time
import traceback
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from archive import manifest
from archive.manifest import MANIFEST, ArchiveSource, Compression, Deleted, Entry, Header, Totals
from archive.pump import Pump, Summary
from device.backups.index import Indexes
from device.backups.scan import SETTLED_NS, scan
from device.backups.snapshots import snapshot
from device.backups.sources import place_of


def header(
    sources: dict[str, Path], chain: tuple[int, ...] = (1,), *, exclude: tuple[str, ...] = (),
    compression: Compression = "gzip", encrypted: bool = False,
) -> Header:  # fmt: skip
    return Header(
        format=1, backup_id=chain[-1], rvm_id=7, device_id="jetson-7", chain=chain, created_at="2026-01-01T00:00:00Z",
        backup_type="full" if len(chain) == 1 else "incremental", parent_id=chain[-2] if len(chain) > 1 else None,
        sources={n: ArchiveSource(root=str(root), class_="data", exclude=exclude) for n, root in sources.items()},
        compression=compression, encrypted=encrypted, tool_version="0.0",
    )  # fmt: skip


class Written(NamedTuple):
    data: bytes
    summary: Summary


def archive_of(folder: Path, sources: dict[str, Path], **options: Any) -> Written:
    """What the pump makes of a plan."""
    pump = Pump(folder, sources, snapshot=snapshot, **options)
    return Written(b"".join(part.data for part in pump.parts()), pump.summary)


class Machine:
    """Backs up folders again and again, each backup good, as an agent does."""

    def __init__(self, folder: Path, sources: dict[str, Path]) -> None:
        self.folder = folder
        self.sources = sources
        self.indexes = Indexes(folder / "indexes")
        self.chain: tuple[int, ...] = ()

    def back_up(self, *, full: bool = False, sources: Collection[str] | None = None, **options: Any) -> Written:
        """`sources`: the names of those that this one has."""
        settle(*self.sources.values())
        taken = {name: root for name, root in self.sources.items() if sources is None or name in sources}
        before = None if full else self.indexes.latest
        number = (self.chain[-1] if self.chain else 0) + 1
        self.chain = (*self.chain, number) if before else (number,)
        made = header(taken, self.chain, exclude=options.pop("exclude", ()))
        meta = self.indexes.meta
        work = self.folder / "work"
        scan(made, work, before, redo=meta.redo if before and meta else (), read_all=options.pop("read_all", False))
        roots = {name: place_of(source) for name, source in made.sources.items()}
        written = archive_of(work, roots, **options)
        self.indexes.stage(work, made)
        assert self.indexes.promote(number)
        return written


def settle(*roots: Path) -> None:
    """Waits until nothing changed as lately as a clock's tick ago."""
    paths = [path for root in roots for path in [root, *root.rglob("*")] if os.path.lexists(path)]
    newest = max((path.lstat().st_ctime_ns for path in paths), default=0)
    while time.time_ns() - newest < 2 * SETTLED_NS:
        os.sched_yield()


def plain(data: bytes) -> bytes:
    """The tar of an archive, however it is compressed."""
    if data[:2] == b"\x1f\x8b":
        return b"".join(_members(data))
    if data[:4] == b"\x28\xb5\x2f\xfd":
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
            return reader.read()
    return data


def _members(data: bytes) -> Iterator[bytes]:
    while data:
        one = zlib.decompressobj(31)
        yield one.decompress(data)
        assert one.eof
        data = one.unused_data


class Read(NamedTuple):
    header: Header
    entries: dict[str, Entry]
    deleted: list[str]
    totals: Totals
    contents: dict[str, bytes]
    """Of regular files, the last of a name."""
    names: list[str]


def read(data: bytes) -> Read:
    """Everything in an archive, and that the sums of its manifest are those of its contents."""
    contents: dict[str, bytes] = {}
    names: list[str] = []
    with tarfile.open(fileobj=io.BytesIO(plain(data)), errors="surrogateescape") as tar:
        for member in tar:
            names.append(member.name)
            opened = tar.extractfile(member) if member.isreg() else None
            if opened is not None:
                contents[member.name] = opened.read()
    lines = list(manifest.read([contents[MANIFEST]]))
    entries = {line.path: line for line in lines if isinstance(line, Entry)}
    for entry in entries.values():
        if entry.has_content:
            assert hashlib.sha256(contents[entry.path]).hexdigest() == entry.sha256, entry
            assert len(contents[entry.path]) == entry.size
    head, end = lines[0], lines[-1]
    assert isinstance(head, Header)
    assert isinstance(end, Totals)
    return Read(head, entries, [line.path for line in lines if isinstance(line, Deleted)], end, contents, names)


def unpack(data: bytes, folder: Path) -> None:
    """With the system's tar, over what is there."""
    folder.mkdir(exist_ok=True)
    flags = "-xzf" if data[:2] == b"\x1f\x8b" else "-xf"
    given = data if flags == "-xzf" else plain(data)
    subprocess.run(["tar", flags, "-", "-C", folder], input=given, check=True, stderr=subprocess.PIPE)


def replay(folder: Path, archives: list[bytes]) -> None:
    """A chain: the full one, then each incremental with what is gone by then."""
    for data in archives:
        for path in read(data).deleted:
            subprocess.run(["rm", "-rf", folder / path], check=True)
        for path, entry in read(data).entries.items():
            there = folder / path
            if os.path.lexists(there) and there.is_dir() and not there.is_symlink() and entry.kind != "dir":
                subprocess.run(["rm", "-rf", there], check=True)
        unpack(data, folder)


def picture(root: Path) -> dict[str, tuple[Any, ...]]:
    """What stands below a folder: kind, mode, size, seconds, and content or link."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(root.rglob("*")):
        is_link, is_file = path.is_symlink(), path.is_file() and not path.is_symlink()
        stat = path.lstat()
        what = str(path.readlink()) if is_link else path.read_bytes() if is_file else ""
        found[str(path.relative_to(root))] = (
            oct(stat.st_mode), stat.st_size if is_file else 0, 0 if is_link else stat.st_mtime_ns // 10**9, what,
        )  # fmt: skip
    return found


def open_to_all(folder: Path) -> None:
    """Lets everybody reach `folder`, which belongs to nobody from here on."""
    os.chown(folder, 65534, 65534)
    folder.chmod(0o755)
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)


def as_nobody(work: Callable[[], None]) -> None:
    """In a child process that may not read what others may not read."""
    child = os.fork()
    if not child:
        try:
            os.setgid(65534)
            os.setuid(65534)
            work()
        except BaseException:  # noqa: BLE001 - a child must not run on in its parent's test
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
