"""Uploads of backups while hub and store are killed, hang or are full: resumed at the last confirmed part, or failed
cleanly; what was confirmed is never lost, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from hub.kernel.objects.place import PART_SIZE
from tests.support.backup_client import BackupClient, good, pieces, problem, sha
from tests.support.forked_hub import forked_hub
from tests.support.hub_process import HubProcess

DATA = b"\x1f\x8b" + os.urandom(5 * PART_SIZE + 777)
KILLS = 10


@contextlib.asynccontextmanager
async def uploading(folder: Path, **settings: object) -> AsyncIterator[tuple[HubProcess, BackupClient]]:
    async with forked_hub(folder, backup_scratch_gib=0, **settings) as hub:
        key = await hub.add_machine("Lobby")
        async with hub.client(key.api_key) as http:
            yield hub, BackupClient(http, key.id)


async def resumed(client: BackupClient, backup_id: int) -> dict[int, str]:
    """The parts that the hub says it has, as soon as it is there."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = await client.begin(backup_id)
            if answer.status_code == 200:
                return {part["number"]: part["sha256"] for part in answer.json()["data"]["parts"]}
        await asyncio.sleep(0.05)  # the pause of an impatient client


async def test_a_hub_killed_at_any_moment_loses_no_confirmed_part(tmp_path: Path) -> None:
    dice = random.Random(11)
    async with uploading(tmp_path) as (hub, client):
        backup_id = (await client.start())["backup_id"]
        good(await client.begin(backup_id))
        confirmed: dict[int, str] = {}
        again, sent = 0, 0
        for life in range(KILLS + 1):
            killing = asyncio.create_task(_kill_in(hub, dice.uniform(0.0, 0.12))) if life < KILLS else None
            with contextlib.suppress(httpx.TransportError):
                for number, piece in enumerate(pieces(DATA), 1):
                    if number not in confirmed:
                        sent += 1
                        good(await client.put(backup_id, number, piece))
                        confirmed[number] = sha(piece)
            if killing is not None:
                await killing
                await hub.start()
                known = await resumed(client, backup_id)
                assert confirmed.items() <= known.items(), "what was confirmed is there"
                again += len(known.keys() - confirmed.keys())
                confirmed = known
        assert sent <= len(pieces(DATA)) + KILLS, "at most one part is sent again after each cut"
        outcome = good(await client.ended(backup_id, DATA))
        assert (outcome["upload_status"], outcome["sha256"]) == ("completed", sha(DATA))
        left = [path.name for path in (hub.settings.data_dir / "objects").rglob("*") if path.is_file()]
        assert len(left) == 1, left


async def _kill_in(hub: HubProcess, seconds: float) -> None:
    await asyncio.sleep(seconds)  # the moment of the kill is the test's dice
    await hub.kill()


async def test_a_hub_killed_while_it_puts_it_together_goes_on_when_it_is_asked_again(tmp_path: Path) -> None:
    async with uploading(tmp_path) as (hub, client):
        for delay in (0.0, 0.01, 0.03):
            backup_id = (await client.start())["backup_id"]
            good(await client.begin(backup_id))
            await client.put_all(backup_id, DATA)
            good(await client.complete(backup_id, DATA), 202)
            await asyncio.sleep(delay)  # the moment of the kill
            await hub.kill()
            await hub.start()
            assert (await resumed(client, backup_id)).keys() <= {1, 2, 3, 4, 5, 6}
            assert good(await client.ended(backup_id, DATA))["sha256"] == sha(DATA)


async def test_a_store_that_is_away_costs_nothing_that_was_confirmed(tmp_path: Path) -> None:
    async with uploading(tmp_path) as (hub, client):
        backup_id = (await client.start())["backup_id"]
        good(await client.begin(backup_id))
        first = pieces(DATA)[0]
        good(await client.put(backup_id, 1, first))
        objects = hub.settings.data_dir / "objects"
        away = objects.with_name("elsewhere")
        objects.rename(away)
        objects.write_text("no folder any more")
        refused = await client.put(backup_id, 2, pieces(DATA)[1])
        assert problem(refused, 503, "store_away")["detail"]
        assert int(refused.headers["retry-after"]) >= 1
        objects.unlink()
        away.rename(objects)
        assert (await resumed(client, backup_id)) == {1: sha(first)}
        for number, piece in enumerate(pieces(DATA)[1:], 2):
            good(await client.put(backup_id, number, piece))
        assert good(await client.ended(backup_id, DATA))["sha256"] == sha(DATA)


@pytest.mark.parametrize("cut", [1, PART_SIZE // 2, PART_SIZE - 1])
async def test_a_part_cut_off_is_no_part_and_a_new_sending_need_not_wait(tmp_path: Path, cut: int) -> None:
    async with uploading(tmp_path) as (hub, client):
        backup_id = (await client.start())["backup_id"]
        good(await client.begin(backup_id))
        piece = pieces(DATA)[0]
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        head = (
            f"PUT {client.base}/backups/{backup_id}/parts/1 HTTP/1.1\r\nHost: hub\r\nContent-Length: {len(piece)}\r\n"
            f"Authorization: {client.http.headers['authorization']}\r\nX-Content-SHA256: {sha(piece)}\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        writer.write(head.encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 "), "the hub reads it now"
        writer.write(piece[:cut])
        await writer.drain()
        # Its connection is dead without a word: the next sending takes its place.
        good(await client.put(backup_id, 1, piece))
        assert b"409" in await reader.readline()
        writer.close()
        assert await resumed(client, backup_id) == {1: sha(piece)}
