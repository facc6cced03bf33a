"""Turns at the slow hash: fair between networks, and a flood of guesses turns nobody away who knows the password."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from hub.web.auth.passwords import FairTurns, TooBusy, neighbourhood_of
from tests.support.api_hub import ORIGIN, PASSWORD, ApiHub, api_hub

LOGIN = "/api/v2/auth/login"


class Room:
    """One place, taken by the test; `served` has the names in the order of their turns."""

    def __init__(self, most: int = 1000) -> None:
        self.turns = FairTurns(1, most)
        self.served: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.leave = asyncio.Event()

    async def fill(self) -> None:
        await self.ask("holder", "127.0.0.1")

    async def ask(self, name: str, address: str, *, familiar: bool = False) -> asyncio.Task[None]:
        async def work() -> None:
            async with self.turns.turn(address, familiar=familiar):
                self.served.append(name)
                await self.leave.wait()

        self.tasks.append(asyncio.create_task(work()))
        await asyncio.sleep(0)
        return self.tasks[-1]

    async def all_served(self) -> list[str]:
        self.leave.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), 60)
        assert len(self.turns) == 0
        async with self.turns.turn("127.0.0.1", familiar=False):
            """The place is free again."""
        return self.served[1:]


@pytest.fixture
async def room() -> Room:
    made = Room()
    await made.fill()
    return made


async def test_networks_take_turns_however_many_each_sends(room: Room) -> None:
    for number in range(3):
        await room.ask(f"flood {number}", "192.0.2.1")
    await room.ask("person", "198.51.100.7")
    assert await room.all_served() == ["flood 0", "person", "flood 1", "flood 2"]


async def test_a_neighbourhood_has_one_turn_and_shares_it(room: Room) -> None:
    for number in range(4):
        await room.ask(f"flood {number}", f"2001:db8:1:{number}::1")
    await room.ask("person", "2001:db8:2::1")
    await room.ask("neighbour", "2001:db8:1:0::9")
    assert await room.all_served() == ["flood 0", "person", "flood 1", "flood 2", "flood 3", "neighbour"]


async def test_who_is_familiar_goes_first(room: Room) -> None:
    for number in range(3):
        await room.ask(f"stranger {number}", f"192.0.{number}.1")
    await room.ask("person", "198.51.100.7", familiar=True)
    assert (await room.all_served())[0] == "person"


async def test_of_too_many_the_newest_of_the_largest_is_sent_away() -> None:
    room = Room(most=4)
    await room.fill()
    flood = [await room.ask(f"flood {number}", f"192.0.2.{number % 2}") for number in range(4)]
    people = [await room.ask("person", "198.51.100.7"), await room.ask("familiar", "198.51.100.8", familiar=True)]
    served = await room.all_served()
    assert sorted(served) == ["familiar", "flood 0", "flood 1", "person"]
    assert [isinstance(task.exception(), TooBusy) for task in (*flood, *people)] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]


async def test_one_who_goes_gives_the_turn_on(room: Room) -> None:
    gone, other = await room.ask("gone", "192.0.2.1"), await room.ask("there", "192.0.2.2")
    room.leave.set()
    await asyncio.sleep(0)  # the holder leaves: the turn is given to the one that is about to go
    gone.cancel()
    assert "there" in await room.all_served()
    assert other.done()


def test_neighbourhoods() -> None:
    assert neighbourhood_of("192.0.2.1") == neighbourhood_of("::ffff:192.0.2.200") == "192.0.2.0"
    assert neighbourhood_of("2001:db8:1:2::1") == neighbourhood_of("2001:db8:1:ffff::9") == "2001:db8:1::"
    assert neighbourhood_of("192.0.2.1") != neighbourhood_of("192.0.3.1")
    assert neighbourhood_of("") == ""


def through_proxy(hub: ApiHub, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=hub.app, client=("10.1.1.1", 4000))
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"X-Forwarded-For": address}, timeout=60)


async def test_a_flood_of_guesses_from_many_addresses_turns_no_right_password_away(
    tmp_path: Path, sqlite_url: str
) -> None:
    """Sixty at once, each from another address each time, and fifteen people who know what they type."""
    slow = PasswordHasher(time_cost=1, memory_cost=4096, parallelism=1)
    async with api_hub(tmp_path, patient=False, hasher=slow, database_url=sqlite_url, behind_proxy="10.1.1.1") as hub:
        for number in range(15):
            await hub.add_user(f"person{number}", "viewer", password=PASSWORD)
        outcomes, numbers = Counter[int](), itertools.count()

        async def guess() -> None:
            while True:
                number = next(numbers)
                async with through_proxy(hub, f"172.16.{number % 250}.{number // 250 % 250}") as client:
                    wrong = {"email": f"guess{number}@example.com", "password": "wrong"}
                    outcomes[(await client.post(LOGIN, json=wrong)).status_code] += 1

        flood = [asyncio.create_task(guess()) for _ in range(60)]
        statuses = []
        for number in range(15):
            async with through_proxy(hub, f"192.168.7.{number}") as client:
                right = {"email": f"person{number}@example.com", "password": PASSWORD}
                statuses.append((await client.post(LOGIN, json=right)).status_code)
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
    assert statuses == [200] * 15
    assert set(outcomes) == {401}
    assert outcomes[401] >= 15 * 30, "each of the fifteen waited for others' turns"
