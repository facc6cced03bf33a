"""Extended attributes and ACLs: kept, understood by tar, compared by a drill, given back by a restore."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sqlite3
import subprocess
import tarfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from archive import attributes
from archive.attributes import ACCESS, DEFAULT
from archive.errors import DAMAGED, TOO_LARGE, UNSAFE, ArchiveError
from archive.manifest import MAX_ATTRIBUTES, Entry, decode, encode
from archive.owners import Owners
from archive.replay import ChainLink, Replayed, replay
from archive.unpack import EVERYTHING, Selection
from device.backups.scan import scan
from tests.support import archives
from tests.support.backup_archives import Machine, archive_of, as_nobody, header, open_to_all, plain, read
from tests.support.extended_files import FOR_A_USER, INHERITED, acl_of, extended_folder, extended_picture, set_acl

HELD = "user::rw-,user:joe:rw-:1000,group::r--,mask::rw-,other::---"


def restored(
    folder: Path, made: Sequence[bytes], *, owners: Owners | None = None, selection: Selection = EVERYTHING
) -> Replayed:
    work = folder.with_name(folder.name + "-work")
    folder.mkdir()
    work.mkdir()
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, root)
        links = [ChainLink(partial(io.BytesIO, data), len(data)) for data in made]
        return replay(links, root, work, owners=owners, selection=selection)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return extended_folder(tmp_path / "tree")


def full(tree: Path, tmp_path: Path) -> bytes:
    scan(header({"data": tree}), tmp_path / "work", None)
    return archive_of(tmp_path / "work", {"data": tree}).data


def test_they_stand_in_the_manifest(tree: Path, tmp_path: Path) -> None:
    entries = read(full(tree, tmp_path)).entries
    weights = entries["data/weights.json"]
    assert weights.attributes == {"user.checksum": b"\x00\xff=\n 7", "user.empty": b""}
    assert (weights.acl, weights.default_acl) == (FOR_A_USER, None)
    assert entries["data/shared"].default_acl == INHERITED
    assert entries["data/weights.same"].kind == "hardlink"
    assert entries["data/weights.same"].attributes is None
    assert entries["data/plain.json"].extended_size == 0


def test_the_systems_tar_gives_them_back(tree: Path, tmp_path: Path) -> None:
    made = full(tree, tmp_path)
    (tmp_path / "out").mkdir()
    flags = ["--xattrs", "--acls", "-xzpf", "-", "-C", str(tmp_path / "out")]
    ran = subprocess.run(["tar", *flags], input=made, check=True, capture_output=True)
    assert ran.stderr == b""
    assert extended_picture(tmp_path / "out" / "data") == extended_picture(tree)


def test_a_restore_gives_them_back(tree: Path, tmp_path: Path) -> None:
    owners = Owners()
    restored(tmp_path / "out", [full(tree, tmp_path)], owners=owners)
    assert extended_picture(tmp_path / "out" / "data") == extended_picture(tree)
    assert owners.without == []


def test_a_drill_compares_and_sets_none(tree: Path, tmp_path: Path) -> None:
    restored(tmp_path / "out", [full(tree, tmp_path)])
    assert os.listxattr(tmp_path / "out/data/weights.json") == []


def test_a_changed_attribute_is_a_change(tree: Path, tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"data": tree})
    first = machine.back_up().data
    os.removexattr(tree / "weights.json", "user.checksum")
    set_acl(tree / "plain.json", FOR_A_USER)
    os.removexattr(tree / "shared", DEFAULT)
    second = machine.back_up()
    assert machine.chain == (1, 2)
    assert {"data/weights.json", "data/plain.json", "data/shared"} <= read(second.data).entries.keys()
    restored(tmp_path / "out", [first, second.data], owners=Owners())
    assert extended_picture(tmp_path / "out" / "data") == extended_picture(tree)


def test_databases_and_files_with_holes_have_theirs(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with contextlib.closing(sqlite3.connect(root / "x.db")) as database:
        database.execute("CREATE TABLE t(a)")
    with (root / "holes").open("wb") as holes:
        holes.truncate(3_000_000)
    for path in (root / "x.db", root / "holes"):
        os.setxattr(path, "user.kind", b"kept")
        set_acl(path, FOR_A_USER)
    before = extended_picture(root)
    made = full(root, tmp_path)
    assert read(made).entries["data/x.db"].snapshot
    assert read(made).entries["data/holes"].sparse == ()
    restored(tmp_path / "out", [made], owners=Owners())
    assert extended_picture(tmp_path / "out" / "data") == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_whoever_is_not_root_keeps_and_gets_them(tmp_path: Path) -> None:
    open_to_all(tmp_path)

    def keep() -> None:
        tree = extended_folder(tmp_path / "tree")
        before, owners = extended_picture(tree), Owners()
        restored(tmp_path / "out", [full(tree, tmp_path)], owners=owners)
        assert extended_picture(tmp_path / "out" / "data") == before
        assert (owners.is_root, owners.without) == (False, [])

    as_nobody(keep)


def test_a_hard_link_alone_has_those_of_its_file(tree: Path, tmp_path: Path) -> None:
    only = Selection(paths=("data/weights.same",))
    restored(tmp_path / "out", [full(tree, tmp_path)], owners=Owners(), selection=only)
    assert acl_of(tmp_path / "out/data/weights.same") == FOR_A_USER
    assert os.getxattr(tmp_path / "out/data/weights.same", "user.empty") == b""


def test_nothing_is_inherited_from_where_it_is_unpacked(tree: Path, tmp_path: Path) -> None:
    made = full(tree, tmp_path)
    above = tmp_path / "above"
    above.mkdir()
    set_acl(above, INHERITED, DEFAULT)
    restored(above / "out", [made], owners=Owners())
    assert extended_picture(above / "out" / "data") == extended_picture(tree)


def test_what_cannot_be_kept_is_a_line_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "MAX_ATTRIBUTES", 300)  # ext4 has no room for as many as are kept at most
    root = tmp_path / "root"
    root.mkdir()
    (root / "many").write_bytes(b"x")
    for number in range(3):
        os.setxattr(root / "many", f"user.n{number}", bytes(100))
    (root / "odd").write_bytes(b"x")
    os.setxattr(root / "odd", "user.a=b", b"1")
    os.setxattr(root / "odd", "user.good", b"2")
    scan(header({"data": root}), tmp_path / "work", None)
    made = archive_of(tmp_path / "work", {"data": root})
    assert made.summary.report.counts == {"attributes_left_out": 2}
    assert read(made.data).entries["data/odd"].attributes == {"user.good": b"2"}
    assert read(made.data).entries["data/many"].attributes is None
    restored(tmp_path / "out", [made.data])


def test_security_and_trusted_ones_are_not_kept(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"x")
    with contextlib.suppress(PermissionError):
        os.setxattr(root / "a", "trusted.overlay", b"1")
        os.setxattr(root / "a", "security.other", b"1")
    scan(header({"data": root}), tmp_path / "work", None)
    made = archive_of(tmp_path / "work", {"data": root})
    assert b"trusted." not in plain(made.data)
    assert b"security." not in plain(made.data)
    assert made.summary.report.counts == {}


def one(**changes: object) -> Entry:
    return archives.replaced(archives.file("app/a").entry, **changes)


def test_a_file_system_that_refuses_them_is_named_and_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its ACL the mode's group bits would be the owning group's: they become what that had."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    data = archives.archive(archives.header(), [
        archives.folder("app", mode=0o2775, acl=INHERITED.replace("group::r-x", "group::---"), default_acl=INHERITED),
        archives.file("app/a", mode=0o660, acl=FOR_A_USER, attributes={"user.a": b"1"}),
        archives.file("app/b", mode=0o664, attributes={"user.a": b"1"}),
    ])  # fmt: skip
    monkeypatch.setattr(os, "setxattr", refuse)
    owners = Owners()
    restored(tmp_path / "out", [tar_with_records(data)], owners=owners)
    assert sorted(owners.without) == ["app", "app/a", "app/b"]
    assert [(tmp_path / "out" / path).stat().st_mode & 0o7777 for path in ("app", "app/a", "app/b")] == [
        0o2705, 0o600, 0o664,
    ]  # fmt: skip


def tar_with_records(data: bytes) -> bytes:
    """The same archive, each member with the records that its entry has."""
    made = read(data)
    items = []
    for member in archives.tar_bytes(plain(data)):
        entry = made.entries.get(member.name)
        member.pax_headers = {} if entry is None else dict(archives.records_of(entry))
        items.append((member, made.contents.get(member.name, b"")))
    return archives.packed(archives.tar_of(items))


def test_a_file_that_ran_as_somebody_else_does_not_and_is_named(tmp_path: Path) -> None:
    items = [
        archives.folder("app", mode=0o2755),
        archives.file("app/su", mode=0o4755),
        archives.file("app/sg", mode=0o2755),
    ]
    owners = Owners()
    restored(tmp_path / "out", [archives.archive(archives.header(), items)], owners=owners)
    assert owners.set_id == ["app/su", "app/sg"]
    assert (tmp_path / "out/app/su").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "out/app").stat().st_mode & 0o7777 == 0o2755


def test_an_entry_carries_them_as_text() -> None:
    entry = one(attributes={"user.a": b"\xff\x00"}, acl=HELD)
    assert decode(encode(entry)) == entry
    assert b'"attributes":{"user.a":"/wA="}' in encode(entry)
    assert archives.records_of(entry) == (
        ("SCHILY.acl.access", HELD.replace(":joe:rw-:1000", ":1000:rw-")), ("SCHILY.xattr.user.a", "\udcff\x00"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attributes": {"security.capability": b"1"}}, UNSAFE), ({"attributes": {"trusted.a": b"1"}}, UNSAFE),
        ({"attributes": {"system.posix_acl_access": b"1"}}, UNSAFE), ({"attributes": {"user.": b"1"}}, UNSAFE),
        ({"attributes": {"user.a=b": b"1"}}, UNSAFE), ({"attributes": {"user.a\n": b"1"}}, UNSAFE),
        ({"attributes": {"user." + "a" * 251: b"1"}}, UNSAFE),
        ({"attributes": {"user.a": bytes(MAX_ATTRIBUTES)}}, TOO_LARGE), ({"acl": "user::rwx"}, DAMAGED),
        ({"acl": "x" * MAX_ATTRIBUTES * 2}, TOO_LARGE), ({"default_acl": INHERITED}, DAMAGED),
        ({"acl": ""}, DAMAGED),
        ({"kind": "symlink", "link": "b", "size": 0, "sha256": None, "attributes": {"user.a": b"1"}}, DAMAGED),
        ({"kind": "hardlink", "link": "app/b", "size": 0, "sha256": None, "acl": HELD}, DAMAGED),
    ],
)  # fmt: skip
def test_what_no_backup_has_is_refused(changes: dict[str, object], code: str) -> None:
    with pytest.raises(ArchiveError) as refused:
        encode(one(**changes))
    assert refused.value.code == code


def test_one_that_changed_while_it_was_read_has_its_last(tree: Path, tmp_path: Path) -> None:
    """The member that was written first had others: the last one counts."""
    first, last = archives.file("app/a", b"half"), archives.file("app/a", b"whole", mark="changed")
    info, content = first.member
    info.pax_headers = {"SCHILY.xattr.user.a": "1"}
    data = archives.packed(
        archives.tar_archive(archives.header(), [], members=[(info, content), last.member], listed=[last.entry])
    )
    restored(tmp_path / "out", [data])


def test_tarfile_and_python_see_what_tar_sees(tree: Path, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(plain(full(tree, tmp_path)))) as tar:
        found = tar.getmember("data/weights.json").pax_headers
    assert found["SCHILY.acl.access"] == FOR_A_USER
    assert found["SCHILY.xattr.user.checksum"] == "\x00\udcff=\n 7"
    assert ACCESS not in str(found)
