"""SQLite killed, full, locked or slow: what was reported stored is there, and every call ends."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine.row_writes import insert
from db.engine.sqlite_files import ReadConnection, check_library, open_for_writing
from db.engine.statements import Statement, Write, WriteResult
from db.engine.store import Store, open_store
from db.errors import Unavailable, Unsuitable
from db.records import EventRow
from db.schema import events as events_table
from db.schema import reverse_vending_machines
from tests.support.database_rows import NOW, add_machine, machine

ROOT = Path(__file__).parents[2]


def test_a_library_that_is_too_old_is_refused_before_anything_is_written() -> None:
    check_library((3, 35, 0))
    with pytest.raises(Unsuitable) as refused:
        check_library((3, 34, 1))
    assert (refused.value.code, refused.value.facts) == ("sqlite", {"version": "3.34.1", "least": "3.35.0"})


# Writes pairs and samples from several tasks, and says what it was told is stored.
WRITES_FOR_EVER = """
import asyncio, sys
from db.engine.store import open_store
from db.records import EventRow
from db.engine.row_writes import insert
from tests.support.database_rows import NOW, sample

def event(code):
    return insert(EventRow(at=NOW, code=code, actor="clock", params={"fill": "x" * 200}))

async def writer(store, lane):
    n = 0
    while True:
        n += 1
        await store.write(event(f"{lane}-{n}"), event(f"{lane}-{n}b"))
        print(f"event {lane}-{n}", flush=True)

async def sampler(store):
    seq = 0
    while True:
        await store.store_samples([sample(1, seq + k, boot=1) for k in range(100)])
        seq += 100
        print(f"seq {seq - 1}", flush=True)

async def main():
    store = await open_store(sys.argv[1])
    await asyncio.gather(sampler(store), *(writer(store, lane) for lane in range(6)))

asyncio.run(main())
"""


def event(code: str) -> Write:
    return insert(EventRow(at=NOW, code=code, actor="clock", params={}))


async def codes(store: Store) -> set[str]:
    return {row["code"] for row in await store.fetch_all(sa.select(events_table.c.code))}


@pytest.mark.parametrize("lines", [50, 400, 1500])
def test_after_kill_9_everything_reported_is_there_and_nothing_is_half(sqlite_url: str, lines: int) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO reverse_vending_machines (id, device_id, name, status_since, status_by, created_at,"
            " updated_at) VALUES (1, 'd', 'n', 0, 's', 0, 0)"
        )
        connection.execute("INSERT INTO machine_boots (id, rvm_id, boot_id, last_used_at) VALUES (1, 1, 'b', 0)")
    connection.close()
    child = subprocess.Popen(
        [sys.executable, "-c", WRITES_FOR_EVER, sqlite_url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    reported = [child.stdout.readline() for _ in range(lines)]
    child.send_signal(signal.SIGKILL)
    reported += [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    child.wait()

    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    stored = {code for (code,) in connection.execute("SELECT code FROM events")}
    promised = {line.split()[1] for line in reported if line.startswith("event")}
    assert promised
    assert promised | {f"{code}b" for code in promised} <= stored
    assert {code for code in stored if code.endswith("b")} == {f"{c}b" for c in stored if not c.endswith("b")}
    seqs = [seq for (seq,) in connection.execute("SELECT seq FROM system_metrics ORDER BY seq")]
    acknowledged = max((int(line.split()[1]) for line in reported if line.startswith("seq")), default=-1)
    assert seqs == list(range(len(seqs)))
    assert len(seqs) > acknowledged
    assert connection.execute("SELECT last_seq FROM machine_boots").fetchone() == (seqs[-1] if seqs else None,)
    connection.close()


def test_a_commit_is_flushed_before_it_is_reported(sqlite_url: str) -> None:
    """Seen from outside: between handing a page to the system and the answer there is an fdatasync."""
    if shutil.which("strace") is None:
        connection = open_for_writing(Path(sqlite_url.removeprefix("sqlite:///")))
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()
        return
    program = WRITES_FOR_EVER.replace("while True:\n        n += 1", "while n < 5:\n        n += 1").replace(
        "asyncio.gather(sampler(store), *(writer(store, lane) for lane in range(6)))", "writer(store, 0)"
    )
    trace = Path(sqlite_url.removeprefix("sqlite:///")).with_suffix(".trace")
    command = [
        "strace",
        "-f",
        "-e",
        "trace=fdatasync,fsync,pwrite64,write",
        "-o",
        str(trace),
        sys.executable,
        "-c",
        program,
    ]
    subprocess.run([*command, sqlite_url], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    calls = [line for line in trace.read_text().splitlines() if re.search(r"pwrite64|sync|event 0-", line)]
    for number, line in enumerate(calls):
        if "event 0-" in line:
            before = calls[:number]
            assert "sync" in before[-1], (line, before[-3:])


async def test_a_full_disk_is_unavailable_and_heals(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Played by SQLite's own limit of pages, which fails with the same error as a full disk."""
    from db.engine import sqlite_writer

    limit = {"pages": 80}

    def limited(path: Path) -> sqlite3.Connection:
        connection = open_for_writing(path)
        connection.execute(f"PRAGMA max_page_count={limit['pages']}")
        return connection

    monkeypatch.setattr(sqlite_writer, "open_for_writing", limited)
    store = await open_store(sqlite_url)
    stored: set[str] = set()
    outcome: object = []
    while not isinstance(outcome, Exception):
        code = f"event-{len(stored)}"
        write = store.write(insert(EventRow(at=NOW, code=code, actor="x", params={"fill": "x" * 500})))
        start = time.monotonic()
        (outcome,) = await asyncio.gather(write, return_exceptions=True)
        if not isinstance(outcome, Exception):
            stored.add(code)
    assert isinstance(outcome, Unavailable)
    assert time.monotonic() - start < 1
    limit["pages"] = 1_000_000
    await store.write(event("healed"))
    assert stored | {"healed"} <= await codes(store)
    await store.close()


