"""How many sessions there may be at once, whatever a machine's settings say; and none that outlives the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hub.remote.rules.requests import MOST_OF_A_MACHINE, MOST_OF_A_PERSON
from tests.support.api_hub import ApiHub, api_hub


async def linked(hub: ApiHub, count: int) -> list[int]:
    """Machines that seem to have a link, and would take more sessions than the hub allows."""
    made = [await hub.add_machine(f"m{number}") for number in range(count)]
    for rvm_id in made:
        hub.context.fleet.machines[rvm_id].linked = True
    async with hub.of("admin") as admin:
        answer = await admin.patch("/api/v2/config", json={"max_concurrent_sessions": 5})
    assert answer.status_code == 200, answer.text
    return made


async def start(hub: ApiHub, name: str, rvm_id: int) -> tuple[int, Any, str | None]:
    """The status, the code of the refusal, and when to come again."""
    async with hub.of(name) as client:
        answer = await client.post(f"/api/v2/rvms/{rvm_id}/remote-access/start", json={})
    return answer.status_code, answer.json().get("code"), answer.headers.get("retry-after")


async def test_a_machine_has_two(any_hub: ApiHub) -> None:
    (one,) = await linked(any_hub, 1)
    for _ in range(MOST_OF_A_MACHINE):
        assert (await start(any_hub, "operator", one))[0] == 201
    status, code, again = await start(any_hub, "admin", one)
    assert (status, code) == (429, "too_many_of_machine")
    assert int(again or 0) > 0
    async with any_hub.of("operator") as operator:
        said = (await operator.get(f"/api/v2/rvms/{one}/remote-access/status")).json()["data"]
        assert (said["can_open"], said["refusal"]["code"]) == (False, "too_many_of_machine")
        assert (await operator.post(f"/api/v2/rvms/{one}/remote-access/stop")).status_code == 200
    assert (await start(any_hub, "admin", one))[0] == 201, "there is room again"


async def test_a_person_has_twenty(any_hub: ApiHub) -> None:
    *first, last = await linked(any_hub, MOST_OF_A_PERSON + 1)
    for rvm_id in first:
        assert (await start(any_hub, "operator", rvm_id))[0] == 201
    status, code, again = await start(any_hub, "operator", last)
    assert (status, code) == (429, "too_many_of_person")
    assert int(again or 0) > 0
    assert (await start(any_hub, "admin", last))[0] == 201, "the next person has room"


async def test_the_next_life_of_the_hub_ends_what_was_open(tmp_path: Path, database_url: str) -> None:
    async with api_hub(tmp_path, database_url=database_url) as before:
        await before.add_everybody()
        (one,) = await linked(before, 1)
        assert (await start(before, "operator", one))[0] == 201
    async with api_hub(tmp_path, database_url=database_url) as after:
        assert not after.context.fleet.machines[one].remote_sessions
        async with after.client(before.tokens["operator"]) as operator:
            (row,) = (await operator.get(f"/api/v2/rvms/{one}/remote-access/history")).json()["data"]
            events = (await operator.get(f"/api/v2/rvms/{one}/events?kind=remote")).json()["data"]
    assert (row["status"], row["end_reason"], row["ended_by"]) == ("ended", "hub_restarted", "system")
    assert [event["code"] for event in events] == ["remote.ended", "remote.requested"]
