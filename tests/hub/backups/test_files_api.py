"""What a backup holds, out of the manifest that archives are written with."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from archive.manifest import Entry
from db.backup_records import BackupRow
from hub.backups.files_api import FilesQuery, look
from hub.backups.rules import life
from hub.backups.rules.life import Archive
from hub.backups.service import Backups
from hub.kernel.objects.store import digest
from hub.model.changes import Patch, put_rows
from tests.support.api_hub import ApiHub
from tests.support.archives import header, manifest_of
from tests.support.backup_client import good, problem

SUM = "a" * 64


def entry(path: str, kind: Any = "file", **members: Any) -> Entry:
    return Entry(path=path, kind=kind, sha256=SUM if kind == "file" else None, **members)


ENTRIES = [
    entry("data", "dir", mode=0o755),
    entry("data/b", "dir"),
    entry("data/b/an\u202egpj.exe", size=1),
    entry("data/b/deep.bin", size=9),
    entry('data/b/quo"ted', size=1),
    entry("data/a.sqlite3", size=4096, snapshot=True, mtime_ns=1_795_370_531_000_000_000, owner="rvm", mode=0o640),
    entry("data/c", "symlink", link="a.sqlite3"),
    entry("data/c-bad", "symlink", link="to-\udcff"),
    entry("data/bad-\udcff", size=2, mark="changed"),
    entry("data/old", mtime_ns=-(2**63)),
]


def packed(entries: Sequence[Entry] = ENTRIES, deleted: Sequence[str] = (), number: int = 1, *chain: int) -> io.BytesIO:
    return io.BytesIO(gzip.compress(manifest_of(header(number, *chain), entries, deleted)))


async def backup_with_manifest(hub: ApiHub, tmp_path: Path) -> int:
    """A whole backup whose drill has left its manifest."""
    context, rvm_id = hub.context, hub.machines["one"]
    backup_id = await context[Backups].draw()
    key = f"backups/{rvm_id}/{backup_id}-0.tar.gz"
    received = life.received(
        context.fleet.machines[rvm_id], backup_id, "full", Archive(9, SUM), key, "system", context.clock()
    )  # fmt: skip
    await context.announce(*received)
    file = tmp_path / "manifest.gz"
    file.write_bytes(packed().getvalue())
    (row,) = put_rows(received, BackupRow)
    key = life.manifest_key_of(row)
    await context[Backups].objects.put_file(key, file, digest(file))
    mine = (("rvm_id", "=", rvm_id),)
    await context.announce(Patch(BackupRow, backup_id, {"manifest_key": key}, where=mine))
    return backup_id


async def test_a_backup_is_looked_through_folder_by_folder(hub: ApiHub, tmp_path: Path) -> None:
    base = f"/api/v2/rvms/{hub.machines['one']}/backups/{await backup_with_manifest(hub, tmp_path)}"
    async with hub.of("viewer") as viewer:
        top = good(await viewer.get(f"{base}/files"))
        assert [(found["name"], found["kind"]) for found in top["entries"]] == [("data", "dir")]
        assert top["sources"] == {name: each.class_ for name, each in header(1).sources.items()}
        assert good(await viewer.get(base))["has_files"] is True
        first = good(await viewer.get(f"{base}/files", params={"folder": "data/", "limit": 2}))
        assert [found["name"] for found in first["entries"]] == ["a.sqlite3", "b"]
        assert first["next"] == "b"
        assert first["entries"][0] == {
            "name": "a.sqlite3", "kind": "file", "size": 4096, "mode": 0o640, "owner": "rvm", "group": "0",
            "mtime": "2026-11-22T18:02:11.000Z", "link": None, "sha256": SUM, "mark": None,
        }  # fmt: skip
        rest = good(await viewer.get(f"{base}/files", params={"folder": "data", "after": "b"}))
        assert [found["name"] for found in rest["entries"]] == ["bad-\ufffd", "c", "c-bad", "old"]
        assert rest["entries"][2]["link"] == "to-\ufffd"
        assert rest["entries"][3]["mtime"].startswith("1677-09-21"), "the earliest that a manifest has"
        deep = good(await viewer.get(f"{base}/files", params={"folder": "data/b"}))
        assert [found["name"] for found in deep["entries"]] == ["an\u202egpj.exe", "deep.bin", 'quo"ted']
        refused = problem(await viewer.get(f"{base}/files", params={"folder": "elsewhere"}), 422)
        assert refused["errors"] == {"folder": ["is no folder of this backup"]}


async def test_a_page_shows_names_as_they_are_written(hub: ApiHub, tmp_path: Path) -> None:
    number = await backup_with_manifest(hub, tmp_path)
    async with hub.browser(await hub.add_session("viewer")) as viewer:
        page = await viewer.get(f"/machines/{hub.machines['one']}/backups/{number}", params={"folder": "data/b"})
    assert "an\\u202egpj.exe" in page.text
    assert "\u202e" not in page.text


async def test_what_was_not_drilled_or_is_deleted_has_no_list(hub: ApiHub, tmp_path: Path) -> None:
    number = await backup_with_manifest(hub, tmp_path)
    base = f"/api/v2/rvms/{hub.machines['one']}/backups/{number}"
    async with hub.of("admin") as admin:
        await hub.context[Backups].objects.delete(f"backups/{hub.machines['one']}/{number}.manifest.gz")
        problem(await admin.get(f"{base}/files"), 409, "backup_lost")
        good(await admin.delete(base))
        problem(await admin.get(f"{base}/files"), 409, "no_list")


def test_an_incremental_names_what_is_gone_from_the_folder() -> None:
    found = look(
        packed([entry("data", "dir"), entry("data/new")], ["data/gone", "data/x/gone"], 2, 1), "data", FilesQuery()
    )
    assert found is not None
    assert (found.deleted, [one.path for one in found.entries]) == (["gone"], ["data/new"])


@pytest.mark.parametrize("damage", ["cut", "not gzip", "no lines"])
def test_a_damaged_manifest_is_no_list(damage: str) -> None:
    whole = packed().getvalue()
    data = {"cut": whole[:-9], "not gzip": b"\x1f\x8bnonsense", "no lines": gzip.compress(b"{}\n")}[damage]
    assert look(io.BytesIO(data), "", FilesQuery()) is None


def test_a_great_manifest_is_looked_through_without_decoding_it() -> None:
    many = [entry("data", "dir"), *(replace(entry("data/x"), path=f"data/d{n % 50}/f{n}") for n in range(5000))]
    found = look(packed(many), "data/d7", FilesQuery(limit=3))
    assert found is not None
    assert [one.path for one in found.entries] == ["data/d7/f1007", "data/d7/f1057", "data/d7/f107", "data/d7/f1107"]