async def test_while_another_program_holds_the_file_calls_wait_and_then_end(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    other = open_for_writing(Path(sqlite_url.removeprefix("sqlite:///")))
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    outcomes = await asyncio.gather(*(store.write(event(f"x{n}")) for n in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert time.monotonic() - start <= 5
    assert await codes(store) == set()  # reading goes on
    other.execute("COMMIT")
    await store.write(event("free"))
    other.close()
    assert "free" in await codes(store)
    await store.close()


async def test_a_short_stay_of_another_program_is_not_noticed(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    other = open_for_writing(Path(sqlite_url.removeprefix("sqlite:///")))
    other.execute("BEGIN IMMEDIATE")
    write = asyncio.ensure_future(store.write(event("waits")))
    done, _ = await asyncio.wait([write], timeout=0.3)
    assert not done
    other.execute("ROLLBACK")
    other.close()
    await write
    await store.close()


async def test_when_the_disk_hangs_callers_are_let_go(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.engine.pending.LONGEST_CALL_S", 0.3)
    store = await open_store(sqlite_url)
    hangs = threading.Event()

    def hang(results: Sequence[WriteResult]) -> Sequence[Statement]:
        hangs.wait(20)
        return []

    begun = asyncio.ensure_future(store.write(event("begun"), hang))
    (outcome,) = await asyncio.gather(begun, return_exceptions=True)
    assert isinstance(outcome, Unavailable)
    assert outcome.outcome_unknown
    with pytest.raises(Unavailable) as caught:
        await store.write(event("never begun"))
    assert not caught.value.outcome_unknown
    monkeypatch.undo()
    hangs.set()
    await store.write(event("afterwards"))
    assert await codes(store) == {"begun", "afterwards"}
    await store.close()


async def test_a_read_without_end_is_ended(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.engine.sqlite_files.READ_S", 0.5)
    store = await open_store(sqlite_url)
    endless = sa.text(
        "SELECT count(*) AS n FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c)"
    ).columns(sa.column("n", sa.Integer))
    start = time.monotonic()
    with pytest.raises(Unavailable):
        await store.fetch_all(sa.select(endless.subquery().c.n))
    assert time.monotonic() - start < 20  # by SQLite itself: given up from outside it would go on for ever
    monkeypatch.undo()
    assert await codes(store) == set()
    await store.close()


async def test_many_reads_at_once_see_what_was_written(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)

    async def write_then_read(n: int) -> bool:
        await store.write(event(f"e{n}"))
        return f"e{n}" in await codes(store)

    assert all(await asyncio.gather(*(write_then_read(n) for n in range(60))))
    await store.close()


def test_read_connections_read_only_and_check_what_they_read_against(sqlite_url: str) -> None:
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), factory=ReadConnection)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (4000,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM events")
    connection.close()


@pytest.mark.parametrize("name", ["with space.sqlite3", "50%.sqlite3", "what?.sqlite3", "a#b&mode=ro.sqlite3"])
async def test_the_name_of_the_file_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/{name}")
    await add_machine(store)
    await store.close()
    names = await asyncio.to_thread(lambda: [path.name for path in tmp_path.iterdir()])
    assert names == [name]  # one file: the log was moved into it
    again = await open_store(f"sqlite:///{tmp_path}/{name}")
    rows = await again.fetch_all(sa.select(reverse_vending_machines.c.name))
    assert [row["name"] for row in rows] == ["north"]
    await again.close()


async def test_the_log_is_moved_into_the_file_while_it_runs(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    log = Path(sqlite_url.removeprefix("sqlite:///") + "-wal")
    size = 0
    for n in range(12):
        await asyncio.gather(*(store.write(machine(f"m{n}-{k}"), event("x" * 90)) for k in range(100)))
        await asyncio.gather(*(store.write(event("x" * 90)) for _ in range(400)))
        size = max(size, await asyncio.to_thread(lambda: log.stat().st_size))
    await store.close()
    assert size < 20e6
    assert not await asyncio.to_thread(log.exists)
