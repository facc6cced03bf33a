"""Backups in a real S3 server: in parts, whole, by a form, given out by the hub or the store; and while it hangs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hub.backups.service import Backups
from hub.kernel.objects import threads
from hub.kernel.objects.place import PART_SIZE
from tests.support.api_hub import ApiHub, api_hub
from tests.support.backup_client import BackupClient, good, problem, sha
from tests.support.s3_server import S3Server, s3_server

DATA = b"\x1f\x8b" + os.urandom(PART_SIZE + 4321)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str, server: S3Server) -> AsyncIterator[ApiHub]:
    given: dict[str, Any] = {
        "object_store": server.url("backups"), "s3_access_key": server.access_key,
        "s3_secret_key": server.secret_key, "backup_download": "presigned", "backup_scratch_gib": 0,
    }  # fmt: skip
    async with api_hub(tmp_path, database_url=sqlite_url, **given) as made:
        await made.add_everybody()
        yield made


async def test_an_upload_in_parts_and_a_form_are_objects_of_the_bucket(hub: ApiHub) -> None:
    async with hub.of("one") as http, hub.of("admin") as admin:
        client = BackupClient(http, hub.machines["one"])
        good(await client.made(DATA))
        status = await client.status()
        assert status["minio_path"] == f"backups/tests/{status['file_path']}"
        archive = await http.get(f"{client.base}/backups/{status['backup_id']}/archive", headers={"Range": "bytes=9-"})
        assert (archive.status_code, archive.content) == (206, DATA[9:])
        form = await http.post(f"{client.base}/backup/upload", files={"file": ("b.tar.gz", DATA)})
        assert good(form, 201)["sha256"] == sha(DATA)
        link = good(await admin.post(f"{client.base}/backups/{status['backup_id']}/download"), 201)
        async with hub.client() as nobody:
            leads = await nobody.get(link["url"])
        assert leads.status_code == 302
        async with httpx.AsyncClient(trust_env=False, timeout=60) as browser:
            assert (await browser.get(leads.headers["location"])).content == DATA
        good(await admin.delete(f"{client.base}/backups/{status['backup_id']}"))
        assert await hub.context[Backups].objects.list("backups/") == [form.json()["data"]["file_path"]]


async def test_while_the_server_hangs_a_part_is_a_503_and_nothing_is_lost(
    hub: ApiHub, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "SILENCE_S", 1.0)
    async with hub.of("one") as http:
        client = BackupClient(http, hub.machines["one"])
        number = (await client.start())["backup_id"]
        good(await client.begin(number))
        good(await client.put(number, 1, DATA[:PART_SIZE]))
        server.freeze()
        try:
            problem(await client.put(number, 2, DATA[PART_SIZE:]), 503, "store_away")
        finally:
            server.go_on()
        good(await client.put(number, 2, DATA[PART_SIZE:]))
        assert good(await client.ended(number, DATA))["sha256"] == sha(DATA)
