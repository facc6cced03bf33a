"""The object store, in a folder and in a real S3 server: whole or not there, read back, and how it fails."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from hub.kernel.objects import s3, threads
from hub.kernel.objects.folder import FolderShelf
from hub.kernel.objects.place import (
    PART_SIZE,
    ObjectDamagedError,
    ObjectMissingError,
    ObjectsError,
    ObjectsRefusedError,
)
from hub.kernel.objects.store import Objects, digest, open_objects
from hub.settings import Settings
from tests.support.s3_server import GIVEN, S3Server


def file_of(folder: Path, data: bytes) -> tuple[Path, str]:
    path = folder / "source"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 300_000, 9 * 1024 * 1024], ids=str)
async def test_what_is_stored_comes_back_byte_for_byte(objects: Objects, tmp_path: Path, size: int) -> None:
    path, sha256 = file_of(tmp_path, os.urandom(size))
    await objects.put_file("recordings/1.cast", path, sha256)
    back = tmp_path / "back"
    await objects.get_file("recordings/1.cast", back, sha256)
    assert back.read_bytes() == path.read_bytes()
    assert back.stat().st_mode & 0o077 == 0
    assert not path.with_name("source.returned").exists(), "no leftovers"


async def test_keys_are_listed_by_how_they_begin_and_deleting_twice_is_no_error(
    objects: Objects, tmp_path: Path
) -> None:
    assert await objects.list("recordings/") == []
    for key in ("recordings/a/1.cast", "recordings/2.cast", "backups/1.tar"):
        await objects.put_file(key, *file_of(tmp_path, key.encode()))
    assert await objects.list("recordings/") == ["recordings/2.cast", "recordings/a/1.cast"]
    for _ in range(2):
        await objects.delete("recordings/2.cast")
    assert await objects.list("") == ["backups/1.tar", "recordings/a/1.cast"]


async def test_what_is_not_there_differs_from_a_store_that_fails(objects: Objects, tmp_path: Path) -> None:
    await objects.put_file("is.cast", *file_of(tmp_path, b"x"))
    with pytest.raises(ObjectMissingError):
        await objects.get_file("not.cast", tmp_path / "back", "0")
    assert not (tmp_path / "back").exists()


async def test_bytes_that_changed_are_never_given_back(objects: Objects, tmp_path: Path) -> None:
    path, sha256 = file_of(tmp_path, b"as it was")
    await objects.put_file("k.cast", path, sha256)
    other, changed = file_of(tmp_path, b"as it is now")
    await objects.put_file("k.cast", other, changed)
    with pytest.raises(ObjectDamagedError):
        await objects.get_file("k.cast", tmp_path / "back", sha256)
    assert not (tmp_path / "back").exists()
    with pytest.raises(ObjectDamagedError):
        await objects.put_file("k.cast", other, sha256)


class Forgetful(FolderShelf):
    """Stores something else than it was given."""

    def put(self, key: str, path: Path) -> None:
        path.with_name("other").write_bytes(b"other")
        super().put(key, path.with_name("other"))


async def test_what_the_store_gives_back_is_compared_before_it_counts_as_stored(tmp_path: Path) -> None:
    with pytest.raises(ObjectDamagedError):
        await Objects(Forgetful(tmp_path / "o")).put_file("k.cast", *file_of(tmp_path, b"mine"))


@pytest.mark.parametrize("key", ["../x", "/x", "a/../b", "", "a//b", ".part-x", "a b", "x" * 201, "a\x00"])
async def test_a_key_that_could_leave_the_store_is_a_bug_of_ours(objects: Objects, tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        await objects.put_file(key, *file_of(tmp_path, b""))


async def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("a file in the way")
    with pytest.raises(ObjectsError):
        await Objects(FolderShelf(tmp_path / "objects")).put_file("k.cast", *file_of(tmp_path, b"x"))


def of_nobody(tmp_path: Path, endpoint: str) -> Objects:
    keys = {"RVM_S3_ACCESS_KEY": "a", "RVM_S3_SECRET_KEY": "b"}
    url = f"s3://bucket?endpoint={endpoint}&secure=no&region=us-east-1"
    return open_objects(Settings.load({"data_dir": tmp_path, "object_store": url}, keys))


async def test_a_server_that_is_away_fails_at_once(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = of_nobody(tmp_path, f"127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(ObjectsError):
            await away.put_file("k.cast", *file_of(tmp_path, b"x"))


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SILENCE_S", 0.3)
    monkeypatch.setattr(s3, "READ_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = of_nobody(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ObjectsError, match="does not answer"):
            await hanging.put_file("k.cast", *file_of(tmp_path, b"x"))


async def test_a_wrong_key_is_reported_and_not_shown(server: S3Server, tmp_path: Path) -> None:
    wrong = of_nobody(tmp_path, server.endpoint)
    with pytest.raises(ObjectsError) as refused:
        await wrong.put_file("k.cast", *file_of(tmp_path, b"x"))
    assert "the object store says" in str(refused.value)


async def test_keys_that_may_only_use_a_bucket_are_enough(server: S3Server, tmp_path: Path) -> None:
    if not server.limited[0]:
        pytest.skip("TEST_S3_ENDPOINT has no such keys")
    admin = {"RVM_S3_ACCESS_KEY": server.access_key, "RVM_S3_SECRET_KEY": server.secret_key}
    limited = dict(zip(admin, server.limited, strict=True))

    def opened(bucket: str, keys: dict[str, str]) -> Objects:
        return open_objects(Settings.load({"data_dir": tmp_path, "object_store": server.url(bucket)}, keys))

    await opened(GIVEN, admin).probe()
    theirs = opened(GIVEN, limited)
    await theirs.probe()
    path, sha256 = file_of(tmp_path, os.urandom(PART_SIZE + 5))
    await theirs.put_file("backups/1.tar", path, sha256)
    await theirs.get_file("backups/1.tar", tmp_path / "back", sha256)
    await theirs.delete("backups/1.tar")
    assert await theirs.list("") == []
    with pytest.raises(ObjectsRefusedError) as refused:
        await opened("other", limited).probe()
    assert refused.value.code in ("AccessDenied", "NoSuchBucket")


def test_a_digest_of_what_cannot_be_read_is_an_error_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(ObjectsError):
        digest(tmp_path / "none")


def test_folders_of_the_store_are_the_hubs_alone(tmp_path: Path) -> None:
    root = tmp_path / "elsewhere" / "objects"
    source = tmp_path / "source"
    source.write_bytes(b"x")
    FolderShelf(root).put("recordings/1/a", source)
    made = [tmp_path / "elsewhere", *(tmp_path / "elsewhere").rglob("*")]
    assert len(made) == 5
    assert [path for path in made if path.stat().st_mode & 0o077] == []
