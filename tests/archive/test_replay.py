"""Chains replayed into a folder: what a machine had is there again, whatever way it was packed."""

from __future__ import annotations

import contextlib
import grp
import io
import os
import pwd
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from archive import age, packing, unpack
from archive.errors import DAMAGED, DISK_FULL, OUTWARD_LINK, WRONG_CHAIN, WRONG_KEY, ArchiveError
from archive.owners import Owners
from archive.replay import COMPARING, UNPACKING, ChainLink, Replayed, make_durable, replay
from archive.unpack import DiskRoom, Selection
from tests.support.archives import (
    Item,
    archive,
    file,
    folder,
    hardlink,
    header,
    packed,
    replaced,
    symlink,
    tar_archive,
    tar_bytes,
    tar_info,
)

FULL = (
    folder("app"), file("app/keep", b"kept"), file("app/old", b"old"), file("app/grown", b"1"), folder("app/sub"),
    file("app/sub/x", b"x"), file("app/sub/y", b"y"), folder("conf"), file("conf/c.json", b"{}"),
    symlink("app/l", "sub/x"),
)  # fmt: skip


def run(folder_: Path, *archives: bytes, **how: Any) -> Replayed:
    (folder_ / "tree").mkdir(parents=True)
    fd = os.open(folder_ / "tree", os.O_RDONLY | os.O_DIRECTORY)
    chain = [ChainLink(partial(io.BytesIO, data), len(data)) for data in archives]
    try:
        return replay(chain, fd, folder_, **how)
    finally:
        make_durable(fd)
        os.close(fd)


def tree(folder_: Path) -> dict[str, bytes | str]:
    """Every path of what was unpacked: a file's content, `dir`, or where a link leads."""
    root = folder_ / "tree"
    return {str(path.relative_to(root)): look(path) for path in sorted(root.rglob("*"))}


def look(path: Path) -> bytes | str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return "dir" if path.is_dir() else path.read_bytes()


def expected(items: Sequence[Item]) -> dict[str, bytes | str]:
    shown: dict[str, bytes | str] = {}
    for entry, content in items:
        shown[entry.path] = {"dir": "dir", "symlink": f"-> {entry.link}"}.get(entry.kind, content)
    return shown


@pytest.mark.parametrize("is_encrypted", [False, True])
@pytest.mark.parametrize("how", ["gzip", "zstd", "none"])
def test_a_full_backup_is_there_again(how: str, is_encrypted: bool, tmp_path: Path) -> None:
    identity, recipient = age.make_identity()
    large = os.urandom(packing.PIECE * 5 + 17)
    items = (*FULL, file("app/large", large))
    data = archive(header(), items, how=how, recipients=[recipient] if is_encrypted else [])
    done = run(tmp_path, data, identities=[identity])
    assert tree(tmp_path) == expected(items)
    assert (done.archives[0].size, done.newest, set(done.sources)) == (len(data), header(), {"app", "conf"})
    assert (done.compared.files, done.compared.folders, done.compared.links) == (7, 3, 1)
    assert done.compared.bytes == sum(len(item.content) for item in items)


def test_a_chain_is_replayed_with_what_changed_came_and_went(tmp_path: Path) -> None:
    second = archive(
        header(2, 1), [folder("app"), file("app/grown", b"12"), file("app/new", b"n")], ["app/old", "app/sub"]
    )
    third = archive(header(3, 1, 2), [folder("app/sub"), file("app/sub/z", b"z"), file("app/grown", b"123")], ["app/l"])
    done = run(tmp_path, archive(header(), FULL), second, third)
    assert tree(tmp_path) == {
        "app": "dir", "app/keep": b"kept", "app/grown": b"123", "app/new": b"n", "app/sub": "dir", "app/sub/z": b"z",
        "conf": "dir", "conf/c.json": b"{}",
    }  # fmt: skip
    assert done.newest.backup_id == 3
    assert done.compared.files == 5


def test_another_kind_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    second = archive(header(2, 1), [
        file("app/sub", b"now a file"), folder("app/old"), file("app/old/inner"), folder("app/l"),
        symlink("app/keep", "old"),
    ])  # fmt: skip
    run(tmp_path, archive(header(), FULL), second)
    found = tree(tmp_path)
    assert found["app/sub"] == b"now a file"
    assert (found["app/old"], found["app/old/inner"], found["app/l"], found["app/keep"]) == (
        "dir",
        b"content",
        "dir",
        "-> old",
    )
    assert "app/sub/x" not in found


