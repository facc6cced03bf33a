"""Archives taken out of a real folder store, on both databases: by their machine, and by links that open once."""

from __future__ import annotations

import os

import pytest

from hub.backups.download_api import DownloadLinks
from hub.backups.service import Backups
from hub.kernel.objects.place import PART_SIZE
from tests.support.api_hub import ApiHub
from tests.support.backup_client import BackupClient, good, problem, sha

DATA = b"\x1f\x8b" + os.urandom(PART_SIZE + 1000)


async def test_a_machine_takes_its_own_archive_out_with_range(any_hub: ApiHub, client: BackupClient) -> None:
    good(await client.made(DATA))
    number = (await client.status())["backup_id"]
    address = f"{client.base}/backups/{number}/archive"
    whole = await client.http.get(address)
    assert (whole.status_code, whole.content, whole.headers["etag"]) == (200, DATA, f'"{sha(DATA)}"')
    part = await client.http.get(address, headers={"Range": f"bytes=5-{PART_SIZE + 4}"})
    assert (part.status_code, part.content) == (206, DATA[5 : PART_SIZE + 5])
    assert part.headers["content-range"] == f"bytes 5-{PART_SIZE + 4}/{len(DATA)}"
    rest = await client.http.get(address, headers={"Range": "bytes=-10"})
    assert (rest.status_code, rest.content) == (206, DATA[-10:])
    beyond = await client.http.get(address, headers={"Range": f"bytes={len(DATA)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(DATA)}")
    changed = await client.http.get(address, headers={"Range": "bytes=5-6", "If-Range": '"other"'})
    assert changed.status_code == 200
    head = await client.http.head(address)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(DATA)), b"")


async def test_a_link_opens_once_and_goes_on_where_it_broke_off(any_hub: ApiHub, client: BackupClient) -> None:
    good(await client.made(DATA))
    number = (await client.status())["backup_id"]
    async with any_hub.of("operator") as operator, any_hub.client() as nobody:
        link = good(await operator.post(f"{client.base}/backups/{number}/download"), 201)
        looked = await nobody.head(link["url"])
        assert (looked.status_code, looked.content, looked.headers["Content-Length"]) == (200, b"", str(len(DATA)))
        assert (await nobody.get(link["url"])).content == DATA, "who only looked took nothing"
        problem(await nobody.get(link["url"]), 404)
        assert (await nobody.head(link["url"])).status_code == 404
        for whole in ({"Range": "bytes=1-", "If-Range": '"other"'}, {"Range": "x", "If-Range": f'"{sha(DATA)}"'}):
            problem(await nobody.get(link["url"], headers=whole), 404)
        more = {"Range": "bytes=100-", "If-Range": f'"{sha(DATA)}"'}
        assert (await nobody.get(link["url"], headers=more)).content == DATA[100:]
        async with any_hub.client(address="10.9.9.9") as elsewhere:
            problem(await elsewhere.get(link["url"], headers=more), 404)
        problem(await nobody.get("/api/v2/backup-downloads/nothing"), 404)
    assert await any_hub.event_codes("backup.") == ["backup.downloaded", "backup.completed"]


@pytest.mark.parametrize(("language", "words"), [("en", "This link has been used"), ("id", "Tautan ini sudah dipakai")])
async def test_a_person_who_opens_a_used_link_is_shown_a_page(
    any_hub: ApiHub, client: BackupClient, language: str, words: str
) -> None:
    good(await client.made(DATA))
    number = (await client.status())["backup_id"]
    accepted = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": language}
    async with any_hub.of("operator") as operator, any_hub.client() as nobody:
        link = good(await operator.post(f"{client.base}/backups/{number}/download"), 201)
        assert (await nobody.get(link["url"], headers=accepted)).content == DATA
        page = await nobody.get(link["url"], headers=accepted)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert words in page.text
        assert f'<html lang="{language}"' in page.text
        assert page.headers["cache-control"] == "no-store"
        head = await nobody.head(link["url"], headers=accepted)
        assert (head.status_code, head.content) == (404, b"")
        problem(await nobody.get(link["url"]), 404)
        gone = good(await operator.post(f"{client.base}/backups/{number}/download"), 201)
        row = any_hub.machine().backups[number]
        await any_hub.context[Backups].objects.delete(row.file_path or "")
        lost = await nobody.get(gone["url"], headers=accepted)
        assert (lost.status_code, lost.headers["content-type"]) == (409, "text/html; charset=utf-8")


async def test_a_link_gives_nothing_once_its_maker_may_not(any_hub: ApiHub, client: BackupClient) -> None:
    good(await client.made(DATA))
    number = (await client.status())["backup_id"]
    async with any_hub.of("operator") as operator, any_hub.of("admin") as admin, any_hub.client() as nobody:
        link = good(await operator.post(f"{client.base}/backups/{number}/download"), 201)
        address = f"/api/v2/users/{any_hub.users['operator']}"
        good(await admin.patch(address, json={"role": "viewer"}))
        problem(await nobody.get(link["url"]), 404)


def test_a_link_that_nobody_opens_is_gone_in_a_minute() -> None:
    now = 0.0
    links = DownloadLinks(lambda: now)
    late, other = links.make(5, 1), links.make(5, 1)
    now = 59.9
    assert links.open(other, "a", resumes=False) is not None
    now = 60.0
    assert links.open(late, "a", resumes=False) is None
    assert links.open(late, "a", resumes=True) is None
    now = 59.9 + 3600
    assert links.open(other, "a", resumes=True) is None


async def test_a_backup_without_an_archive_gives_none(any_hub: ApiHub, client: BackupClient) -> None:
    number = (await client.start())["backup_id"]
    problem(await client.http.get(f"{client.base}/backups/{number}/archive"), 409, "no_archive")
    async with any_hub.of("admin") as admin:
        problem(await admin.post(f"{client.base}/backups/{number}/download"), 409, "no_archive")
        problem(await admin.delete(f"{client.base}/backups/{number}"), 409)
