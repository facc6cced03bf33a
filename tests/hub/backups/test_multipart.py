"""A whole backup in one form: what `curl -F` and other simple clients send is taken, what nobody should send is not."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from db.queries import backups as rows
from db.queries.events import list_events
from hub.backups.service import Backups
from hub.kernel.objects.place import PART_SIZE
from tests.support.api_hub import ApiHub
from tests.support.backup_client import good, problem, sha
from tests.support.hostile_forms import CORPUS, END, FORM, HostileForm, field, file
from tests.support.hub_process import hub_here

ADDRESS = "/api/v2/rvms/1/backup/upload"
GREAT = b"\x1f\x8b" + os.urandom(2 * PART_SIZE + 12345)


@pytest_asyncio.fixture
async def http(hub: ApiHub) -> AsyncIterator[httpx.AsyncClient]:
    async with hub.of("one") as client:
        yield client


async def sent(http: httpx.AsyncClient, body: bytes, content_type: str = FORM) -> httpx.Response:
    return await http.post(ADDRESS, content=body, headers={"Content-Type": content_type})


@pytest.mark.parametrize("name", ["file", "backup_file"])
async def test_a_form_with_a_file_is_a_whole_backup(hub: ApiHub, http: httpx.AsyncClient, name: str) -> None:
    answer = await http.post(ADDRESS, files={name: ("b.tar.gz", GREAT)}, data={"backup_type": "incremental"})
    made = good(answer, 201)
    assert answer.headers["location"] == f"/api/v2/rvms/1/backups/{made['id']}"
    assert (made["upload_status"], made["file_size"], made["sha256"], made["backup_type"], made["trigger"]) == (
        "completed", len(GREAT), sha(GREAT), "incremental", "upload",
    )  # fmt: skip
    assert made["file_path"].endswith(".tar.gz")
    assert await hub.context[Backups].objects.digest(made["file_path"]) == sha(GREAT)
    (event,) = [e for e in await list_events(hub.context.store, limit=9) if e.code == "backup.uploaded"]
    assert (event.actor, event.params["size"]) == ("machine:1", len(GREAT))
    assert hub.context[Backups].receiving == set()


@pytest.mark.parametrize(
    "parts",
    [
        [file(b"\x1f\x8b1"), field("backup_type", b"full")],
        [field("backup_type", b"full"), file(b"\x1f\x8b1")],
        [field("note", b"x"), file(b"\x1f\x8b1", "backup_file"), field("backup_type", b"full"), field("more", b"y")],
        [file(b"\x1f\x8b1")],
    ],
)
async def test_the_fields_come_in_any_order_and_size_of_pieces(http: httpx.AsyncClient, parts: list[bytes]) -> None:
    whole = b"".join(parts) + END

    async def dripping() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), 7):
            yield whole[start : start + 7]

    answer = await http.post(ADDRESS, content=dripping(), headers={"Content-Type": FORM})
    made = good(answer, 201)
    assert (made["backup_type"], made["sha256"]) == ("full", sha(b"\x1f\x8b1"))


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (b"\x28\xb5\x2f\xfd1", ".tar.zst"),
        (b"age-encryption.org/v1\n", ".tar.age"),
        (bytes(257) + b"ustar\x00", ".tar"),
        (b"anything", ".bin"),
    ],
)
async def test_the_key_says_what_the_bytes_look_like(http: httpx.AsyncClient, data: bytes, ending: str) -> None:
    made = good(await sent(http, file(data) + END), 201)
    assert made["file_path"].partition("-")[2].partition(".")[2] == ending[1:]


async def test_bytes_that_look_like_boundaries_arrive_as_they_are(http: httpx.AsyncClient) -> None:
    data = b"\r\n--boundary123\r\n--boundary1235\r\n--\r\r\n" * 999
    assert good(await sent(http, file(data) + END), 201)["sha256"] == sha(data)


@pytest.mark.parametrize("form", CORPUS, ids=lambda form: form.name)
async def test_what_nobody_should_send_is_refused_and_leaves_nothing(
    hub: ApiHub, http: httpx.AsyncClient, form: HostileForm
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in form.pieces:
            yield piece

    headers = {"Content-Type": form.content_type} if form.content_type else {}
    answer = await http.post(ADDRESS, content=pieces(), headers=headers)
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    assert answer.json()["detail"]
    objects = hub.context[Backups].objects
    assert await objects.list("backups/") == []
    assert await objects.uploads("backups/") == []
    assert await rows.of_machine(hub.context.store, 1, 9) == []


async def test_a_wrong_type_is_named_with_the_right_ones(http: httpx.AsyncClient) -> None:
    answer = await sent(http, file(b"x") + field("backup_type", b"everything") + END)
    assert "full, incremental" in problem(answer, 422)["errors"]["backup_type"][0]
    indonesian = await http.post(ADDRESS, content=END, headers={"Content-Type": "text/plain", "Accept-Language": "id"})
    assert "Kirim berkas" in problem(indonesian, 415)["detail"]


async def test_more_than_may_be_kept_is_refused_before_it_is_read(
    hub: ApiHub, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.backups.service.GIB", 1024)
    most = hub.context.settings.backup_max_gib * 1024

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    headers = {"Content-Type": FORM, "Content-Length": str(most + 1024 * 1024)}
    refused = problem(await http.post(ADDRESS, content=never(), headers=headers), 413, "too_large")
    assert str(most) in refused["detail"]
    problem(await sent(http, file(bytes(most + 1)) + END), 413, "too_large")
    good(await sent(http, file(bytes(most)) + END), 201)
    kept = hub.context.settings.backup_quota_gib * 1024 // most
    for _ in range(kept - 1):
        good(await sent(http, file(bytes(most)) + END), 201)
    problem(await sent(http, file(b"x") + END), 409, "quota")


async def test_curl_sends_it_as_people_do(tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar.gz"
    archive.write_bytes(GREAT)
    async with hub_here(tmp_path) as hub:
        key = await hub.add_machine("Lobby")
        for arguments in (
            ["-F", f"file=@{archive}", "-F", "backup_type=full"],
            ["-F", "backup_type=full", "-F", f"backup_file=@{archive};type=application/gzip"],
        ):
            command = [
                "curl", "-sS", "-H", f"Authorization: Bearer {key.api_key}", *arguments,
                f"{hub.url}/api/v2/rvms/{key.id}/backup/upload",
            ]  # fmt: skip
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, timeout=60)
            assert sha(GREAT).encode() in done.stdout, (done.stdout, done.stderr)