@pytest.mark.parametrize(
    "between", [[file("app/sub", b"a file")], [symlink("app/sub", "keep")], [hardlink("app/sub", "app/keep")]]
)
def test_a_folder_that_was_something_else_in_between_is_a_new_one(between: list[Item], tmp_path: Path) -> None:
    """What it held before is gone, though no list names any of it."""
    second = archive(header(2, 1), [file("app/keep", b"kept"), *between])
    third = archive(header(3, 1, 2), [folder("app/sub"), file("app/sub/z", b"z")])
    assert run(tmp_path, archive(header(), FULL), second, third).compared.files == 5
    assert {path for path in tree(tmp_path) if path.startswith("app/sub")} == {"app/sub", "app/sub/z"}


def test_what_vanished_or_was_unreadable_is_as_the_parent_had_it(tmp_path: Path) -> None:
    second = archive(header(2, 1), [file("app/keep", b"", mark="vanished"), file("app/x", b"", mark="unreadable")])
    run(tmp_path, archive(header(), FULL), second)
    assert tree(tmp_path) == expected(FULL)


def test_a_file_that_changed_while_it_was_read_is_what_was_read_last(tmp_path: Path) -> None:
    first, last = file("app/a", b"half"), file("app/a", b"whole", mark="changed")
    data = packed(tar_archive(header(), [], members=[first.member, last.member], listed=[last.entry]))
    run(tmp_path, data)
    assert tree(tmp_path)["app/a"] == b"whole"


def test_sparse_files_keep_their_holes(tmp_path: Path) -> None:
    content = b"begin" + bytes(4 * 1024 * 1024) + b"end"
    one = file("app/sparse", content, sparse=((0, 5), (5 + 4 * 1024 * 1024, 3)))
    text = b"2\n0\n5\n4194309\n3\n"
    stored = text + bytes(512 - len(text)) + b"beginend"
    info = tar_info("app/GNUSparseFile.0/sparse", "file", stored)
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "app/sparse",
        "GNU.sparse.realsize": str(len(content)),
    }  # fmt: skip
    data = tar_archive(header(), [], members=[(info, stored)], listed=[one.entry])
    run(tmp_path, packed(data))
    made = tmp_path / "tree" / "app" / "sparse"
    assert made.read_bytes() == content
    assert made.stat().st_blocks * 512 < len(content) / 2
    assert tar_bytes(data).extractfile("app/sparse").read() == content  # type: ignore[union-attr]


def test_hard_links_share_a_file(tmp_path: Path) -> None:
    run(tmp_path, archive(header(), [file("app/a", b"one"), hardlink("app/sub/b", "app/a")]))
    assert (tmp_path / "tree/app/a").samefile(tmp_path / "tree/app/sub/b")


def test_names_that_are_no_utf8_and_long_ones(tmp_path: Path) -> None:
    odd, long = os.fsdecode(b"app/\xff\xe9 \n"), "app/" + "/".join(["d" * 250] * 10)
    run(tmp_path, archive(header(), [file(odd, b"odd"), file(long, b"long"), symlink("app/l", "t" * 3000)]))
    assert (tmp_path / "tree" / odd).read_bytes() == b"odd"
    assert (tmp_path / "tree" / long).read_bytes() == b"long"


def test_twins_by_case_or_by_unicode_are_two_files(tmp_path: Path) -> None:
    """A disk that takes them for one has too few files, and gets none."""
    twins = ["app/name", "app/NAME", "app/\u00e9", "app/e\u0301"]
    run(tmp_path, archive(header(), [file(path, path.encode()) for path in twins]))
    assert [(tmp_path / "tree" / path).read_bytes() for path in twins] == [path.encode() for path in twins]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(classes=frozenset({"configuration"})), {"conf", "conf/c.json"}),
        (
            Selection(paths=("app/sub", "conf/c.json")),
            {"app", "app/sub", "app/sub/x", "app/sub/y", "conf", "conf/c.json"},
        ),
        (Selection(paths=("app/su",)), set()),
        (Selection(classes=frozenset({"data"}), paths=("conf",)), set()),
    ],
)
def test_a_part_of_it(selection: Selection, found: set[str], tmp_path: Path) -> None:
    run(tmp_path, archive(header(), FULL), archive(header(2, 1), [], ["app/old"]), selection=selection)
    assert set(tree(tmp_path)) == found


