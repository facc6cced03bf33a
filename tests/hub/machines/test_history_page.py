"""The history of a machine as the hub draws it, without a script, on both databases."""

from __future__ import annotations

import asyncio
import csv
import html
import io
import json
import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from db.engine.store import Store
from db.records import MachineRow
from hub.machines import history_page
from hub.model.changes import Observed, Patch
from tests.support.api_hub import ApiHub
from tests.support.compilations import compilations
from tests.support.measured_past import booted, declared, measure, wave, went_away
from tests.support.page_visitor import browser

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
AT = "/machines/1/history"


@pytest.fixture
def noon(any_hub: ApiHub) -> datetime:
    """The last full ten minutes."""
    now = any_hub.context.clock()
    return now.replace(minute=now.minute // 10 * 10, second=0, microsecond=0)


async def shown(client: httpx.AsyncClient, address: str, status: int = 200) -> str:
    answer = await client.get(address)
    assert answer.status_code == status, answer.text
    return answer.text


def member(page: str, chart: str, name: str) -> Any:
    figure = page.partition(f'data-chart="{chart}"')[2].partition(">")[0]
    found = re.search(rf'data-{name}="([^"]*)"', figure)
    assert found is not None, f"{chart} has no data-{name}"
    return json.loads(html.unescape(found[1]))


def words(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def captions(page: str) -> dict[str, str]:
    found = re.findall(r'data-chart="(\w+)".*?<figcaption>(.*?)</figcaption>', page, re.DOTALL)
    return {name: words(text).strip().replace("\u202f", " ") for name, text in found}


async def add_past(hub: ApiHub, end: datetime) -> None:
    """Nine days, each five minutes; away for two hours, back with another boot."""
    gone = [(end - 9 * HOUR, end - 7 * HOUR)]
    await measure(hub.context.store, 1, end, timedelta(days=9), 5 * MINUTE, gone)
    await hub.context.announce(*went_away(1, gone), *booted(1, end - 90 * HOUR, gone[0][1]))


async def test_each_range_shows_lines_with_their_band_in_at_most_720_points(any_hub: ApiHub, noon: datetime) -> None:
    await add_past(any_hub, noon)
    async with await browser(any_hub, "viewer") as viewer:
        for key in ("1h", "6h", "24h", "7d", "30d", "90d"):
            page = await shown(viewer, f"{AT}?range={key}")
            drawn = member(page, "cpu_usage", "points")
            assert 10 <= len(drawn["at"]) <= 720, key
            assert max(value for value in drawn["cpu_usage"] if value is not None) <= 65
            if key in ("7d", "30d", "90d"):
                edges = zip(drawn["cpu_usage.low"], drawn["cpu_usage.high"], strict=True)
                band = [(low, high) for low, high in edges if low is not None]
                assert all(low <= high for low, high in band)
                assert any(high - low > 1 for low, high in band), "never only the mean of a bucket"
            assert "Not measured in this range: GPU" in words(page)


async def test_a_history_that_is_read_again_compiles_no_select(
    any_hub: ApiHub, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_past(any_hub, noon)
    compiled = compilations(monkeypatch)
    async with await browser(any_hub, "viewer") as viewer:
        for key in ("90d", "30d"):
            await shown(viewer, f"{AT}?range={key}")
        compiled.clear()
        await shown(viewer, f"{AT}?range=7d")
    assert compiled == []


async def test_a_person_reads_one_history_at_a_time_and_other_pages_beside_it(
    any_hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(_store: Store, rvm_id: int, *_: Any) -> list[Any]:
        asked.append(rvm_id)
        begun.set()
        await may_end.wait()
        return []

    monkeypatch.setattr("db.queries.samples.history", slow)
    async with await browser(any_hub, "viewer") as viewer, await browser(any_hub, "operator") as other:
        first = asyncio.create_task(viewer.get(AT))
        await begun.wait()
        second = asyncio.create_task(viewer.get("/machines/2/history"))
        for path in ("/machines/1", "/", "/machines/2/events"):
            await shown(viewer, path)
        assert asked == [1], "the second waits for the first"
        begun.clear()
        others = asyncio.create_task(other.get("/machines/2/history"))
        await begun.wait()
        assert asked == [1, 2], "nobody else does"
        may_end.set()
        assert [(await each).status_code for each in (first, second, others)] == [200] * 3
    assert asked == [1, 2, 2]


async def test_captions_and_tables_say_it_without_a_chart(any_hub: ApiHub, noon: datetime) -> None:
    await add_past(any_hub, noon)
    async with await browser(any_hub, "viewer") as viewer:
        day = f"{AT}?from={noon - 24 * HOUR:%Y-%m-%dT%H:%M:%SZ}&to={noon:%Y-%m-%dT%H:%M:%SZ}"
        page = await shown(viewer, day)
        last = 20 + 40 * wave(noon - 5 * MINUTE)
        assert f": last {last:.0f} % (" in captions(page)["cpu_usage"], "the exact newest, not the mean of a bucket"
        assert "now" not in captions(page)["cpu_usage"], "a range that is over"
        assert "kB/s" in captions(page)["network"]
        rows = page.partition('data-chart="cpu_usage"')[2].partition("</figure>")[0].count("<tr data-key")
        assert 20 <= rows <= 32
        assert '<th scope="col" class="num">Highest</th>' in page
        assert "2 h" in words(page).replace("\u202f", " ")
        assert "1 reboot: " in words(page)
    async with await browser(any_hub, "viewer", "id") as viewer:
        page = await shown(viewer, day)
        assert f": terakhir {last:.0f} % (" in captions(page)["cpu_usage"]
        assert "kB/dtk" in captions(page)["network"]


async def test_a_gap_names_its_length_and_reason(any_hub: ApiHub, noon: datetime) -> None:
    await add_past(any_hub, noon)
    async with await browser(any_hub, "viewer") as viewer:
        page = await shown(viewer, f"{AT}?range=24h")
    start, end, said = next(gap for gap in member(page, "cpu_usage", "gaps") if "offline" in gap[2])
    assert re.match(r"no data (1\u202fh 5\d\u202fmin|2\u202fh( \d\u202fmin)?) – machine offline", said)
    assert abs(start / 1000 - (noon - 9 * HOUR).timestamp()) <= 400
    assert abs(end / 1000 - (noon - 7 * HOUR).timestamp()) <= 400
    drawn = member(page, "cpu_usage", "points")
    place = (start - drawn["first"]) // drawn["width"]
    assert drawn["cpu_usage"][drawn["at"].index(place)] is None, "no line crosses it"


async def test_captions_say_now_only_of_a_connected_machine(any_hub: ApiHub, noon: datetime) -> None:
    await measure(any_hub.context.store, 1, noon, 2 * HOUR, MINUTE)
    now = any_hub.context.clock()

    def connected(connection: str) -> None:
        state = {"connection": connection, "connection_since": now, "connection_reason": None}
        any_hub.context.announce.observe(Observed(1, state))

    async with await browser(any_hub, "viewer") as viewer:
        connected("live")
        page = await shown(viewer, f"{AT}?range=1h")
        assert '<span class="fresh-only">now ' in page
        assert '<span class="silent-only">last ' in page, "for a page without news"
        connected("offline")
        assert "fresh-only" not in await shown(viewer, f"{AT}?range=1h")


async def test_what_is_empty_says_why_and_leads_on(any_hub: ApiHub, noon: datetime) -> None:
    async with await browser(any_hub, "viewer") as viewer:
        assert "has not connected yet" in words(await shown(viewer, AT))
        await measure(any_hub.context.store, 1, noon - 30 * 24 * HOUR, 2 * HOUR, 5 * MINUTE)
        page = await shown(viewer, f"{AT}?range=24h")
        assert "Nothing was measured in this range. The newest reading is from" in words(page)
        way = re.search(r'<a class="btn" href="([^"]*)">Go there', page)
        assert way is not None
        assert member(await shown(viewer, html.unescape(way[1])), "cpu_usage", "points")["at"]
        assert 'href="#"' not in page


async def test_it_is_read_by_the_clock_that_its_address_names(any_hub: ApiHub, noon: datetime) -> None:
    """Captions, fields, tables, files and the machine's head."""
    await measure(any_hub.context.store, 1, noon, 3 * HOUR, MINUTE)
    async with await browser(any_hub, "viewer") as viewer:

        def current(page: str) -> str:
            found = re.search(r'data-zone="(\w+)" href="[^"]*" aria-current="true">', page)
            return "" if found is None else found[1]

        page = await shown(viewer, AT)
        assert (current(page), "data-zone-key" in page) == ("site", False)
        assert 'data-zone="mine"' not in page, "this person chose none"
        for key, name in (("site", "Asia/Jakarta"), ("utc", "UTC")):
            page = await shown(viewer, f"{AT}?range=6h&zone={key}")
            there = noon.astimezone(ZoneInfo(name))
            assert current(page) == key
            assert '<body data-now="' in page
            assert f'data-zone="{name}"' in page, "for what the script draws"
            assert f'data-zone-key="{key}"' in page
            assert f"<option>{name}</option>" in page.partition('id="zone"')[2][:80], "the first choice of a file"
            rows = page.partition('data-chart="cpu_usage"')[2].partition("</table>")[0]
            assert f"{there - HOUR:%H}:00</th>" in rows
            file = await viewer.get(f"{AT}/file.csv?range=6h&zone={key}")
            assert f"from {name}" in file.text
        typed = await viewer.get(f"{AT}?from=2026-11-23T14:00&to=2026-11-23T20:00&range=6h&zone=utc")
        assert typed.headers["location"] == f"{AT}?from=2026-11-23T14:00:00Z&to=2026-11-23T20:00:00Z&range=6h&zone=utc"
        assert "Time zone: “mars” is not known" in words(await shown(viewer, f"{AT}?zone=mars", 422))
        await viewer.patch("/api/v2/auth/me", json={"timezone": "Asia/Jayapura"})
        assert current(await shown(viewer, AT)) == "mine"
        page = await shown(viewer, f"{AT}?zone=site")
        assert (current(page), 'href="/machines/1/history?range=24h&amp;zone=mine"' in page) == ("site", True)


async def test_a_status_that_did_not_last_is_no_row_below_the_band(any_hub: ApiHub, noon: datetime) -> None:
    await measure(any_hub.context.store, 1, noon, 3 * HOUR, MINUTE)
    moment = noon - HOUR
    await any_hub.context.announce(
        Patch(MachineRow, 1, {"created_at": noon - 24 * HOUR}),
        *declared(1, (noon - 3 * HOUR, "active", 0), (moment, "full", 100), (moment + 0.4 * MINUTE / 60, "error", 0)),
    )
    async with await browser(any_hub, "viewer") as viewer:
        page = await shown(viewer, f"{AT}?range=6h")
    legend = words(page.partition('<ul class="legend">')[2].partition("</ul>")[0])
    assert "Error" in legend
    assert "Full" not in legend
    assert " 0 s" not in legend.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("language", "said"), [("en", "From: “abc” is not a date"), ("id", "Dari: “abc” bukan tanggal")]
)
async def test_a_bad_time_is_named_and_the_page_stays(any_hub: ApiHub, language: str, said: str) -> None:
    async with await browser(any_hub, "viewer", language) as viewer:
        page = await shown(viewer, f"{AT}?from=abc&to=2026-11-23T14:00", 422)
        assert said in words(page)
        assert 'value="2026-11-23T14:00"' in page, "what was right is still there"
        assert 'value="abc"' not in page, "a field for times takes nothing else"
        part = re.search(r'data-part="([^"]*/history/parts[^"]*)"', page)
        assert part is not None
        assert said in words(await shown(viewer, html.unescape(part[1]))), "also when it is drawn again"
        file = await viewer.get(f"{AT}/file.csv?from=abc&to=2026-11-23T14:00")
        assert (file.status_code, file.headers["location"]) == (303, f"{AT}?from=abc&to=2026-11-23T14%3A00")


async def test_typed_times_become_instants_that_can_be_shared(any_hub: ApiHub) -> None:
    async with await browser(any_hub, "viewer") as viewer:
        answer = await viewer.get(f"{AT}?from=2026-11-23T14:00&to=2026-11-23T20:00&range=6h")
        where = f"{AT}?from=2026-11-23T07:00:00Z&to=2026-11-23T13:00:00Z&range=6h"
        assert (answer.status_code, answer.headers["location"]) == (303, where)


async def test_a_file_is_what_the_chart_shows_in_the_readers_zone_and_marks(any_hub: ApiHub, noon: datetime) -> None:
    await measure(any_hub.context.store, 1, noon, 3 * HOUR, MINUTE)
    async with await browser(any_hub, "viewer") as viewer:
        answer = await viewer.get(f"{AT}/file.csv?range=24h&of=cpu_usage")
        page = await shown(viewer, f"{AT}?range=24h")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert rows[0] == ["from", "from Asia/Jakarta", "cpu_usage", "cpu_usage_min", "cpu_usage_max"]
        drawn = member(page, "cpu_usage", "points")
        means = [value for value in drawn["cpu_usage"] if value is not None]
        assert [round(float(row[2]), 1) for row in rows[1:]] == pytest.approx(means, abs=0.11)
        local = datetime.fromisoformat(rows[1][1])
        assert local - datetime.fromisoformat(rows[1][0].replace("Z", "+00:00")).replace(tzinfo=None) == 7 * HOUR
        assert re.fullmatch(r'attachment; filename="history-[\w.-]+-24h\.csv"', answer.headers["content-disposition"])
        whole = await viewer.get(f"{AT}/file.csv?range=24h&separator=tab&timezone=America/New_York")
        assert whole.headers["content-type"] == "text/csv; charset=utf-16-le"
        lines = whole.content.decode("utf-16").splitlines()
        assert lines[0] == "sep=\t"
        assert "from America/New_York" in lines[1].split("\t")
        assert "network_tx_bytes_s_max" in lines[1].split("\t")
        strange = await viewer.get(f"{AT}/file.csv?range=24h&timezone=../../etc&separator=x")
        assert "from Asia/Jakarta" in strange.text
    async with await browser(any_hub, "viewer", "id") as viewer:
        lines = (await viewer.get(f"{AT}/file.csv?range=24h&of=cpu_usage")).content.decode("utf-16").splitlines()
        assert lines[0] == "sep=;"
        assert re.fullmatch(r"[^;]+;[^;]+(;\d+,\d\d){3}", lines[2]), "a decimal comma where a semicolon parts cells"


async def test_capacity_is_what_was_declared_and_its_status_a_band(any_hub: ApiHub) -> None:
    now = any_hub.context.clock()
    await measure(any_hub.context.store, 1, now, MINUTE, timedelta(seconds=5))
    await any_hub.context.announce(*declared(1, (now - timedelta(seconds=1), "active", 40), (now, "full", 100)))
    state = {"connection": "live", "connection_since": now, "connection_reason": None}
    any_hub.context.announce.observe(Observed(1, state))
    async with await browser(any_hub, "viewer") as viewer:
        page = await shown(viewer, f"{AT}?range=10m")
    assert max(value or 0 for value in member(page, "capacity", "points")["capacity.high"]) == 100
    assert '<rect class="full"' in page
    assert "Capacity, last 10 minutes: now 100 %" in captions(page)["capacity"]


async def test_a_technician_sees_the_history_of_own_machines_alone(any_hub: ApiHub) -> None:
    async with await browser(any_hub, "technician") as technician:
        for path in ("", "/parts", "/charts.json", "/file.csv"):
            assert (await technician.get(f"{AT}{path}")).status_code == 200
            assert (await technician.get(f"/machines/2/history{path}")).status_code == 404


async def test_charts_have_limits_in_words_and_a_band(any_hub: ApiHub) -> None:
    async with await browser(any_hub, "viewer", "id") as viewer:
        made = (await viewer.get(f"{AT}/charts.json?theme=dark")).json()
    cpu, network = made["figures"]["cpu_usage"], made["figures"]["network"]
    assert [trace["meta"] for trace in cpu["data"]] == ["cpu_usage.band", "cpu_usage", "status"]
    assert cpu["data"][0]["fillcolor"] == "rgba(90,160,255,0.12)"
    assert [note["text"] for note in cpu["layout"]["annotations"]] == ["batas 90"]
    assert network["layout"]["yaxis"]["ticksuffix"] == "B/dtk"
    assert "range" not in network["layout"]["yaxis"]
    assert set(made["tones"]) >= {"active", "full", "error", "mark"}


async def test_of_a_day_with_many_declarations_the_newest_are_read(any_hub: ApiHub) -> None:
    from db.queries.statuses import declared_until

    now = any_hub.context.clock()
    await any_hub.context.announce(*declared(1, *((now - n * MINUTE, "active", n) for n in range(30, 0, -1))))
    store = any_hub.context.store
    few = await declared_until(store, 1, now - 25 * MINUTE, now - MINUTE / 2, 10)
    assert [capacity for _, _, capacity in few] == list(range(10, 0, -1))
    all_of_them = await declared_until(store, 1, now - 5.5 * MINUTE, now - MINUTE / 2, 100)
    assert [capacity for _, _, capacity in all_of_them] == [6, 5, 4, 3, 2, 1], "with what held at the beginning"


async def test_of_a_connection_that_changed_very_often_the_oldest_is_not_drawn_on(
    any_hub: ApiHub, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_page, "MOST_EVENTS", 4)
    await measure(any_hub.context.store, 1, noon, timedelta(hours=20), 5 * MINUTE, [])
    brief = [(noon - hour * HOUR, noon - hour * HOUR + MINUTE) for hour in (10, 4, 2)]
    # The last before the day has it away, and when it came back is left out.
    await any_hub.context.announce(*went_away(1, [(noon - 25 * HOUR, noon - 23 * HOUR), *brief]))
    async with await browser(any_hub, "operator") as client:
        address = f"{AT}?from={noon - 24 * HOUR:%Y-%m-%dT%H:%MZ}&to={noon:%Y-%m-%dT%H:%MZ}"
        page = await shown(client, address)
    drawn = json.loads(html.unescape(page.partition('data-drawn="')[2].partition('"')[0]))
    assert [end - start for start, end in drawn["away"]] == [60_000, 60_000], drawn["away"]


async def test_no_two_rows_have_one_key_so_that_a_table_keeps_its_rows_when_it_is_drawn_again(any_hub: ApiHub) -> None:
    """A script finds a row by its key among all of the page's part: of two tables with the same, one was emptied."""
    end = any_hub.context.clock()
    await measure(any_hub.context.store, 1, end, 3 * HOUR, 10 * MINUTE)
    async with await browser(any_hub, "viewer") as viewer:
        page = await shown(viewer, f"{AT}?range=24h")
    keys = re.findall(r'data-key="([^"]+)"', page.partition('id="history"')[2])
    assert len(keys) > 10, "several charts with their tables"
    assert len(keys) == len(set(keys))
