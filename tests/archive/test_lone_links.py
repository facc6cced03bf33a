"""Hard links that are restored without the file they were listed under: each has its content, and no other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from archive import manifest
from archive.errors import DAMAGED, UNSAFE, ArchiveError
from archive.replay import Replayed
from archive.unpack import Selection
from tests.archive.test_replay import run, tree
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
    tar_archive,
    tar_info,
    tar_of,
)
from tests.support.backup_archives import Machine, settle

SUB = Selection(paths=("app/sub",))
LINKED = (
    folder("app"), file("app/a", b"one"), folder("app/sub"), hardlink("app/sub/b", "app/a"), hardlink("app/c", "app/a"),
    hardlink("app/sub/d", "app/a"), file("app/sub/own", b"own"),
)  # fmt: skip


def restored(folder_: Path, *archives: bytes, **how: Any) -> tuple[Replayed, dict[str, bytes | str]]:
    done = run(folder_, *archives, **how)
    return done, tree(folder_)


def test_they_have_the_content_of_the_file_and_are_one_among_themselves(tmp_path: Path) -> None:
    done, found = restored(tmp_path, archive(header(), LINKED), selection=SUB)
    expected = {"app/sub": "dir", "app/sub/b": b"one", "app/sub/d": b"one", "app/sub/own": b"own", "app": "dir"}
    assert found == expected
    assert (tmp_path / "tree/app/sub/b").samefile(tmp_path / "tree/app/sub/d")
    assert (done.compared.files, done.compared.bytes, done.compared.links) == (3, 9, 0)


def test_in_a_chain_the_newest_content_counts(tmp_path: Path) -> None:
    newer = [file("app/a", b"newer"), hardlink("app/sub/b", "app/a")]
    _, found = restored(tmp_path, archive(header(), LINKED), archive(header(2, 1), newer), selection=SUB)
    assert (found["app/sub/b"], found["app/sub/d"]) == (b"newer", b"one")


@pytest.mark.parametrize("replaced", ["app/sub/b", "app/sub/d"])
def test_a_link_that_became_a_file_of_its_own_takes_nothing_from_the_others(tmp_path: Path, replaced: str) -> None:
    """The plan lists a link; when it was written it was another file."""
    written = [file(replaced, b"another") if item.entry.path == replaced else item for item in LINKED]
    head, entries = header(), [item.entry for item in written]
    plan, end = plan_of(head, [item.entry for item in LINKED]), manifest_of(head, entries)
    members = [
        (tar_info(manifest.BEGIN, "file", plan), plan), *(item.member for item in written),
        (tar_info(manifest.MANIFEST, "file", end), end),
    ]  # fmt: skip
    _, found = restored(tmp_path, packed(tar_of(members)), selection=SUB)
    (other,) = {"app/sub/b", "app/sub/d"} - {replaced}
    assert (found[replaced], found[other]) == (b"another", b"one")


def test_content_that_is_not_as_listed_is_found(tmp_path: Path) -> None:
    members = [item.member for item in (folder("app"), file("app/a", b"two"), *LINKED[2:])]
    with pytest.raises(ArchiveError) as refused:
        restored(tmp_path, packed(tar_archive(header(), LINKED, members=members)), selection=SUB)
    assert (refused.value.code, refused.value.path) == (DAMAGED, "app/sub/b")


@pytest.mark.parametrize("missing", ["in the tar", "everywhere"])
def test_without_the_file_in_the_archive_it_is_refused(tmp_path: Path, missing: str) -> None:
    items: list[Item] = [item for item in LINKED if item.entry.path != "app/a" or missing == "in the tar"]
    members = [item.member for item in items if item.entry.path != "app/a"]
    with pytest.raises(ArchiveError) as refused:
        restored(tmp_path, packed(tar_archive(header(), items, members=members)), selection=SUB)
    assert refused.value.code == UNSAFE


def test_links_of_a_real_machine(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_bytes(b"first")
    os.link(root / "a", root / "sub" / "b")
    machine = Machine(tmp_path / "backups", {"app": root})
    full = machine.back_up().data
    (root / "a").write_bytes(b"second")
    settle(root)
    incremental = machine.back_up().data
    _, found = restored(tmp_path / "old", full, selection=Selection(paths=("app/sub/b",)))
    assert found == {"app": "dir", "app/sub": "dir", "app/sub/b": b"first"}
    _, found = restored(tmp_path / "new", full, incremental, selection=Selection(paths=("app/sub/b",)))
    assert found["app/sub/b"] == b"second"
