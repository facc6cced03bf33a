"""Archives as a machine makes them, made by hand: so that what is in them can also be what no machine would write."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Sequence
from typing import Any, NamedTuple

from archive import manifest, tar_headers
from archive.manifest import ArchiveSource, Deleted, Entry, Header, Totals

SOURCES = {
    "app": ArchiveSource(root="/srv/app", class_="data"),
    "conf": ArchiveSource(root="/srv/conf", class_="configuration"),
}
BLOCK = 1024 * 1024


def header(backup_id: int = 1, *before: int, **changes: Any) -> Header:
    """Of a full backup, or of one that follows others."""
    members: dict[str, Any] = {
        "format": 1, "backup_id": backup_id, "rvm_id": 3, "device_id": "lobby",
        "backup_type": "incremental" if before else "full", "chain": (*before, backup_id),
        "parent_id": before[-1] if before else None, "created_at": "2026-11-29T01:00:00Z", "sources": SOURCES,
        "compression": "gzip", "tool_version": "0.2.0",
    }  # fmt: skip
    return Header(**{**members, **changes})


class Item(NamedTuple):
    """An entry with its content, as it stands in the tar and in the manifest."""

    entry: Entry
    content: bytes = b""

    @property
    def member(self) -> tuple[tarfile.TarInfo, bytes]:
        info = tar_info(self.entry.path, self.entry.kind, self.content, self.entry.link or "")
        info.pax_headers = dict(records_of(self.entry))
        return info, self.content


def file(path: str, content: bytes = b"content", **changes: Any) -> Item:
    entry = Entry(path=path, kind="file", size=len(content), mode=0o644, sha256=hashlib.sha256(content).hexdigest())
    return Item(replaced(entry, **changes), content)


def folder(path: str, **changes: Any) -> Item:
    return Item(replaced(Entry(path=path, kind="dir", mode=0o755), **changes))


def symlink(path: str, link: str) -> Item:
    return Item(Entry(path=path, kind="symlink", link=link))


def hardlink(path: str, link: str) -> Item:
    return Item(Entry(path=path, kind="hardlink", link=link))


def records_of(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Of its extended attributes and ACLs, in the tar."""
    return tar_headers.extended(entry)


def replaced(entry: Entry, **changes: Any) -> Entry:
    members = {name: getattr(entry, name) for name in entry.__struct_fields__}
    return Entry(**{**members, **changes})


def tar_info(path: str, kind: str, content: bytes = b"", link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    types = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}
    info.type = types[kind]
    info.size = len(content) if kind == "file" else 0
    info.linkname = link
    return info


def manifest_of(head: Header, entries: Sequence[Entry], deleted: Sequence[str] = ()) -> bytes:
    """What ends an archive. Totals of the state are guesses: nothing is decided by them."""
    with_content = [entry for entry in entries if entry.has_content]
    size = sum(entry.size for entry in with_content)
    totals = Totals(
        files=len(with_content), bytes=size, entries=len(entries), deleted=len(deleted),
        state_files=len(with_content), state_bytes=size,
    )  # fmt: skip
    gone = [Deleted(path=path) for path in deleted]
    lines: list[manifest.Line] = [head, *entries, *gone, totals]
    return b"".join(map(manifest.encode, lines))


def plan_of(head: Header, entries: Sequence[Entry]) -> bytes:
    lines: list[manifest.Line] = [head, *entries]
    return b"".join(map(manifest.encode, lines))


def tar_of(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content) if info.size else None)
    return whole.getvalue()


def tar_archive(
    head: Header,
    items: Sequence[Item],
    deleted: Sequence[str] = (),
    *,
    members: Sequence[tuple[tarfile.TarInfo, bytes]] | None = None,
    listed: Sequence[Entry] | None = None,
) -> bytes:
    """The tar of an archive; `members` and `listed` say other things in the tar and in the manifest than the items."""
    entries = [item.entry for item in items] if listed is None else listed
    inside = [item.member for item in items if item.entry.mark in (None, "changed")] if members is None else members
    plan, end = plan_of(head, entries), manifest_of(head, entries, deleted)
    return tar_of([
        (tar_info(manifest.BEGIN, "file", plan), plan), *inside, (tar_info(manifest.MANIFEST, "file", end), end),
    ])  # fmt: skip


def packed(tar: bytes, how: str = "gzip", recipients: Sequence[str] = ()) -> bytes:
    """Blocks of 1 MiB, each compressed by itself."""
    blocks = [tar[start : start + BLOCK] for start in range(0, len(tar), BLOCK)]
    if how == "gzip":
        tar = b"".join(gzip.compress(block, 6, mtime=0) for block in blocks)
    elif how == "zstd":
        import zstandard

        tar = b"".join(zstandard.ZstdCompressor(write_checksum=True).compress(block) for block in blocks)
    if recipients:
        import pyrage

        keys = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
        return bytes(pyrage.encrypt(tar, keys))
    return tar


def archive(head: Header, items: Sequence[Item], deleted: Sequence[str] = (), **how: Any) -> bytes:
    return packed(tar_archive(head, items, deleted), **how)


def tar_bytes(data: bytes) -> tarfile.TarFile:
    """Read by Python's own tarfile: to see that it is one."""
    return tarfile.open(fileobj=io.BytesIO(data))
