"""The record as a file: whole, in words, safe to open, and honest about what is not in it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from starlette.requests import ClientDisconnect

from db.errors import Unavailable
from db.queries import events
from db.queries.events import search
from hub.audit import service
from hub.audit.service import COLUMNS
from hub.model.changes import EventHappened
from hub.web.http import download_slots
from hub.web.http.download_slots import MOST, MOST_OF_MACHINES, DownloadSlots, EndedStream
from hub.web.http.problems import Problem
from tests.support.api_hub import ApiHub


async def happen(hub: ApiHub, count: int = 1, rvm_id: int | None = 1, **more: Any) -> None:
    said: dict[str, Any] = {"code": "machine.event", "actor": "machine:1", "params": {"code": "door", "params": {}}}
    for _ in range(count):
        await hub.context.announce(EventHappened(at=hub.context.clock(), rvm_id=rvm_id, **{**said, **more}))


async def aiter_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def rows(hub: ApiHub, who: str = "admin", path: str = "/api/v2/events", **query: Any) -> list[dict[str, str]]:
    async with hub.of(who) as client:
        answer = await client.get(path, params={"format": "csv", "kind": "machine", **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_a_file_has_everything_in_words_and_as_data(any_hub: ApiHub) -> None:
    edited: dict[str, Any] = {"code": "machine.edited", "actor": f"user:{any_hub.users['admin']}"}
    await happen(any_hub, params={}, before={"name": "old"}, after={"name": "Kelapa Gading ü"}, **edited)
    english, indonesian = [(await rows(any_hub, language=language))[0] for language in ("en", "id")]
    assert tuple(english) == (*COLUMNS, "at Asia/Jakarta")
    assert english["sentence"] == "Machine edited, name: old → Kelapa Gading ü"
    assert indonesian["sentence"] == "Mesin diubah, nama: old → Kelapa Gading ü"
    assert (english["actor_name"], english["machine"], english["kind"]) == ("admin", "one", "machine")
    assert json.loads(english["after"]) == {"name": "Kelapa Gading ü"}
    assert english["at"].endswith("Z")


@pytest.mark.parametrize(("separator", "mark"), [("semicolon", ";"), ("tab", "\t")])
async def test_a_first_line_names_the_separator_for_spreadsheets(hub: ApiHub, separator: str, mark: str) -> None:
    await happen(hub, params={"code": "x;=1,y", "params": {}})
    zone = "Asia/Jayapura"
    query = {"format": "csv", "bom": "true", "separator": separator, "timezone": zone, "kind": "machine"}
    async with hub.of("admin") as client:
        answer = await client.get("/api/v2/events", params=query)
        first, _, rest = answer.text.partition("\r\n")
        wrong = await client.get("/api/v2/events", params=query | {"separator": "pipe"})
    # Below such a line Excel reads UTF-16 with its mark, and no UTF-8.
    assert answer.content.startswith(b"\xff\xfe")
    assert answer.headers["content-type"] == "text/csv; charset=utf-16-le"
    assert first == f"\ufeffsep={mark}"
    (row,) = csv.DictReader(io.StringIO(rest), delimiter=mark)
    assert json.loads(row["params"])["code"] == "x;=1,y"
    # The name has the day of the zone that was asked for.
    day = hub.context.clock().astimezone(ZoneInfo(zone))
    assert f"events-{day:%Y%m%d}-" in answer.headers["content-disposition"]
    assert wrong.status_code == 422
    assert list(wrong.json()["errors"]) == ["separator"]


async def test_the_whole_result_is_sent_in_pages(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 4)
    await happen(hub, 11)
    await happen(hub, 1, rvm_id=2)
    found = await rows(hub, path="/api/v2/rvms/dev-one/events")
    assert len(found) == 11
    assert len({row["id"] for row in found}) == 11
    ids = [int(row["id"]) for row in found]
    assert ids == sorted(ids, reverse=True)
    assert [int(row["id"]) for row in await rows(hub, rvm="1", before=ids[8])] == ids[9:]
    assert [int(row["id"]) for row in await rows(hub, rvm="1", after=ids[8])] == ids[:8]


async def test_what_is_not_in_the_file_is_named_in_its_last_row(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    await happen(hub, 7)
    monkeypatch.setattr(service, "AT_ONCE", 2)
    monkeypatch.setattr(service, "MOST_ROWS", 5)
    *found, last = await rows(hub, rvm="1")
    assert len(found) == 5
    assert f"before={found[-1]['id']}" in last["sentence"]
    assert last["id"] == ""
    rest = await rows(hub, rvm="1", before=found[-1]["id"])
    assert len(rest) == 2

    asked = 0

    async def failing(*args: Any, **more: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise Unavailable("away")
        return await search(*args, **more)

    monkeypatch.setattr(service, "search", failing)
    *found, last = await rows(hub, rvm="1")
    assert len(found) == 2
    assert last["sentence"].startswith("The export stopped here")
    async with hub.of("admin") as admin:
        assert (await admin.get("/api/v2/events?format=csv")).status_code == 503


async def test_a_search_for_nothing_ends_and_says_how_far_it_came(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    await happen(hub, 9)
    monkeypatch.setattr(events, "STRETCH", 2)
    monkeypatch.setattr(events, "MOST", 1)
    monkeypatch.setattr(service, "MOST_LOOKED", 4)
    newest = [row["id"] for row in await rows(hub, rvm="1", limit=9)][:4]
    (last,) = await rows(hub, rvm="1", q="nothing has this")
    assert "Only the newest 4 events were looked through for this file, down to here." in last["sentence"]
    assert f"before={newest[3]}" in last["sentence"]
    monkeypatch.setattr(service, "MOST_LOOKED", 400)
    assert await rows(hub, rvm="1", q="nothing has this") == []


async def test_one_caller_makes_one_file_at_a_time_and_a_hub_a_few(hub: ApiHub) -> None:
    places, path = hub.context[DownloadSlots], "/api/v2/events?format=csv"
    viewer = f"user:{hub.users['viewer']}"
    places.begin(viewer)
    async with hub.of("viewer") as client:
        refused = await client.get(path, headers={"Accept-Language": "id"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert refused.json()["detail"].startswith("Anda sedang mengambil")
        places.end(viewer)
        for _ in range(3):
            assert (await client.get(path)).status_code == 200, "the one before is over"
            assert (await client.head(path)).status_code == 200
        for number in range(MOST_OF_MACHINES):
            places.begin(f"machine:99{number}")
        with pytest.raises(Problem):
            places.begin("machine:1")
        assert (await client.get(path)).status_code == 200, "machines' keys take nobody's place"
        for number in range(MOST):
            places.begin(f"user:99{number}")
        crowded = await client.get(path)
        assert (crowded.status_code, crowded.json()["detail"][:6]) == (429, "Others")
        assert (await client.get("/api/v2/events")).status_code == 200, "a page is no file"


async def test_a_file_that_breaks_off_makes_room_for_the_next(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*args: Any, **more: Any) -> Any:
        raise Unavailable("away")

    async with hub.of("viewer") as client:
        with monkeypatch.context() as broken:
            broken.setattr(service, "search", gone)
            assert (await client.get("/api/v2/events?format=csv")).status_code == 503
        assert (await client.get("/api/v2/events?format=csv")).status_code == 200

    async def hung_up(message: Any) -> None:
        raise OSError("the reader is gone")

    hub.context[DownloadSlots].begin("user:77")
    stream = EndedStream(aiter_of(b"a"), {}, "text/csv", lambda: hub.context[DownloadSlots].end("user:77"))
    with pytest.raises(ClientDisconnect):
        await stream({"type": "http", "asgi": {"spec_version": "2.4"}}, hung_up, hung_up)  # type: ignore[arg-type]
    hub.context[DownloadSlots].begin("user:77")


@pytest.mark.parametrize("part_s", [0.0, 0.02])
async def test_a_reader_that_takes_too_long_makes_room(monkeypatch: pytest.MonkeyPatch, part_s: float) -> None:
    monkeypatch.setattr(download_slots, "TAKEN_WITHIN_S", 0.05)
    monkeypatch.setattr(download_slots, "WHOLE_WITHIN_S", 0.2)
    places, sent = DownloadSlots(), 0

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"a"

    async def slowly(message: Any) -> None:
        nonlocal sent
        sent += 1
        await asyncio.sleep(part_s or 60)

    places.begin("user:77")
    stream = EndedStream(endless(), {}, "text/csv", lambda: places.end("user:77"))
    await stream({"type": "http", "asgi": {"spec_version": "2.4"}}, slowly, slowly)  # type: ignore[arg-type]
    assert (sent == 1) is (part_s == 0.0)
    places.begin("user:77")


async def test_the_removed_are_looked_up_once_for_a_file(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    await happen(hub, 9, rvm_id=2, actor=f"user:{hub.users['viewer']}")
    async with hub.of("admin") as admin:
        assert (await admin.delete(f"/api/v2/users/{hub.users['viewer']}")).status_code == 204
        assert (await admin.delete("/api/v2/rvms/2")).status_code == 204
    asked: list[object] = []

    async def counted(store: Any, filters: Any, limit: int, **more: Any) -> Any:
        if filters.codes:
            asked.append(filters.codes)
        return await search(store, filters, limit, **more)

    monkeypatch.setattr(service, "search", counted)
    monkeypatch.setattr(service, "AT_ONCE", 2)
    found = await rows(hub)
    assert {(row["actor_name"], row["machine"]) for row in found[1:]} == {("viewer (removed)", "two")}
    assert sorted(map(str, asked)) == ["('machine.removed',)", "('user.removed',)"]


async def test_nothing_is_a_formula_where_a_semicolon_parts_the_cells(hub: ApiHub) -> None:
    params = {"reason": "a;=cmd|1; =1+1;-2;@x;\uff1d1", "ok": "a;b"}
    await happen(hub, code="status.changed", params=params, before={"status": "active"}, after={"status": "error"})
    (found,) = await rows(hub, kind="status")
    assert json.loads(found["params"]) == params, "the data is what was reported"
    assert "a;'=cmd" in found["sentence"]
    async with hub.of("admin") as admin:
        answer = await admin.get("/api/v2/events?format=csv")
    for row in csv.reader(io.StringIO(answer.text, newline=""), delimiter=";"):
        assert not [cell for cell in row if cell.strip(' "').startswith(("=", "+", "-", "@", "\uff1d"))]


async def test_hostile_text_stays_text_in_a_file(hub: ApiHub) -> None:
    params = {"code": "=cmd|' /C calc'!A0", "params": {"x": '"\r\n=1+1', "y": "\x1b[31m\u202e"}}
    await happen(hub, params=params)
    await hub.add_machine("=HYPERLINK(1)")
    await happen(hub, rvm_id=hub.machines["=HYPERLINK(1)"])
    async with hub.of("admin") as admin:
        answer = await admin.get("/api/v2/events?format=csv&kind=machine")
    for row in csv.reader(io.StringIO(answer.text, newline="")):
        assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    found = await rows(hub)
    assert json.loads(found[1]["params"]) == params, "the data is what was reported"
    assert "\x1b" not in found[1]["sentence"]
    assert "\u202e" not in found[1]["sentence"]
    assert found[0]["machine"] == "'=HYPERLINK(1)"


async def test_an_accept_header_asks_for_it_too(hub: ApiHub) -> None:
    await happen(hub)
    async with hub.of("one") as machine:
        answer = await machine.get("/api/v2/events", headers={"Accept": "text/csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["content-disposition"].startswith('attachment; filename="events-2')
        own = await machine.get("/api/v2/rvms/1/events?format=csv&bom=true")
        assert own.content.startswith(b"\xef\xbb\xbfid,")
        assert 'filename="events-dev-one-' in own.headers["content-disposition"]
        both = await machine.get("/api/v2/events", headers={"Accept": "application/json, text/csv;q=0.5"})
        assert both.headers["content-type"] == "application/json"
        head = await machine.head("/api/v2/events?format=csv")
        assert (head.content, head.headers["content-type"]) == (b"", "text/csv; charset=utf-8")


async def test_who_was_removed_is_still_called_by_name(any_hub: ApiHub) -> None:
    viewer = any_hub.users["viewer"]
    await happen(any_hub, rvm_id=2, actor=f"user:{viewer}")
    async with any_hub.of("admin") as admin:
        assert (await admin.delete(f"/api/v2/users/{viewer}")).status_code == 204
        assert (await admin.delete("/api/v2/rvms/2")).status_code == 204
    removed, reported = await rows(any_hub)
    assert (reported["actor_name"], reported["machine"]) == ("viewer (removed)", "two")
    assert removed["sentence"] == "Machine two removed, ID dev-two"
    assert (await rows(any_hub, "operator"))[0]["machine"] == "two", "who reaches all machines, also those that were"
