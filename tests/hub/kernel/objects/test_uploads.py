"""Uploads in parts, streams and digests, in a folder and in a real S3 server; unfinished ones and their sweep."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import anyio
import httpx
import pytest

from hub.kernel.objects.folder import FolderShelf
from hub.kernel.objects.place import PART_SIZE, ObjectDamagedError, ObjectMissingError, ObjectsError, ObjectsFullError
from hub.kernel.objects.store import Objects
from hub.settings import Settings

KEY = "backups/7/b1-0a1b2c3d.tar.gz"
DATA = os.urandom(2 * PART_SIZE + 12_345)
PARTS = [DATA[at : at + PART_SIZE] for at in range(0, len(DATA), PART_SIZE)]


async def stored(objects: Objects, key: str = KEY) -> None:
    upload_id = await objects.begin(key)
    parts = [(number, await objects.put_part(key, upload_id, number, part)) for number, part in enumerate(PARTS, 1)]
    await objects.complete(key, upload_id, parts)


async def read(objects: Objects, key: str = KEY, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join([piece async for piece in objects.stream(key, offset, length)])


async def test_parts_in_any_order_several_at_once_become_one_object(objects: Objects) -> None:
    upload_id = await objects.begin(KEY)
    tags: dict[int, str] = {}

    async def put(number: int) -> None:
        tags[number] = await objects.put_part(KEY, upload_id, number, memoryview(PARTS[number - 1]))

    async with anyio.create_task_group() as tasks:
        for number in (3, 1, 2):
            tasks.start_soon(put, number)
    with pytest.raises(ObjectMissingError):
        await objects.size(KEY)
    await objects.complete(KEY, upload_id, sorted(tags.items()))
    assert await objects.size(KEY) == len(DATA)
    assert await objects.digest(KEY) == hashlib.sha256(DATA).hexdigest()
    assert await objects.list("backups/") == [KEY]
    assert await objects.uploads("") == []
    with contextlib.suppress(ObjectMissingError):  # some stores remember that it was complete
        await objects.complete(KEY, upload_id, sorted(tags.items()))
    assert await objects.size(KEY) == len(DATA)


async def test_parts_that_come_in_pieces_are_the_same(objects: Objects) -> None:
    upload_id, parts = await objects.begin(KEY), []
    for number, part in enumerate(PARTS, 1):
        writer = objects.part_writer(KEY, upload_id, number)
        for start in range(0, len(part), 700_001):
            await writer.write(part[start : start + 700_001])
        parts.append((number, await writer.finish()))
        assert writer.size == len(part)
    await objects.complete(KEY, upload_id, parts)
    assert await read(objects) == DATA


async def test_pieces_beyond_a_part_are_refused(objects: Objects) -> None:
    upload_id = await objects.begin(KEY)
    writer = objects.part_writer(KEY, upload_id, 1)
    await writer.write(PARTS[0])
    with pytest.raises(ValueError, match="larger"):
        await writer.write(b"x")
    with pytest.raises(ValueError, match="no part"):
        objects.part_writer(KEY, upload_id, 0)


async def test_a_part_sent_again_takes_the_place_of_the_former(objects: Objects) -> None:
    upload_id = await objects.begin(KEY)
    first = await objects.put_part(KEY, upload_id, 1, PARTS[0])
    await objects.put_part(KEY, upload_id, 2, PARTS[1])
    last = await objects.put_part(KEY, upload_id, 2, b"the last one is short")
    await objects.complete(KEY, upload_id, [(1, first), (2, last)])
    assert await read(objects) == PARTS[0] + b"the last one is short"


async def test_an_upload_takes_the_place_of_an_object_only_when_it_is_complete(objects: Objects) -> None:
    await stored(objects)
    upload_id = await objects.begin(KEY)
    tag = await objects.put_part(KEY, upload_id, 1, b"other")
    assert await objects.size(KEY) == len(DATA)
    await objects.complete(KEY, upload_id, [(1, tag)])
    assert await read(objects) == b"other"


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, None), (0, 1), (PART_SIZE - 3, 6), (len(DATA) - 1, None), (len(DATA), None), (5, 0), (100, 1 << 40)],
)
async def test_any_range_is_streamed(objects: Objects, offset: int, length: int | None) -> None:
    await stored(objects)
    end = None if length is None else offset + length
    assert await read(objects, KEY, offset, length) == DATA[offset:end]


async def test_many_streams_that_are_left_early_hold_nothing(objects: Objects) -> None:
    await stored(objects)
    for _ in range(20):
        stream = objects.stream(KEY)
        assert DATA.startswith(await anext(stream))
        await stream.aclose()
    assert await objects.digest(KEY) == hashlib.sha256(DATA).hexdigest()


async def test_what_is_not_there_is_reported(objects: Objects) -> None:
    await stored(objects)
    for read_it in (objects.size, objects.digest, read_nothing(objects)):
        with pytest.raises(ObjectMissingError):
            await read_it("backups/7/other.tar")
    upload_id = await objects.begin(KEY)
    await objects.abort(KEY, upload_id)
    await objects.abort(KEY, upload_id)
    with pytest.raises(ObjectMissingError):
        await objects.put_part(KEY, upload_id, 1, b"x")
    assert await objects.size(KEY) == len(DATA), "aborting touches no object"


def read_nothing(objects: Objects) -> Callable[[str], Awaitable[None]]:
    async def reading(key: str) -> None:
        async for _ in objects.stream(key):
            pass

    return reading


async def test_uploads_are_listed_and_swept_by_prefix_and_age_but_not_those_in_use(objects: Objects) -> None:
    keys = ["backups/1/a.tar", "backups/1/b.tar", "backups/2/c.tar.gz", "recordings/1.cast"]
    ids = {key: await objects.begin(key) for key in keys}
    for key, upload_id in ids.items():
        await objects.put_part(key, upload_id, 1, b"x")
    found = await objects.uploads("backups/")
    assert [(each.key, each.upload_id) for each in found] == [(key, ids[key]) for key in keys[:3]]
    now = datetime.now(timezone.utc)
    assert all(abs(now - each.began_at) < timedelta(minutes=1) for each in found)

    assert await objects.sweep("backups/", now - timedelta(days=1), ()) == 0
    tomorrow = now + timedelta(days=1)
    assert await objects.sweep("backups/", tomorrow, {ids["backups/1/b.tar"]}) == 2
    assert [each.key for each in await objects.uploads("")] == ["backups/1/b.tar", "recordings/1.cast"]
    await objects.put_part("backups/1/b.tar", ids["backups/1/b.tar"], 2, b"goes on")


async def test_a_folder_is_read_in_place_and_a_bucket_by_a_signed_url(objects: Objects, settings: Settings) -> None:
    await stored(objects)
    url = await objects.presign(KEY, "backup-7.tar.gz", 60)
    path = objects.local_path(KEY)
    if settings.s3 is None:
        assert url is None
        assert path is not None
        assert path.read_bytes() == DATA
        return
    assert path is None
    assert url is not None
    async with httpx.AsyncClient(trust_env=False, timeout=60) as anybody:
        answer = await anybody.get(url)
        assert answer.content == DATA
        assert answer.headers["Content-Disposition"] == 'attachment; filename="backup-7.tar.gz"'
        assert (await anybody.get(url.replace("b1-", "b2-"))).status_code == 403


@pytest.mark.parametrize(("number", "size"), [(0, 1), (10_001, 1), (1, 0), (1, PART_SIZE + 1)])
async def test_what_cannot_be_a_part_is_a_bug_of_ours(objects: Objects, number: int, size: int) -> None:
    with pytest.raises(ValueError, match="no part"):
        await objects.put_part(KEY, "1", number, bytes(size))


@pytest.mark.parametrize("parts", [[], [(2, "1")], [(1, "1"), (3, "1")]])
async def test_parts_with_a_gap_are_never_put_together(objects: Objects, parts: list[tuple[int, str]]) -> None:
    with pytest.raises(ValueError, match="gap"):
        await objects.complete(KEY, "1", parts)


async def test_an_upload_id_never_leads_out_of_the_folder(objects: Objects) -> None:
    with pytest.raises(ValueError, match="no upload"):
        await objects.abort(KEY, "../../x")


async def test_parts_that_are_shorter_than_declared_are_found(tmp_path: Path) -> None:
    objects = Objects(FolderShelf(tmp_path / "o"))
    upload_id = await objects.begin(KEY)
    tag = await objects.put_part(KEY, upload_id, 1, b"abc")
    part = next((tmp_path / "o").rglob(".part-*"))
    os.truncate(part, 2)
    with pytest.raises(ObjectDamagedError):
        await objects.complete(KEY, upload_id, [(1, tag)])


async def test_what_a_killed_hub_of_before_left_is_swept(tmp_path: Path) -> None:
    left = tmp_path / "o" / "recordings" / ".part-abcd_123"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    objects = Objects(FolderShelf(tmp_path / "o"))
    assert await objects.sweep("recordings/", datetime.now(timezone.utc) + timedelta(hours=1), ()) == 1
    assert not left.exists()


def test_a_full_disk_differs_from_a_store_that_is_away(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path)
    upload_id = shelf.begin("a.tar")
    part = next(tmp_path.glob(".part-*"))
    part.unlink()
    part.symlink_to("/dev/full")
    with pytest.raises(ObjectsFullError):
        shelf.put_part("a.tar", upload_id, 1, b"x")
    with pytest.raises(ObjectsError, match="Not a directory"):
        FolderShelf(Path("/dev/null/o")).begin("a.tar")
