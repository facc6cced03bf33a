"""The manifest: what is written is read back, and what is not legal names itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from archive import manifest
from archive.errors import DAMAGED, TOO_LARGE, UNKNOWN_FORMAT, UNSAFE, ArchiveError
from archive.manifest import ArchiveSource, Deleted, Entry, Header, Line, Totals

SUM = "ab" * 32


def header(**changes: Any) -> Header:
    members: dict[str, Any] = {
        "format": 1, "backup_id": 7, "rvm_id": 3, "device_id": "lobby", "backup_type": "full", "chain": (7,),
        "created_at": "2026-11-29T01:00:00Z", "sources": {"app": ArchiveSource(root="/srv/app", class_="data")},
        "compression": "gzip", "tool_version": "0.2.0",
    }  # fmt: skip
    return Header(**{**members, **changes})


def following(**changes: Any) -> Header:
    return header(**{"backup_type": "incremental", "chain": (5, 7), "parent_id": 5, **changes})


def file(path: str = "app/a", **changes: Any) -> Entry:
    return Entry(**{"path": path, "kind": "file", "size": 3, "sha256": SUM, **changes})


def totals(**changes: int) -> Totals:
    members = {"files": 1, "bytes": 3, "entries": 1, "deleted": 0, "state_files": 1, "state_bytes": 3}
    return Totals(**{**members, **changes})


def back(*lines: Line, is_plan: bool = False, chunk: int = 10_000) -> list[Line]:
    text = b"".join(manifest.encode(line) for line in lines)
    return list(manifest.read(pieces(text, chunk), is_plan=is_plan))


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_what_is_written_is_read_back_however_it_is_cut(chunk: int) -> None:
    lines = (
        following(),
        file(size=10, sparse=((0, 1), (4, 2)), snapshot=True, mode=0o640),
        file("app/b", uid=1, gid=2, owner="a", group="b", mtime_ns=-1),
        Entry(path="app", kind="dir", mode=0o755),
        Entry(path="app/l", kind="symlink", link="../../x"),
        Entry(path="app/h", kind="hardlink", link="app/a"),
        Entry(path="app/gone", kind="file", size=9, mark="vanished"),
        Deleted(path="app/old"),
        totals(files=2, bytes=13, entries=6, deleted=1),
    )  # fmt: skip
    assert tuple(back(*lines, chunk=chunk)) == lines


def test_names_that_are_no_utf8_are_carried_beside() -> None:
    name = os.fsdecode(b"app/\xff\xe9")
    lines = (
        following(),
        Entry(path=name, kind="symlink", link=name),
        Deleted(path=name),
        totals(files=0, bytes=0, deleted=1),
    )
    assert tuple(back(*lines)) == lines
    assert b"\\ud" not in manifest.encode(lines[1])
    assert os.fsencode(back(*lines)[1].path) == b"app/\xff\xe9"  # type: ignore[union-attr]


def test_a_plan_has_entries_without_sums_and_no_end() -> None:
    lines = (header(), file(sha256=None))
    assert tuple(back(*lines, is_plan=True)) == lines
    with pytest.raises(ArchiveError, match="more than entries"):
        back(*lines, totals(), is_plan=True)


def test_each_legal_entry_fits_in_a_line() -> None:
    step = "\x01" * 255
    path = "app/" + "/".join([step] * 15) + "/" + "\x02" * 200
    extents = tuple((2**52 + 2 * i, 1) for i in range(manifest.MAX_EXTENTS))
    worst = file(path, size=2**53 - 1, sparse=extents, owner="\x01" * 256, group="\x01" * 256, mark="changed")
    assert len(manifest.encode(worst)) < manifest.MAX_LINE
    link = Entry(path=path[:-1] + os.fsdecode(b"\xff"), kind="symlink", link="\x01" * 4095 + os.fsdecode(b"\xff"))
    assert len(manifest.encode(link)) < manifest.MAX_LINE


WRONG_LINES: list[tuple[Line, str, str]] = [
    (file(""), UNSAFE, "bytes"),
    (file("app/" + "a/" * 2050 + "a"), UNSAFE, "bytes"),
    (file("app/a\0b"), UNSAFE, "NUL"),
    (file("/etc/passwd"), UNSAFE, "relative"),
    (file("app/../../etc"), UNSAFE, "relative"),
    (file("app//a"), UNSAFE, "relative"),
    (file("app/./a"), UNSAFE, "relative"),
    (file("app/" + "a" * 256), UNSAFE, "steps"),
    (file("app" + "/a" * 128), UNSAFE, "steps"),
    (file(".myrvm/manifest.jsonl"), UNSAFE, "no source"),
    (file("app/\ud800"), DAMAGED, "cannot be listed"),
    (file("app/\ud800\udc80"), DAMAGED, "cannot be listed"),
    (file(size=-1), DAMAGED, "size"),
    (file(mode=0o10000), DAMAGED, "mode"),
    (file(sha256="AB" * 32), DAMAGED, "sha256"),
    (file(link="x"), DAMAGED, "only a link"),
    (file(sparse=((0, 2), (1, 1))), DAMAGED, "overlap"),
    (file(sparse=((2, 2),)), DAMAGED, "overlap"),
    (file(raw="?"), DAMAGED, "base64"),
    (Entry(path="app/l", kind="symlink"), DAMAGED, "only a link"),
    (Entry(path="app/l", kind="symlink", link=""), DAMAGED, "1 to"),
    (Entry(path="app/l", kind="symlink", link="a" * 4097), DAMAGED, "1 to"),
    (Entry(path="app/l", kind="symlink", link="a\0b"), DAMAGED, "NUL"),
    (Entry(path="app/l", kind="hardlink", link="/etc/passwd"), UNSAFE, "relative"),
    (Entry(path="app", kind="dir", size=1), DAMAGED, "only a file"),
    (Entry(path="app", kind="dir", sparse=()), DAMAGED, "only a file"),
    (Entry(path="app", kind="dir", sha256=SUM), DAMAGED, "only a file"),
    (Deleted(path="../x"), UNSAFE, "relative"),
    (Deleted(path=".myrvm/x"), UNSAFE, "no source"),
    (header(format=2), UNKNOWN_FORMAT, "format 2"),
    (header(chain=(5, 7)), DAMAGED, "its type"),
    (header(parent_id=5), DAMAGED, "its type"),
    (header(chain=(8,)), DAMAGED, "own backup"),
    (following(chain=(7, 7)), DAMAGED, "own backup"),
    (following(chain=(7,)), DAMAGED, "its type"),
    (following(parent_id=None), DAMAGED, "its type"),
    (following(parent_id=7, chain=(7,)), DAMAGED, "its type"),
    (header(sources={}), DAMAGED, "sources"),
    (header(sources={".myrvm": ArchiveSource(root="/x", class_="data")}), DAMAGED, "sources"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "what"), WRONG_LINES)
def test_what_is_not_legal_is_neither_written_nor_read(line: Line, code: str, what: str) -> None:
    with pytest.raises(ArchiveError, match=what) as refused:
        manifest.encode(line)
    assert refused.value.code == code
    try:
        text = msgspec.json.encode(line)
    except UnicodeEncodeError:
        return
    with pytest.raises(ArchiveError, match=what):
        manifest.decode(text)


def test_a_header_with_too_many_patterns_is_refused_when_it_is_written() -> None:
    source = ArchiveSource(root="/x", class_="logs", exclude=("p" * 1000,) * 100)
    with pytest.raises(ArchiveError, match="fewer sources") as refused:
        manifest.encode(header(sources={"a": source, "b": source}))
    assert refused.value.code == TOO_LARGE


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"t":"x"}', b"\xff", b"[" * 5000, b'{"t":"deleted","path":"app/a"', b'{"t":"e","path":1}'],
)
def test_a_line_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(ArchiveError, match="cannot be read"):
        manifest.decode(text)


def test_a_line_longer_than_the_bound_is_refused_before_its_end_comes() -> None:
    with pytest.raises(ArchiveError, match="longer"):
        manifest.decode(b" " * (manifest.MAX_LINE + 1))
    endless = (b"a" * 65536 for _ in range(10**9))
    with pytest.raises(ArchiveError, match="longer"):
        list(manifest.read(endless))


WRONG_ORDERS: list[tuple[str, tuple[Line, ...]]] = [
    ("too early", ()),
    ("too early", (header(),)),
    ("too early", (header(), file())),
    ("out of order", (file(), header())),
    ("two headers", (header(), header())),
    ("out of order", (header(), file(), totals(), file())),
    ("out of order", (header(), file(), totals(), totals())),
    ("no source", (header(), file("other/a"))),
    ("no source", (following(), Deleted(path="other/a"))),
    ("deletes nothing", (header(), Deleted(path="app/a"))),
    ("behind the deleted", (following(), Deleted(path="app/b"), file())),
    ("no sha256", (header(), file(sha256=None))),
    *(("do not fit", (header(), file(), totals(**{name: 9}))) for name in ("files", "bytes", "entries", "deleted")),
]  # fmt: skip


@pytest.mark.parametrize(("what", "lines"), WRONG_ORDERS)
def test_a_manifest_in_a_wrong_order_is_refused(what: str, lines: tuple[Line, ...]) -> None:
    with pytest.raises(ArchiveError, match=what):
        back(*lines)


def test_a_manifest_that_ends_within_a_line_is_refused() -> None:
    text = manifest.encode(header()) + manifest.encode(file())
    with pytest.raises(ArchiveError, match="within a line"):
        list(manifest.read([text[:-1]]))


@pytest.mark.parametrize("line", [file(), Deleted(path="app/a")])
def test_more_entries_than_the_bound_are_refused(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_ENTRIES", 2)
    with pytest.raises(ArchiveError) as refused:
        back(following(), line, line, line)
    assert refused.value.code == TOO_LARGE


@pytest.mark.parametrize(
    ("path", "link", "out"),
    [
        ("app/a", "b", False), ("app/a", "../b", True), ("app/x/a", "../b", False), ("app/x/a", "../../b", True),
        ("app/a", "/etc", True), ("app/x/a", "y/../../z", False), ("app/x/a", ".//y/../../../z", True),
        ("app", "..", True),
    ],
)  # fmt: skip
def test_a_link_leads_out_of_its_source_or_not(path: str, link: str, out: bool) -> None:
    assert manifest.leads_out(path, link) is out


def test_an_error_names_its_path() -> None:
    assert str(ArchiveError(DAMAGED, "why")) == "why"
    assert str(ArchiveError(DAMAGED, "why", path="app/a")) == "'app/a': why"
