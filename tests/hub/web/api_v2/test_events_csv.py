"""The record as a file: whole, in words, safe to open, and honest about what is not in it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from db.errors import Unavailable
from db.event_search import search
from hub.core.changes import EventHappened
from hub.web.api_v2 import events_csv
from hub.web.api_v2.events_csv import COLUMNS, safe
from tests.support.api_hub import ApiHub


async def happen(hub: ApiHub, count: int = 1, rvm_id: int | None = 1, **more: Any) -> None:
    said: dict[str, Any] = {"code": "machine.event", "actor": "machine:1", "params": {"code": "door", "params": {}}}
    for _ in range(count):
        await hub.context.announce(EventHappened(at=hub.context.clock(), rvm_id=rvm_id, **{**said, **more}))


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
    assert tuple(english) == COLUMNS
    assert english["sentence"] == "Machine edited, name: old → Kelapa Gading ü"
    assert indonesian["sentence"] == "Mesin diubah, nama: old → Kelapa Gading ü"
    assert (english["actor_name"], english["machine"], english["kind"]) == ("admin", "one", "machine")
    assert json.loads(english["after"]) == {"name": "Kelapa Gading ü"}
    assert english["at"].endswith("Z")


async def test_the_whole_result_is_sent_in_pages(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_csv, "AT_ONCE", 4)
    await happen(hub, 11)
    await happen(hub, 1, rvm_id=2)
    found = await rows(hub, path="/api/v2/rvms/dev-one/events")
    assert len(found) == 11
    assert len({row["id"] for row in found}) == 11
    ids = [int(row["id"]) for row in found]
    assert ids == sorted(ids, reverse=True)
    assert [int(row["id"]) for row in await rows(hub, rvm="1", before=ids[8])] == ids[9:]
    assert [int(row["id"]) for row in await rows(hub, rvm="1", after=ids[8])] == ids[:8]


async def test_what_is_not_in_the_file_is_said_in_its_last_row(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    await happen(hub, 7)
    monkeypatch.setattr(events_csv, "AT_ONCE", 2)
    monkeypatch.setattr(events_csv, "MOST_ROWS", 5)
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

    monkeypatch.setattr(events_csv, "search", failing)
    *found, last = await rows(hub, rvm="1")
    assert len(found) == 2
    assert last["sentence"].startswith("The export broke off here")
    async with hub.of("admin") as admin:
        assert (await admin.get("/api/v2/events?format=csv")).status_code == 503


@pytest.mark.parametrize("text", ["=1+1", "+62", "-2", "@x", "\tx", "\rx", "\nx", "＝1+1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert safe(text) == f"'{text}"


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
