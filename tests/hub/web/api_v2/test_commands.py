"""Commands by REST: ask, wait, look back."""

from __future__ import annotations

from hub.core.machine import Machine
from tests.support.api_hub import ApiHub


def connect(hub: ApiHub, name: str) -> Machine:
    """As far as the command desk can tell."""
    machine = hub.context.fleet.machines[hub.machines[name]]
    machine.linked = True
    return machine


async def test_a_ping_is_for_a_machine_that_is_there(any_hub: ApiHub) -> None:
    async with any_hub.of("operator") as operator:
        refused = await operator.post("/api/v2/rvms/1/commands", json={"name": "ping"})
        assert refused.status_code == 409
        assert "offline" in refused.json()["message"]
        connect(any_hub, "one")
        sent = await operator.post("/api/v2/rvms/1/commands", json={"name": "ping"})
        assert sent.status_code == 202
        command = sent.json()["data"]
        assert sent.headers["location"] == f"/api/v2/commands/{command['id']}"
        shown = await operator.get(sent.headers["location"])
        assert shown.json()["data"] == command
        assert (await operator.get("/api/v2/rvms/dev-one")).json()["data"]["pending"][0]["id"] == command["id"]


async def test_only_what_may_be_asked_by_hand_is_taken(hub: ApiHub) -> None:
    connect(hub, "one")
    async with hub.of("admin") as admin:
        for body in ({"name": "reboot"}, {"name": "ping", "args": 5}, {"name": "ping", "agrs": {}}, {}):
            refused = await admin.post("/api/v2/rvms/1/commands", json=body)
            assert refused.status_code == 422, body


async def test_the_list_is_paged_newest_first(any_hub: ApiHub) -> None:
    connect(any_hub, "one")
    async with any_hub.of("operator") as operator:
        sent = [
            (await operator.post("/api/v2/rvms/1/commands", json={"name": "ping"})).json()["data"]["id"]
            for _ in range(5)
        ]
        seen, path = [], "/api/v2/rvms/1/commands?limit=2"
        while path:
            page = await operator.get(path)
            seen += [command["id"] for command in page.json()["data"]]
            path = page.headers["link"].partition(">")[0][1:] if "link" in page.headers else ""
        assert sorted(seen, reverse=True) == seen
        assert set(seen) == set(sent)
        assert len(seen) == 5
        wrong = await operator.get("/api/v2/rvms/2/commands", params={"before": sent[0]})
        unknown = await operator.get("/api/v2/rvms/2/commands", params={"before": "nothing"})
        assert wrong.status_code == 422
        assert wrong.json() == unknown.json()


async def test_a_command_of_a_machine_out_of_reach_does_not_exist(hub: ApiHub) -> None:
    connect(hub, "two")
    async with hub.of("operator") as operator:
        command = (await operator.post("/api/v2/rvms/2/commands", json={"name": "ping"})).json()["data"]
    for name in ("technician", "one"):
        async with hub.of(name) as other:
            forbidden = await other.get(f"/api/v2/commands/{command['id']}")
            unknown = await other.get("/api/v2/commands/1a208a7557d-d0cc93784957c053")
            assert forbidden.status_code == unknown.status_code == 404
            assert forbidden.content == unknown.content
    async with hub.of("two") as own:
        assert (await own.get(f"/api/v2/commands/{command['id']}")).status_code == 200
