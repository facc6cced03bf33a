"""A machine's key that floods: every operation it may call and write by answers 429, and nothing it makes grows on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from db.queries.events import EventFilters, list_events
from db.records import EventRow
from hub.kernel.objects.place import PART_SIZE
from hub.links.links import Links
from hub.model import actors, budgets
from hub.model.access import ACTIONS
from hub.model.budgets import MIB, MachineBudget
from hub.routes import OPERATIONS
from hub.web.api.operation import Operation
from hub.web.auth.limits import ReadBudget
from hub.web.auth.origin import SAFE_METHODS
from tests.support.api_hub import ApiHub
from tests.support.until import until_answered

AT_ONCE = 4
WRITTEN_BY_MACHINES = [
    operation
    for operation in OPERATIONS
    if operation.method not in SAFE_METHODS and operation.action is not None and "machine" in ACTIONS[operation.action]
]


def test_machines_write_by_these_operations() -> None:
    """A new one has to be thought of: what it costs is a line of the audit log unless it says otherwise."""
    assert {operation.name for operation in WRITTEN_BY_MACHINES} == {
        "change_status", "upload_metrics", "answer_command", "settings_applied", "report_timezone",
        "start_remote_access", "stop_remote_access", "extend_remote_access", "start_backup", "upload_backup",
        "begin_backup_upload", "put_backup_part", "complete_backup_upload",
    }  # fmt: skip


def address_of(operation: Operation) -> str:
    path = operation.path.replace("{id}", "1").replace("{command_id}", "none")
    return "/api" + path.replace("{backup_id}", "1").replace("{number}", "1")


def body_of(operation: Operation) -> Any:
    body: dict[str, Any] = dict(operation.example or {})
    return body | {"device_id": "1"} if "device_id" in body else body


@pytest.mark.parametrize("operation", WRITTEN_BY_MACHINES, ids=lambda operation: operation.name)
@pytest.mark.parametrize("short_of", ["frames", "what is kept"])
async def test_a_flood_of_any_operation_is_answered_429_with_retry_after(
    hub: ApiHub, operation: Operation, short_of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if operation.name == "put_backup_part" and short_of == "what is kept":
        return  # parts are held against the quota of backups, and a whole one is no request among others
    for name in ("LINES_AT_ONCE", "SAMPLES_AT_ONCE"):
        monkeypatch.setattr(budgets, name, AT_ONCE)
    monkeypatch.setattr(budgets, "SAMPLES_PER_S", 1.0)
    limited = {"frames_per_second": 1, "frames_at_once": AT_ONCE - 1} if short_of == "frames" else {}
    hub.context[Links].budget = MachineBudget(**{"frames_per_second": 1e6, "frames_at_once": 1e6, **limited})
    path, body = address_of(operation), body_of(operation)
    async with hub.of("one") as one, hub.of("two") as two, hub.of("admin") as admin:
        answers = [await one.request(operation.method, path, json=body) for _ in range(6 * AT_ONCE)]
        assert answers[0].status_code != 429
        # A busy computer sends so slowly that the last of them may be within its budget again.
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["Retry-After"].isdecimal()
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert "too often" in refused.json()["detail"]
        assert (await one.get("/api/v2/rvms/1/status")).status_code == 200, "reading is free"
        other = path.replace("/1/", "/2/")
        mine = body | {"device_id": "2"} if "device_id" in body else body
        assert (await two.request(operation.method, other, json=mine)).status_code != 429, "each has its own"
        assert (await admin.request(operation.method, path, json=body)).status_code != 429, "a person is no machine"


async def test_what_cannot_be_read_is_counted_as_well(hub: ApiHub) -> None:
    hub.context[Links].budget = MachineBudget(frames_per_second=1, frames_at_once=3)
    async with hub.of("one") as one:
        codes = [(await one.post("/api/v2/rvms/1/metrics", content=b"{")).status_code for _ in range(4)]
    assert codes == [415, 415, 415, 429]


async def test_a_body_counts_as_the_frames_it_would_be_on_the_link(hub: ApiHub) -> None:
    hub.context[Links].budget = MachineBudget(frames_per_second=1, frames_at_once=20)
    body = {"timestamp": "2026-11-23T13:05:09Z", "reasons": {f"{n}": "w" * 500 for n in range(1900)}}
    async with hub.of("one") as one:
        codes = [(await one.post("/api/v2/rvms/1/metrics", json=body)).status_code for _ in range(3)]
    assert codes == [201, 429, 429]


@pytest.mark.parametrize("boot_id", ["a\x1b[31m", "new\nline", "\x00"])
async def test_a_boot_with_control_characters_is_none(hub: ApiHub, boot_id: str) -> None:
    sample = {"timestamp": "2026-11-23T13:05:09Z", "boot_id": boot_id, "seq": 1}
    async with hub.of("one") as one:
        assert (await one.post("/api/v2/rvms/1/metrics", json=sample)).status_code == 422


@pytest.mark.parametrize("odd", [["list"], {"a": 1}, 7, None, True])
async def test_a_boot_that_is_no_text_is_none(hub: ApiHub, odd: Any) -> None:
    sample = {"timestamp": "2026-11-23T13:05:09Z", "boot_id": odd, "seq": 1}
    async with hub.of("one") as one:
        assert (await one.post("/api/v2/rvms/1/metrics", json=[sample])).status_code == 422


async def test_a_machine_fills_its_share_of_the_disk_and_no_more_and_one_line_reports_it(any_hub: ApiHub) -> None:
    rvm_id = any_hub.machines["one"]
    any_hub.context[Links].budget = MachineBudget(frames_per_second=0, mib_per_day=1)
    samples = [{"timestamp": f"2026-11-23T13:{n // 60:02}:{n % 60:02}Z"} for n in range(500)]
    stored = 0
    async with any_hub.of("one") as one:
        for _ in range(20):
            answer = await one.post(f"/api/v2/rvms/{rvm_id}/metrics", json=samples)
            stored += answer.json()["data"]["stored"] if answer.status_code == 201 else 0
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 60
    assert stored == MIB // (500 * budgets.ROW_BYTES) * 500
    context = any_hub.context
    for _ in range(3):
        await context[Links].dropped_events.record(
            context.announce, context.clock(), context[Links].budget.due(1e9, context.clock())
        )

    async def lines() -> list[EventRow]:
        return await list_events(context.store, EventFilters(codes=["machine.share_used_up"]), limit=10)

    await until_answered(lines)  # the hub's own turn may have taken it, and commit it now
    assert [(event.rvm_id, event.params) for event in await lines()] == [(rvm_id, {"mib_per_day": 1})]


async def test_whole_parts_of_a_backup_are_no_flood(hub: ApiHub) -> None:
    hub.context[Links].budget = MachineBudget(frames_per_second=1, frames_at_once=3)
    part, headers = bytes(PART_SIZE), {"X-Content-SHA256": "0" * 64}
    async with hub.of("one") as one:
        address = "/api/v2/rvms/1/backups/1/parts/1"
        whole = [(await one.put(address, content=part, headers=headers)).status_code for _ in range(6)]
        small = [(await one.put(address, content=b"x", headers=headers)).status_code for _ in range(6)]
    assert whole == [404] * 6
    assert small[-1] == 429


async def test_a_machines_requests_begin_one_after_the_other_and_hold_up_nobody_else(hub: ApiHub) -> None:
    before = hub.context[ReadBudget].turn(actors.machine(1))
    async with hub.of("one") as one, hub.of("two") as two, hub.of("admin") as admin:
        await before.acquire()
        behind = asyncio.ensure_future(one.post("/api/v2/rvms/1/metrics", json=[]))
        assert (await one.get("/api/v2/rvms/1/status")).status_code == 200, "reading has no turns"
        assert (await two.post("/api/v2/rvms/2/metrics", json=[])).status_code == 422
        assert (await admin.patch("/api/v2/rvms/1/status", json={})).status_code == 422
        assert not behind.done()
        before.release()
        assert (await behind).status_code == 422