def test_links_that_lead_out_are_kept_or_refused(tmp_path: Path) -> None:
    data = archive(header(), [folder("app"), symlink("app/l", "/etc/passwd")])
    run(tmp_path / "kept", data)
    assert tree(tmp_path / "kept")["app/l"] == "-> /etc/passwd"
    with pytest.raises(ArchiveError) as refused:
        run(tmp_path / "refused", data, selection=Selection(outward_links=False))
    assert (refused.value.code, refused.value.path, refused.value.archive) == (OUTWARD_LINK, "app/l", 0)
    run(tmp_path / "inward", archive(header(), FULL), selection=Selection(outward_links=False))


def test_modes_times_and_owners_are_as_they_were(tmp_path: Path) -> None:
    who: dict[str, Any] = {"uid": 54321, "gid": 54322, "owner": "", "group": ""}
    items = [
        folder("app", mode=0o3750, mtime_ns=5_000_000_123, **who),
        file("app/a", mode=0o4711, mtime_ns=7_123_456_789, **who),
        folder("app/shut", mode=0o500), file("app/shut/b", mode=0o400), folder("app/dark", mode=0o000),
        file("app/dark/c"),
    ]  # fmt: skip
    link = symlink("app/l", "a")
    items.append(Item(replaced(link.entry, mtime_ns=9_000, **who)))
    owners = Owners()
    run(tmp_path, archive(header(), items), archive(header(2, 1), [file("app/new")]), owners=owners)
    root = tmp_path / "tree"
    assert (root / "app").stat().st_mode & 0o7777 == 0o3750
    assert (root / "app").stat().st_mtime_ns == 5_000_000_123
    assert (root / "app/a").stat().st_mode & 0o7777 == 0o711
    assert (root / "app/a").stat().st_mtime_ns == 7_123_456_789
    assert (root / "app/l").lstat().st_mtime_ns == 9_000
    assert [(root / "app" / name).stat().st_mode & 0o777 for name in ("shut", "dark")] == [0o500, 0]
    if owners.is_root:
        assert [
            ((root / "app" / name).lstat().st_uid, (root / "app" / name).lstat().st_gid) for name in ("a", "l")
        ] == [(54321, 54322)] * 2
    (root / "app/dark").chmod(0o700)


def test_an_owner_is_found_by_name_first() -> None:
    owners = Owners(is_root=True)
    me, ours = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    entry = replaced(file("app/a").entry, uid=77, gid=78, owner=me.pw_name, group=ours.gr_name)
    assert owners.of(entry) == (me.pw_uid, ours.gr_gid)
    assert owners.of(replaced(entry, owner="nobody-has-this-name", group="likewise-no-name")) == (77, 78)
    assert owners.of(replaced(entry, owner="nobody-has-this-name", group="\udcff")) == (77, 78)
    assert owners.unknown == ["nobody-has-this-name", "likewise-no-name", "\udcff"]


