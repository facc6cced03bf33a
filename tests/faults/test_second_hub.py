"""A second hub on the data of one that runs: refused by name, and it changes nothing. After a kill -9 there is none."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import asyncpg
import pytest

from db.engine.ownership import LOCK_FILE
from db.engine.store import open_store
from db.queries import events
from tests.support.forked_hub import ForkedHub, forked_hub
from tests.support.hub_process import ROOT, _given

BUSY = 8


async def second(hub: ForkedHub, **other: object) -> tuple[int, str, str]:
    """`run_hub.py` on the same data, on another port: its exit code, what it printed and what it complained of."""
    given = _given(hub.settings, port=0) | other
    command = [sys.executable, "run_hub.py", "--port", "0", "--data-dir", str(given["data_dir"])]
    process = await asyncio.create_subprocess_exec(
        *command, "--database-url", str(given["database_url"]), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, complaint = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), complaint.decode()


async def recorded(url: str) -> list[str]:
    store = await open_store(url)
    codes = [row.code for row in await events.list_events(store, limit=99)]
    await store.close()
    return codes


@pytest.mark.timeout(180)
async def test_a_second_hub_is_refused_and_changes_nothing(tmp_path: Path, database_url: str) -> None:
    url = f"sqlite:///{tmp_path / 'hub.sqlite3'}" if database_url.startswith("sqlite") else database_url
    async with forked_hub(tmp_path, database_url=url) as hub:
        await hub.add_machine("Lobby")
        before = await recorded(url)
        elsewhere = {"data_dir": str(tmp_path / "elsewhere")}
        for other, named in ((dict[str, str](), "data folder"), (elsewhere, "database")):
            code, out, complaint = await second(hub, **other)
            assert (code, out) == (BUSY, ""), complaint
            assert f"process {hub.pid} on " in complaint
            assert named in complaint
            assert "Traceback" not in complaint
        assert await recorded(url) == before
        # Killed without a word: nobody has it, and the next life is there at once.
        await hub.kill()
        await hub.start()
        holder = json.loads((hub.settings.data_dir / LOCK_FILE).read_text())
        assert holder["pid"] == hub.pid
        assert await hub.end(signal.SIGTERM) == 0


@pytest.mark.timeout(180)
async def test_a_hub_that_lost_the_database_to_another_ends_and_says_to_whom(tmp_path: Path, postgres_url: str) -> None:
    """It stood still (a suspended machine) while its connections were cut and another hub was started."""
    async with forked_hub(tmp_path, database_url=postgres_url) as hub:
        os.kill(hub.pid, signal.SIGSTOP)
        connection = await asyncpg.connect(postgres_url, timeout=60)
        await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'myrvm-hub%' AND datname = current_database()"
        )
        await connection.close(timeout=5)
        (tmp_path / "heir").mkdir()
        async with forked_hub(tmp_path / "heir", database_url=postgres_url) as heir:
            os.kill(hub.pid, signal.SIGCONT)
            assert await hub.ended() == BUSY
            name = postgres_url.rpartition("/")[2]
            assert f"ending: another hub has the database ({name}): process {heir.pid} on " in hub.log
            assert "Traceback" not in hub.log
