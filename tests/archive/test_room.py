"""What is unpacked takes no more of a disk than it was given, whatever way an archive has to take it."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from archive.errors import DISK_FULL, TOO_LARGE, ArchiveError
from archive.replay import ChainLink, replay
from archive.tree import ENTRY_COST
from archive.unpack import DiskRoom
from tests.support.archives import file, folder, header, packed, tar_archive, tar_info

MIB = 1024 * 1024
ROOM = 2 * MIB
LITTLE = DiskRoom(ROOM)
Members = list[tuple[tarfile.TarInfo, bytes]]


def sparse(path: str, size: int, extents: Iterable[int] = ()) -> tuple[tarfile.TarInfo, bytes]:
    """A file of holes, with one byte at each place."""
    places = list(extents)
    text = f"{len(places)}\n" + "".join(f"{place}\n1\n" for place in places)
    body = text.encode() + bytes(-len(text) % 512) + b"x" * len(places)
    info = tar_info(path, "file", body)
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": path, "GNU.sparse.realsize": str(size),
    }  # fmt: skip
    return info, body


def scattered() -> Members:
    """A thousand bytes each, that take a thousand blocks."""
    return [sparse(f"app/{number}", 8192 * 1000, range(0, 8192 * 1000, 8192)) for number in range(8)]


def given_back() -> Members:
    """A hole that was never on the disk gives way to a file, and makes no room for more."""
    return [sparse("app/a", 2**33), file("app/a", b"").member, *(file(f"app/{n}", bytes(MIB)).member for n in range(9))]


def given_back_blocks() -> Members:
    """The same with blocks that were on the disk."""
    again = [sparse("app/a", 8192 * 1000, range(0, 8192 * 1000, 8192)), file("app/a", b"").member]
    return [*(again * 4), *(file(f"app/{n}", bytes(MIB)).member for n in range(9))]


def deep() -> Members:
    """One member, a hundred folders."""
    return [file(f"app/{number}/" + "d/" * 100 + "x", b"").member for number in range(40)]


def many() -> Members:
    return [file(f"app/{number}", b"x").member for number in range(2000)]


@pytest.mark.parametrize("members", [scattered, given_back, given_back_blocks, deep, many])
def test_the_room_is_what_the_disk_gives(members: object, tmp_path: Path) -> None:
    assert callable(members)
    refused(tmp_path, packed(tar_archive(header(), [folder("app")], members=members())), DISK_FULL)
    taken = sum(path.lstat().st_blocks * 512 or 4096 for path in (tmp_path / "tree").rglob("*"))
    assert taken <= ROOM + MIB


def test_a_manifest_takes_room_too(tmp_path: Path) -> None:
    items = [folder("app"), *(folder(f"app/{n}", owner="o" * 256, group="g" * 256) for n in range(400))]
    room = DiskRoom(401 * ENTRY_COST + 100_000)
    refused(tmp_path, packed(tar_archive(header(), items)), DISK_FULL, room=room)
    assert not list(tmp_path.glob("manifest-*"))


def test_zeros_without_end_are_not_read_to_their_end(tmp_path: Path) -> None:
    read = refused(tmp_path, gzip.compress(bytes(MIB), 9) * 1000, TOO_LARGE, room=DiskRoom(ROOM, max_entries=1000))
    assert read <= 300_000, "of a megabyte"


def refused(tmp_path: Path, data: bytes, code: str, room: DiskRoom = LITTLE) -> int:
    """How many bytes of it were read."""
    raw = io.BytesIO(data)
    place = 0

    class Opened(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal place
            found = raw.read(size)
            place = raw.tell()
            return found

    (tmp_path / "tree").mkdir()
    root = os.open(tmp_path / "tree", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(ArchiveError) as raised:
            replay([ChainLink(Opened)], root, tmp_path, room=room)
    finally:
        os.close(root)
    assert raised.value.code == code, raised.value
    return place
