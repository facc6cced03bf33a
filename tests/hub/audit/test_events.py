"""The record, as far as each may know it."""

from __future__ import annotations

from hub.model.changes import EventHappened
from tests.support.api_hub import ApiHub


async def happen(hub: ApiHub, count: int, rvm_id: int | None, code: str = "test.happened") -> None:
    for n in range(count):
        event = EventHappened(at=hub.context.clock(), code=code, actor="system", rvm_id=rvm_id, params={"n": n})
        await hub.context.announce(event)


async def test_everybody_sees_what_concerns_their_machines(any_hub: ApiHub) -> None:
    for rvm_id in (1, 2, None):
        await happen(any_hub, 1, rvm_id)

    async def seen(name: str) -> list[int | None]:
        async with any_hub.of(name) as somebody:
            answer = await somebody.get("/api/v2/events", params={"code": "test.happened"})
            return [event["rvm_id"] for event in answer.json()["data"]]

    assert await seen("admin") == [None, 2, 1]
    assert await seen("operator") == await seen("viewer") == [2, 1]
    assert await seen("technician") == await seen("one") == [1]
    assert await seen("two") == [2]


async def test_the_record_is_read_page_by_page(any_hub: ApiHub) -> None:
    await happen(any_hub, 7, 1)
    async with any_hub.of("viewer") as viewer:
        seen, path = [], "/api/v2/events?code=test.happened&limit=3"
        while path:
            page = await viewer.get(path)
            seen += [event["params"]["n"] for event in page.json()["data"]]
            path = page.headers["link"].partition(">")[0][1:] if "link" in page.headers else ""
    assert seen == [6, 5, 4, 3, 2, 1, 0]


async def test_filters_narrow(any_hub: ApiHub) -> None:
    await happen(any_hub, 1, 1, "a.b")
    await happen(any_hub, 1, 2, "c.d")
    async with any_hub.of("admin") as admin:

        async def codes(**query: object) -> list[str]:
            answer = await admin.get("/api/v2/events", params=query)  # type: ignore[arg-type]
            assert answer.status_code == 200, answer.text
            return [event["code"] for event in answer.json()["data"]]

        assert await codes(code="a.b, c.d") == ["c.d", "a.b"]
        assert await codes(rvm="dev-one", code="a.b,c.d") == ["a.b"]
        assert await codes(rvm="2", code="a.b,c.d") == ["c.d"]
        assert await codes(code="a.b", actor="user:99") == []
        assert await codes(code="a.b", to="2020-01-01T00:00:00Z") == []
        assert await codes(code="a.b", **{"from": "2020-01-01T00:00:00Z"}) == ["a.b"]


async def test_a_machine_or_event_out_of_reach_is_like_one_that_does_not_exist(hub: ApiHub) -> None:
    await happen(hub, 1, 2)
    async with hub.of("admin") as admin:
        hidden = (await admin.get("/api/v2/events", params={"code": "test.happened"})).json()["data"][0]["id"]
    async with hub.of("technician") as technician:
        forbidden, unknown = [await technician.get(f"/api/v2/events?rvm={key}") for key in ("dev-two", "dev-nix")]
        assert forbidden.status_code == 404
        assert forbidden.content == unknown.content
        forbidden, unknown = [await technician.get(f"/api/v2/events?before={key}") for key in (hidden, 999999)]
        assert forbidden.status_code == 422
        assert forbidden.content == unknown.content


async def test_wrong_filters_are_named(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        for query in (
            "before=x",
            "before=0",
            "limit=9999",
            "from=x",
            "to=yesterday",
            "to=9999-12-32T00:00:00Z",
            "from=0000-01-01T00:00:00Z",
            "rvm=" + "x" * 101,
        ):
            refused = await admin.get(f"/api/v2/events?{query}")
            assert refused.status_code == 422, query
            assert list(refused.json()["errors"]) == [query.partition("=")[0]]


async def test_the_record_is_read_in_both_directions(any_hub: ApiHub) -> None:
    await happen(any_hub, 7, 1)
    async with any_hub.of("viewer") as viewer:
        newest = (await viewer.get("/api/v2/rvms/dev-one/events?code=test.happened&limit=3")).json()["data"]
        older = await viewer.get(f"/api/v2/rvms/1/events?code=test.happened&limit=2&before={newest[-1]['id']}")
        last = older.json()["data"][-1]
        back = await viewer.get(f"/api/v2/events?rvm=1&code=test.happened&limit=3&after={last['id']}")
        assert [event["params"]["n"] for event in back.json()["data"]] == [5, 4, 3]
        assert back.headers["link"].endswith('; rel="prev"')
        rest = await viewer.get(back.headers["link"].partition(">")[0][1:])
        assert [event["params"]["n"] for event in rest.json()["data"]] == [6]
        assert "link" not in rest.headers


async def test_kind_and_text_narrow(any_hub: ApiHub) -> None:
    boss = any_hub.users["admin"]
    for code, actor, params in (
        ("status.changed", f"user:{boss}", {"reason": "Ganti SENSOR ü"}),
        ("command.issued", "machine:1", {"name": "ping"}),
    ):
        event = EventHappened(at=any_hub.context.clock(), code=code, actor=actor, rvm_id=1, params=params)
        await any_hub.context.announce(event)
    await happen(any_hub, 1, 2)
    async with any_hub.of("admin") as admin:

        async def codes(**query: str | int) -> list[str]:
            answer = await admin.get("/api/v2/events", params={"rvm": "1", **query})
            assert answer.status_code == 200, answer.text
            return [event["code"] for event in answer.json()["data"]]

        assert await codes(kind="status") == ["status.changed"]
        assert await codes(kind="status, command") == ["command.issued", "status.changed"]
        assert await codes(kind="sign_in") == []
        assert await codes(q="sensor") == await codes(q="Ü".lower()) == ["status.changed"]
        assert await codes(q="ADMIN") == ["status.changed"], "the name of who did it"
        assert await codes(q="dev-one") == ["command.issued", "status.changed"], "the name of the machine"
        assert await codes(actor="machine") == ["command.issued"]
        assert await codes(q="  ") == ["command.issued", "status.changed"]
    async with any_hub.of("viewer") as viewer:
        answer = await viewer.get("/api/v2/events", params={"kind": "user,token,sign_in"})
        assert answer.json()["data"] == [], "what concerns people is for administrators"


async def test_wrong_kinds_and_texts_are_named(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        for query in ("kind=nothing", "kind=,", "code=,", "q=" + "x" * 101, "after=0", "format=xml", "language=de"):
            refused = await admin.get(f"/api/v2/events?{query}")
            assert refused.status_code == 422, query
            assert list(refused.json()["errors"]) == [query.partition("=")[0]]


async def test_a_machine_reads_its_own_record_and_no_other(hub: ApiHub) -> None:
    async with hub.of("one") as machine:
        assert (await machine.get("/api/v2/rvms/1/events")).status_code == 200
        assert (await machine.get("/api/v2/rvms/2/events")).status_code == 404
