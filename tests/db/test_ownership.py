"""One hub for a database: the second is refused by the first one's name, and no write passes a lock that was lost."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from db.engine.ownership import LOCK_FILE, InUse, Owner, address_of_holder, note_address, own_folder
from db.engine.postgres_ownership import DATABASE, label, take
from db.engine.row_writes import insert
from db.engine.statements import Write
from db.engine.store import Store, open_store
from db.errors import Unavailable
from db.queries import events
from db.records import EventRow
from tests.support.database_rows import NOW
from tests.support.until import until

ANOTHER = Owner("elsewhere.example", 4711, NOW.replace(microsecond=0))


def event(code: str) -> Write:
    return insert(EventRow(at=NOW, code=code, actor="clock", params={}))


async def codes(store: Store) -> set[str]:
    return {row.code for row in await events.list_events(store, limit=99)}


async def test_a_second_hub_is_refused_by_the_name_of_the_first(database_url: str) -> None:
    first = await open_store(database_url, ANOTHER)
    with pytest.raises(InUse) as refused:
        await open_store(database_url, Owner.here())
    holder = refused.value.holder
    assert holder is not None
    assert (holder.pid, holder.since) == (ANOTHER.pid, ANOTHER.since)
    assert ANOTHER.host.startswith(holder.host)
    beside = await open_store(database_url)  # the command line
    await beside.write(event("beside"))
    assert await codes(first) == {"beside"}
    await beside.close()
    await first.close()
    third = await open_store(database_url, Owner.here())
    await third.close()


async def test_whoever_waits_gets_it_from_one_that_ends(database_url: str) -> None:
    first = await open_store(database_url, ANOTHER)
    waiting = asyncio.ensure_future(open_store(database_url, Owner.here()))
    await asyncio.sleep(0.2)  # it has been refused once
    await first.close()
    await (await waiting).close()


async def end_connections(url: str, *, but: str = "nobody") -> None:
    """As an administrator does, or a network that is cut."""
    connection = await asyncpg.connect(url, timeout=60)
    ours = "datname = current_database() AND application_name LIKE 'myrvm-hub%' AND application_name NOT LIKE $1"
    await connection.fetch(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}", f"%{but}%")
    await connection.close(timeout=5)


async def holds(url: str, owner: Owner) -> int:
    connection = await asyncpg.connect(url, timeout=60)
    held = await connection.fetchval(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND application_name = $1 AND datname = current_database()",
        label(owner),
    )
    await connection.close(timeout=5)
    return int(held)


async def test_a_lock_that_was_lost_is_taken_again_without_a_write(postgres_url: str) -> None:
    store = await open_store(postgres_url, ANOTHER)
    assert await holds(postgres_url, ANOTHER) == 2
    await end_connections(postgres_url)
    looks = 0
    while await holds(postgres_url, ANOTHER) < 2:
        looks += 1
        assert looks < 500
    await store.write(event("after"))
    assert await codes(store) == {"after"}
    await store.close()


async def test_a_hub_whose_lock_another_has_writes_nothing_more_and_says_so(postgres_url: str) -> None:
    store, heir = await open_store(postgres_url, ANOTHER), replace(Owner.here(), token="abcdef")
    lost = asyncio.ensure_future(store.lost())
    connection = await asyncpg.connect(postgres_url, server_settings={"application_name": label(heir)})
    taking = asyncio.ensure_future(take(connection, DATABASE, heir))
    await asyncio.sleep(0.05)  # it asks ten times a second
    while not taking.done():  # whoever is first of the two; the connections go until it is the heir
        await end_connections(postgres_url, but=heir.token)
        await asyncio.wait([taking], timeout=0.3)
    await taking
    in_use = await asyncio.wait_for(lost, 60)
    assert in_use.holder is not None
    assert in_use.holder.pid == os.getpid()
    with pytest.raises(Unavailable, match=str(os.getpid())):
        await store.write(event("too late"))
    assert await codes(store) == set()
    await connection.close()
    await store.close()


async def test_a_connection_of_its_own_that_the_server_still_believes_in_is_no_other_hub(postgres_url: str) -> None:
    """The network was cut: nobody told the server."""
    old = await asyncpg.connect(postgres_url, server_settings={"application_name": label(ANOTHER)})
    await take(old, DATABASE, ANOTHER)
    new = await asyncpg.connect(postgres_url, server_settings={"application_name": label(ANOTHER)})
    await take(new, DATABASE, ANOTHER)
    await until(old.is_closed)
    await new.close()


def test_a_label_has_the_length_that_the_server_keeps() -> None:
    long = Owner("höst-" * 60, 4194304, NOW, "abcdef")
    assert label(long).isascii()
    assert len(label(long)) <= 63


async def test_where_the_hub_is_reached_is_known_as_long_as_it_has_the_folder(tmp_path: Path) -> None:
    assert address_of_holder(tmp_path) is None, "no hub was ever here"
    note_address(tmp_path, "http://127.0.0.1:1")
    assert not (tmp_path / LOCK_FILE).exists()
    async with own_folder(tmp_path, ANOTHER):
        assert address_of_holder(tmp_path) is None, "it does not listen yet"
        note_address(tmp_path, "http://127.0.0.1:8123/rvm")
        assert address_of_holder(tmp_path) == "http://127.0.0.1:8123/rvm"
        with pytest.raises(InUse) as refused:
            async with own_folder(tmp_path, Owner.here()):
                pass
        assert refused.value.holder is not None
        assert refused.value.holder.pid == ANOTHER.pid, "as before"
        note_address(tmp_path, "http://" + "x" * 600)
        assert address_of_holder(tmp_path) == "http://127.0.0.1:8123/rvm", "the file has one length"
    assert address_of_holder(tmp_path) is None, "it has ended"
    async with own_folder(tmp_path, Owner.here()):
        assert address_of_holder(tmp_path) is None, "of the hub before"
    (tmp_path / LOCK_FILE).write_bytes(b"[]")
    note_address(tmp_path, "http://127.0.0.1:1")
