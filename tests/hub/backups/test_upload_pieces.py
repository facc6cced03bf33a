"""Parts in pieces over REST, on both databases: kept when the rest is cut off, found again, never taken for whole."""

from __future__ import annotations

import hashlib
import os

import httpx
import pytest
import pytest_asyncio

from hub.backups import upload
from hub.backups.service import Backups
from hub.backups.upload import BegunSums, PartSpan, Receiving, span_of
from hub.kernel.objects.place import PART_SIZE, PIECE_SIZE
from tests.support.api_hub import ApiHub
from tests.support.backup_client import BackupClient, good, pieces, problem, sha

DATA = os.urandom(PART_SIZE + 1000)
PART = DATA[:PART_SIZE]
FIRST, REST = PART[:PIECE_SIZE], PART[PIECE_SIZE:]


async def put(client: BackupClient, number: int, part: bytes, span: str) -> httpx.Response:
    """The bytes of `span` (`FIRST-LAST/SIZE`) of a part."""
    first, last = map(int, span.partition("/")[0].split("-"))
    headers = {"X-Content-SHA256": sha(part), "Content-Range": f"bytes {span}"}
    address = f"{client.base}/backups/{number}/parts/1"
    return await client.http.put(address, content=part[first : last + 1], headers=headers)


async def begun(client: BackupClient, number: int, piece: bytes) -> list[int]:
    asked = [{"number": 1, "sha256": sha(piece)}]
    return list(good(await client.begin(number, begun=asked))["begun"])


@pytest_asyncio.fixture
async def number(client: BackupClient) -> int:
    found = (await client.start())["backup_id"]
    assert good(await client.begin(found))["piece_size"] == PIECE_SIZE
    return int(found)


@pytest.mark.parametrize("is_new", [False, True])
async def test_a_piece_stays_and_its_rest_makes_it_a_part(
    any_hub: ApiHub, client: BackupClient, number: int, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    """Also when another life of the hub gets the rest."""
    assert await begun(client, number, FIRST) == []
    kept = good(await put(client, number, PART, f"0-{PIECE_SIZE - 1}/{PART_SIZE}"), 202)
    assert (kept["number"], kept["size"]) == (1, PIECE_SIZE)
    assert good(await client.begin(number))["parts"] == [], "it is no part yet"
    assert await begun(client, number, FIRST) == [1]
    assert await begun(client, number, REST) == [], "other bytes"
    if is_new:
        monkeypatch.setattr(any_hub.context[Receiving], "_sums", BegunSums())
    good(await put(client, number, PART, f"{PIECE_SIZE}-{PART_SIZE - 1}/{PART_SIZE}"))
    assert [part["sha256"] for part in good(await client.begin(number))["parts"]] == [sha(PART)]
    good(await client.put(number, 2, pieces(DATA)[1]))
    assert good(await client.ended(number, DATA))["sha256"] == sha(DATA)


async def test_a_rest_behind_other_bytes_is_no_part(client: BackupClient, number: int) -> None:
    problem(await put(client, number, PART, f"{PIECE_SIZE}-{PART_SIZE - 1}/{PART_SIZE}"), 409, "part_differs")
    good(await put(client, number, bytes(PART_SIZE), f"0-{PIECE_SIZE - 1}/{PART_SIZE}"), 202)
    problem(await put(client, number, PART, f"{PIECE_SIZE}-{PART_SIZE - 1}/{PART_SIZE}"), 409, "part_differs")
    assert good(await client.begin(number))["parts"] == []
    good(await client.put(number, 1, PART))


async def test_nobody_counts_on_a_part_while_a_piece_of_another_takes_its_place(
    client: BackupClient, number: int
) -> None:
    good(await client.put(number, 1, PART))
    other = os.urandom(PART_SIZE)
    good(await put(client, number, other, f"0-{PIECE_SIZE - 1}/{PART_SIZE}"), 202)
    assert good(await client.begin(number))["parts"] == []
    good(await put(client, number, other, f"{PIECE_SIZE}-{PART_SIZE - 1}/{PART_SIZE}"))
    assert [part["sha256"] for part in good(await client.begin(number))["parts"]] == [sha(other)]
    good(await put(client, number, other, f"0-{PIECE_SIZE - 1}/{PART_SIZE}"))
    assert len(good(await client.begin(number))["parts"]) == 1, "a piece of what is there changes nothing"


@pytest.mark.parametrize(
    "header",
    ["bytes 1-5/9", "bytes 0-5/9", "bytes 0-3/4194304", "bytes */8388608", "x", "bytes 0-8/16777216", "bytes 5-4/9"],
)
async def test_a_range_that_does_not_fit_is_refused(client: BackupClient, number: int, header: str) -> None:
    headers = {"X-Content-SHA256": sha(PART), "Content-Range": header}
    refused = await client.http.put(f"{client.base}/backups/{number}/parts/1", content=PART[:5], headers=headers)
    assert "Content-Range" in problem(refused, 400)["detail"]


async def test_a_store_of_whole_parts_keeps_no_piece(
    any_hub: ApiHub, client: BackupClient, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(any_hub.context[Backups].objects)
    monkeypatch.setattr(kind, "piece_size", PART_SIZE)
    assert good(await client.begin(number))["piece_size"] == PART_SIZE
    problem(await put(client, number, PART, f"0-{PIECE_SIZE - 1}/{PART_SIZE}"), 400)


def test_the_last_piece_ends_its_part() -> None:
    assert span_of(None, 7, PIECE_SIZE) == PartSpan(0, 7, 7)
    assert span_of("bytes 4194304-4194310/4194311", 7, PIECE_SIZE) == PartSpan(
        PIECE_SIZE, PIECE_SIZE + 7, PIECE_SIZE + 7
    )
    assert span_of("bytes 4194304-4194310/4194311", 8, PIECE_SIZE) is None


def test_sums_of_beginnings_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MOST_SUMS", 2)
    sums = BegunSums()
    for part in (1, 2, 3):
        sums.keep("u", part, 10, hashlib.sha256(b"x"))
    assert [sums.take("u", part, 10) is not None for part in (1, 2, 3)] == [False, True, True]
    sums.keep("u", 4, 10, hashlib.sha256(b"x"))
    assert sums.take("u", 4, 20) is None, "of other bytes"
