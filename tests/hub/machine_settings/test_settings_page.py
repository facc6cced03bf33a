"""The settings pages without script: what they show, what they save, and that nothing typed is ever lost."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from db.records import MachineRow
from hub.machine_settings import form as rows
from hub.machine_settings.page import spread
from hub.model.changes import Observed, Patch
from tests.support.api_hub import ApiHub, api_hub
from tests.support.machines import facts_of_hello, machine
from tests.support.page_visitor import browser


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


def fields(page: str) -> dict[str, str]:
    """The settings form as a browser would send it."""
    form = page[page.index('id="settings"') : page.index("</form>", page.index('id="settings"'))]
    found = {}
    for name, value in re.findall(r'<input[^>]*name="([^"]+)"[^>]*?value="([^"]*)"', form):
        found[name] = html.unescape(value)
    for name, inner in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', inner) or re.search(r'value="([^"]*)"', inner)
        found[name] = chosen[1] if chosen else ""
    for name, value in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        found[name] = html.unescape(value)
    return found


async def send(client: httpx.AsyncClient, path: str, given: dict[str, str]) -> httpx.Response:
    return await client.post(path, data={**given, "csrf_token": client.headers["X-CSRF-Token"]})


async def config(hub: ApiHub, rvm_id: int) -> dict[str, Any]:
    async with hub.of("admin") as client:
        found: dict[str, Any] = (await client.get(f"/api/v2/rvms/{rvm_id}/config")).json()["data"]
    return found


async def test_a_form_sent_back_as_it_came_changes_nothing(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        for path in ("/machines/1/settings", "/admin/settings"):
            page = (await client.get(path)).text
            answer = await send(client, path, fields(page))
            assert answer.headers["location"] == f"{path}?notice=nothing"
    assert (await config(hub, 1))["version"] == 0


async def test_typing_into_an_inherited_field_makes_it_the_machines_own_and_it_can_be_given_back(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        page = (await client.get("/machines/1/settings")).text
        given = fields(page) | {
            "v.temperature_threshold": "75,5",
            "v.admin_ips": "10.1.0.0/16\r\n",
            "v.backup_enabled": "off",
        }
        answer = await send(client, "/machines/1/settings", given)
        assert answer.headers["location"].endswith("notice=saved")
        found = await config(hub, 1)
        own = {key for key, origin in found["origins"].items() if origin == "machine"}
        assert own == {"temperature_threshold", "admin_ips", "backup_enabled"}
        assert found["values"]["temperature_threshold"] == 75.5
        page = (await client.get(answer.headers["location"])).text
        assert "Saved as version 1." in page
        assert "admin, 0\u202fs ago · before: 80\u202f°C" in page
        given = fields(page) | {"o.temperature_threshold": ""}
        await send(client, "/machines/1/settings", given)
        assert (await config(hub, 1))["origins"]["temperature_threshold"] == "default"


async def test_a_machine_inherits_from_the_fleet_and_says_so(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        page = (await client.get("/admin/settings")).text
        await send(client, "/admin/settings", fields(page) | {"v.cpu_threshold": "70"})
        page = (await client.get("/machines/1/settings")).text
        assert "From the fleet: 70\u202f%" in page
        assert (
            "0 of 2 machines run these settings. 2 machines have not reconnected yet."
            in (await client.get("/admin/settings")).text
        )


async def test_who_refuses_is_not_counted_with_those_that_run_them(hub: ApiHub) -> None:
    refused = {"metrics_interval": {"code": "environment"}}
    await hub.context.announce(Patch(MachineRow, 1, {"config_errors": refused}))
    async with await browser(hub) as client:
        page = (await client.get("/admin/settings")).text
    assert "1 machine refuses a setting:" in page
    assert "run these settings" not in page, "there are none of the fleet"


async def test_a_wrong_value_stays_where_it_was_typed_with_the_reason(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        page = (await client.get("/machines/1/settings")).text
        given = fields(page) | {
            "v.cpu_threshold": "900",
            "v.default_timezone": "Asia/../../etc",
            "v.metrics_interval": "60",
        }
        answer = await send(client, "/machines/1/settings", given)
    assert answer.status_code == 422
    shown = fields(answer.text)
    assert (shown["v.cpu_threshold"], shown["v.default_timezone"], shown["v.metrics_interval"]) == (
        "900",
        "Asia/../../etc",
        "60",
    )
    faults = re.findall(r"data-fault>.*?<span>(.+?)</span>", answer.text)
    assert len(faults) == 2
    assert (await config(hub, 1))["version"] == 0, "all or nothing"


async def test_a_thousand_is_never_taken_for_one(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        seen = fields((await client.get("/machines/1/settings")).text)
        wrong = seen | {"v.metrics_interval": "1.000", "add.key": "grams", "add.kind": "number", "add.value": "1,000"}
        answer = await send(client, "/machines/1/settings", wrong)
    assert answer.status_code == 422
    shown = fields(answer.text)
    assert (shown["v.metrics_interval"], shown["add.key"], shown["add.value"]) == ("1.000", "grams", "1,000")
    faults = re.findall(r"data-fault>.*?<span>(.+?)</span>", answer.text)
    assert faults == [f"“{typed}” could mean 1000 or 1.0: write it as one of these." for typed in ("1.000", "1,000")]
    assert (await config(hub, 1))["version"] == 0, "all or nothing"


async def test_who_changed_the_fleet_is_known_however_many_machines_were_changed_since(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LOOK_BACK", 2)
    async with hub.of("admin") as client:
        await client.patch("/api/v2/config", json={"cpu_threshold": 85})
        for value in (50, 51, 52):
            await client.patch("/api/v2/rvms/1/config", json={"memory_threshold": value})
    fleet = await rows.changed_last(hub.context.store, None)
    assert {key: actor for key, (actor, *_) in fleet.items()} == {"cpu_threshold": f"user:{hub.users['admin']}"}
    assert set(await rows.changed_last(hub.context.store, 1)) == {"cpu_threshold", "memory_threshold"}
    assert set(await rows.changed_last(hub.context.store, 2)) == {"cpu_threshold"}


async def test_somebody_else_saved_first_and_nothing_typed_is_lost(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        seen = fields((await client.get("/machines/1/settings")).text)
        async with hub.of("admin") as other:
            await other.patch("/api/v2/rvms/1/config", json={"cpu_threshold": 85, "memory_threshold": 60})
        mine = seen | {"v.cpu_threshold": "70", "v.metrics_interval": "60"}
        answer = await send(client, "/machines/1/settings", mine)
        assert answer.status_code == 409
        assert "admin set this to 85\u202f% while you were editing." in answer.text
        assert "admin changed settings while you were editing." in answer.text
        again = fields(answer.text)
        assert (again["v.cpu_threshold"], again["v.metrics_interval"], again["v.memory_threshold"]) == (
            "70",
            "60",
            "60",
        )
        assert (await config(hub, 1))["values"]["cpu_threshold"] == 85
        assert (await send(client, "/machines/1/settings", again)).status_code == 303
    values = (await config(hub, 1))["values"]
    assert (values["cpu_threshold"], values["metrics_interval"], values["memory_threshold"]) == (70, 60, 60)


async def test_a_further_key_is_added_typed_kept_and_removed(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        seen = fields((await client.get("/machines/1/settings")).text)
        added = {"add.key": "confidence-threshold", "add.kind": "number", "add.value": "0,6"}
        assert (await send(client, "/machines/1/settings", seen | added)).status_code == 303
        page = (await client.get("/machines/1/settings")).text
        shown = fields(page)
        assert shown["v.confidence_threshold"] == "0.6"
        wrong = await send(client, "/machines/1/settings", shown | {"v.confidence_threshold": "high"})
        assert wrong.status_code == 422
        assert "Remove this setting" in page
        await send(client, "/machines/1/settings", shown | {"o.confidence_threshold": ""})
        assert "confidence_threshold" not in (await config(hub, 1))["values"]
        refused = await send(
            client, "/machines/1/settings", seen | {"version": "", "add.key": "api_token", "add.value": "x"}
        )
        assert refused.status_code == 422
        assert fields(refused.text)["add.key"] == "api_token"


def taken_over(rvm_id: int, errors: dict[str, str] | None, at: datetime, own: dict[str, Any] | None = None) -> Patch:
    """The machine has the first version, but for `errors`; `own`: what it sets itself."""
    values = {"config_version": 1, "config_errors": errors, "config_own": own}
    return Patch(MachineRow, rvm_id, values | {"config_applied_at": at, "updated_at": at}, must="id")


async def test_who_may_not_save_a_setting_is_not_offered_to_add_one(hub: ApiHub) -> None:
    for who, offered in (("admin", True), ("technician", False), ("viewer", False)):
        async with await browser(hub, who) as client:
            assert ("Add a setting" in (await client.get("/machines/1/settings")).text) is offered, who


async def test_wanted_and_run_are_shown_apart_with_what_the_machine_refused(hub: ApiHub) -> None:
    now = hub.context.clock()
    async with hub.of("admin") as admin:
        await admin.patch("/api/v2/rvms/1/config", json={"cpu_threshold": 85})
        async with hub.of("viewer") as viewer:
            page = (await viewer.get("/machines/1/settings")).text
            assert "Version 1 is wanted, the machine runs 0: it gets them when it reconnects." in page
            hub.context.announce.observe(
                *facts_of_hello(
                    rvm_id=1,
                    at=now,
                    epoch=1,
                    agent_version="1",
                    boot_id="b",
                    capabilities=(),
                    timezone=None,
                    hardware={
                        "model": "Orin <b>",
                        "deep": {"x": 1},
                        "hub_tls": {"mode": "pinned", "authority_until": "2036-11-27T17:30:00Z"},
                    },
                    config_version=0,
                    clock_offset_s=0.1,
                    ip=None,
                    simulated=False,
                )
            )
            hub.context.announce.observe(
                Observed(1, {"connection": "live", "connection_since": now, "connection_reason": None})
            )
            page = (await viewer.get("/machines/1/settings")).text
            assert "Version 1 is wanted, the machine runs 0." in page
            assert "Orin &lt;b&gt;" in page
            shown = html.unescape(page).partition("Hub's authority trusted until</dt><dd><bdi>")[2].partition("<")[0]
            assert shown == "28 Nov 2036 00:30 WIB"
            refused = {"cpu_threshold": "the environment sets it"}
            await hub.context.announce(taken_over(1, refused, now + timedelta(seconds=1)))
            page = (await viewer.get("/machines/1/settings")).text
        assert "The machine refused 1 setting: see below." in page
        assert "Refused by the machine: the environment sets it" in page


async def test_what_a_machine_refuses_is_shown_in_the_readers_language_and_counted_for_the_fleet(hub: ApiHub) -> None:
    now = hub.context.clock()
    why = {"cpu_threshold": "environment: cpu_threshold is set by the environment (RVM_CPU_THRESHOLD)."}
    async with await browser(hub) as english, await browser(hub, language="id") as indonesian:
        await english.patch("/api/v2/config", json={"cpu_threshold": 70})
        await hub.context.announce(taken_over(1, why, now))
        words = "sets it, and that has precedence (RVM_CPU_THRESHOLD)"
        assert words in (await english.get("/machines/1/settings")).text
        assert "yang didahulukan (RVM_CPU_THRESHOLD)" in (await indonesian.get("/machines/1/settings")).text
        assert "1 machine refuses a setting:" in (await english.get("/admin/settings")).text
        assert "1 mesin menolak pengaturan:" in (await indonesian.get("/admin/settings")).text
        await hub.context.announce(taken_over(2, why, now))
        assert "2 machines refuse settings:" in (await english.get("/admin/settings")).text


async def test_what_the_machines_file_sets_is_shown_as_such(hub: ApiHub) -> None:
    now, own = hub.context.clock(), {"cpu_threshold": 70.0, "metrics_interval": 60.0}
    why = {"metrics_interval": "environment: it is set there"}
    await hub.context.announce(
        Patch(
            MachineRow,
            1,
            {
                "config_version": 0,
                "config_errors": None,
                "config_own": own,
                "config_applied_at": now,
                "updated_at": now,
            },
            must="id",
        )
    )
    async with await browser(hub) as client:
        page = (await client.get("/machines/1/settings")).text
        assert "From the machine’s file: 70\u202f%" in page
        async with await browser(hub, language="id") as indonesian:
            assert "Dari berkas mesin: 70\u202f%" in (await indonesian.get("/machines/1/settings")).text
        assert (fields(page)["v.cpu_threshold"], fields(page)["o.cpu_threshold"]) == ("70", "")
        await send(client, "/machines/1/settings", fields(page) | {"v.metrics_interval": "20"})
        await hub.context.announce(taken_over(1, why, now, own))
        page = (await client.get("/machines/1/settings")).text
        assert (fields(page)["v.metrics_interval"], fields(page)["o.metrics_interval"]) == ("20", "own")
        assert "From the machine’s file: 1\u202fmin" in page, "what is in force, since the environment comes first"
        assert (await send(client, "/machines/1/settings", fields(page))).headers["location"].endswith("notice=nothing")


@pytest.mark.parametrize("path", ["/machines/1/settings", "/admin/settings"])
async def test_who_may_not_write_sees_it_locked_and_is_refused(hub: ApiHub, path: str) -> None:
    async with await browser(hub, "operator") as client:
        page = (await client.get(path)).text
        assert "<fieldset" in page
        assert "You need the role Administrator" in page
        assert (
            await send(client, path, fields(page) | {"v.cpu_threshold": "70", "o.cpu_threshold": "own"})
        ).status_code == 403
    assert (await config(hub, 1))["version"] == 0


async def test_a_new_name_and_site_are_taken_back_as_one(hub: ApiHub) -> None:
    async with await browser(hub) as client, await browser(hub, "operator") as other:
        given = {"name": "Lobby", "location_description": "Lantai 1", "tags": "solar", "place": "-6.2, 106.8"}
        saved = await client.post("/machines/1/rename", data=given)
        page = (await client.get(saved.headers["location"])).text
        assert '<input type="hidden" name="undo" value="1">' in page
        assert 'name="undo"' not in (await client.get("/machines/1/settings")).text
        assert (await other.post("/machines/1/rename", data={"undo": "1"})).status_code == 403
        back = await client.post("/machines/1/rename", data={"undo": "1"})
        assert back.headers["location"] == "/machines/1/settings?notice=renamed_back"
        page = (await client.get(back.headers["location"])).text
        assert "Taken back" in page
        assert 'name="undo"' not in page
    row = hub.context.fleet.machines[1].row
    assert (row.name, row.location_description, row.tags, row.latitude) == ("one", None, None, None)


async def test_nothing_newer_than_the_own_edit_is_taken_back(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        await client.post("/machines/1/rename", data={"name": "Lobby", "location_description": ""})
        await hub.context.announce(Patch(MachineRow, 1, {"name": "Aula"}))
        assert 'name="undo"' not in (await client.get("/machines/1/settings?notice=renamed")).text
        refused = await client.post("/machines/1/rename", data={"undo": "1"})
        assert refused.status_code == 409
        assert "nothing to undo" in refused.text
        await client.post("/machines/1/rename", data={"name": "Lobby", "location_description": ""})
        await hub.context.announce(Patch(MachineRow, 2, {"name": "Aula"}))
        taken = await client.post("/machines/1/rename", data={"undo": "1"})
        assert (taken.status_code, "Another machine has this name" in taken.text) == (409, True)
    assert hub.context.fleet.machines[1].row.name == "Lobby"


async def test_a_machine_is_renamed_and_a_taken_name_is_refused(hub: ApiHub) -> None:
    async with await browser(hub) as client:
        answer = await client.post("/machines/1/rename", data={"name": "two", "location_description": "Lantai 1"})
        assert answer.status_code == 409
        assert 'value="Lantai 1"' in answer.text
        answer = await client.post("/machines/1/rename", data={"name": "Lobby", "location_description": ""})
        assert answer.headers["location"] == "/machines/1/settings?notice=renamed"
        assert (await client.get("/machines/1/rename")).headers["location"] == "/machines/1/settings"
    assert hub.context.fleet.machines[1].row.name == "Lobby"
    async with await browser(hub, "operator") as client:
        assert (await client.post("/machines/1/rename", data={"name": "x"})).status_code == 403


async def test_tags_are_typed_with_commas_and_a_wrong_one_keeps_what_was_typed(hub: ApiHub) -> None:
    named = {"name": "one", "location_description": "Aula"}
    async with await browser(hub) as client:
        saved = await client.post("/machines/1/rename", data=named | {"tags": " Mall, Jakarta  Barat,"})
        assert saved.headers["location"] == "/machines/1/settings?notice=renamed"
        assert hub.context.fleet.machines[1].row.tags == ("jakarta barat", "mall")
        page = (await client.get("/machines/1/settings")).text
        assert 'name="tags" value="jakarta barat, mall"' in page
        ids = re.findall(r'\sid="(.*?)"', page)
        assert len(ids) == len(set(ids)), (
            "a label names the first: the field of tags had no name but for the head's list"
        )
        assert 'href="/?tag=jakarta%20barat"' in page
        refused = await client.post("/machines/1/rename", data=named | {"tags": "y" * 33 + ", mall"})
        assert refused.status_code == 422
        assert "Must be at most 10 tags" in refused.text or "Must be 1 to 32 visible characters" in refused.text
        assert f'value="{"y" * 33}, mall"' in refused.text
        await client.post("/machines/1/rename", data=named | {"tags": ""})
    assert hub.context.fleet.machines[1].row.tags is None


async def test_the_technician_does_not_reach_other_machines(hub: ApiHub) -> None:
    async with await browser(hub, "technician") as client:
        assert (await client.get("/machines/1/settings")).status_code == 200
        for path in ("settings", "zone", "release", "rename"):
            assert (await client.post(f"/machines/2/{path}", data={})).status_code == 404


def test_who_refuses_one_is_not_among_those_that_run_them() -> None:
    found = spread([machine(1, config_errors={"cpu_threshold": "too low"}), machine(2)])
    assert (found.total, found.same, found.errors) == (2, 1, [(1, "RVM 1")])