@pytest.mark.parametrize(
    ("chain", "archive_number"),
    [
        ([header(2, 1)], 0),
        ([header(1), header(3, 1, 2)], 1),
        ([header(1), header(1)], 1),
        ([header(1), header(2, 1, rvm_id=4)], 1),
        ([header(1), header(2, 1), header(3, 1, 4)], 2),
        ([header(1), header(2, 1), header(3, 5, 2)], 2),
    ],
)
def test_a_chain_with_another_link_is_refused(chain: list[Any], archive_number: int, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as refused:
        run(tmp_path, *(archive(each, [folder("app")]) for each in chain))
    assert (refused.value.code, refused.value.archive) == (WRONG_CHAIN, archive_number)


def test_the_room_counts_what_is_there_and_not_what_gave_way(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    full = archive(header(), [file("app/a", data)])
    more = [archive(header(n, *range(1, n)), [file("app/a", data)]) for n in range(2, 8)]
    run(tmp_path / "enough", full, *more, room=DiskRoom(700_000))
    with pytest.raises(ArchiveError, match="bytes") as refused:
        run(tmp_path / "little", full, room=DiskRoom(250_000))
    assert refused.value.code == DISK_FULL
    with pytest.raises(ArchiveError) as refused:
        run(
            tmp_path / "grown",
            full,
            archive(header(2, 1), [file("app/b", data), file("app/c", data)]),
            room=DiskRoom(800_000),
        )
    assert refused.value.code == DISK_FULL


def test_progress_counts_up_and_may_end_it(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []
    data = archive(header(), [file("app/a", os.urandom(2_000_000))])
    run(tmp_path / "whole", data, phase=lambda name, done: seen.append((name, done)))
    unpacking = [done for name, done in seen if name == UNPACKING]
    assert unpacking == sorted(unpacking)
    assert unpacking[-1] == len(data)
    assert seen[-1] == (COMPARING, 2_000_000)

    def stop(_name: str, done: int) -> None:
        if done > 500_000:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(tmp_path / "half", data, phase=stop)


def test_without_an_identity_an_encrypted_archive_is_closed(tmp_path: Path) -> None:
    identity, recipient = age.make_identity()
    other, _ = age.make_identity()
    data = archive(header(), FULL, recipients=[recipient])
    for number, identities in enumerate(([], [other])):
        with pytest.raises(ArchiveError) as refused:
            run(tmp_path / str(number), data, identities=identities)
        assert refused.value.code == WRONG_KEY
    run(tmp_path / "both", data, identities=[other, identity])


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_an_encrypted_archive_that_is_cut_or_flipped_is_damaged(share: float, tmp_path: Path) -> None:
    identity, recipient = age.make_identity()
    data = archive(header(), [file("app/a", os.urandom(400_000))], recipients=[recipient])
    at = int(len(data) * share)
    flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    for number, bad in enumerate((data[:at], flipped)):
        with pytest.raises(ArchiveError) as refused:
            run(tmp_path / str(number), bad, identities=[identity])
        assert refused.value.code == DAMAGED


def test_what_breaks_the_source_of_an_encrypted_archive_is_what_is_raised() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise ConnectionResetError("gone")
            return data

    identity, recipient = age.make_identity()
    data = archive(header(), [file("app/a", os.urandom(400_000))], recipients=[recipient])
    with (
        pytest.raises(ConnectionResetError),
        contextlib.closing(packing.unpacked(packing.CountedFile(Broken(data[:200_000])), [identity])) as pieces,
    ):
        for _ in pieces:
            pass


def test_a_reader_that_stops_early_leaves_no_thread_behind(tmp_path: Path) -> None:
    identity, recipient = age.make_identity()
    data = archive(header(), [file("app/a", os.urandom(4_000_000))], how="none", recipients=[recipient])
    pieces = packing.unpacked(packing.CountedFile(io.BytesIO(data)), [identity])
    assert next(pieces)
    pieces.close()


def test_identities_come_from_a_file(tmp_path: Path) -> None:
    identity, recipient = age.make_identity()
    assert age.recipient_of(identity) == recipient
    key = tmp_path / "key.txt"
    key.write_text(f"# created: 2026\n# public key: {recipient}\n{identity}\n")
    assert age.read_identities(key) == (identity,)
    for text, said in (
        ("", "no age identity"),
        ("AGE-SECRET-KEY-1NONSENSE", "no age identity: it begins"),
        (None, "cannot be read"),
    ):
        if text is None:
            key.unlink()
        else:
            key.write_text(text)
        with pytest.raises(ArchiveError, match=said):
            age.read_identities(key)


def test_structure_alone_is_read_without_unpacking(tmp_path: Path) -> None:
    data = archive(header(2, 1), [file("app/a"), symlink("app/l", "/etc")], ["app/b"])
    one = unpack.unpack(io.BytesIO(data), None, tmp_path / "manifest")
    assert (one.header, one.totals.entries, one.totals.deleted, one.size) == (header(2, 1), 2, 1, len(data))
    assert [type(line).__name__ for line in unpack.read_file(tmp_path / "manifest")] == [
        "Header", "Entry", "Entry", "Deleted", "Totals",
    ]  # fmt: skip
