"""Trouble reaches a real server outside: once, after it lasted, whatever that server does; the address stays secret."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import pytest_asyncio

from db.notification_records import DestinationRow, NotificationRow
from db.queries import notifications as stored
from db.records import RemoteSessionRow, UserRow
from hub import notifications
from hub.kernel.sealing import Seal
from hub.model.changes import Patch, Put
from hub.notifications import rules, service
from hub.notifications.service import KEY_FILE, Notifier
from tests.support.api_hub import ApiHub, api_hub
from tests.support.message_sink import Sink, http_sink, smtp_sink
from tests.support.page_visitor import browser
from tests.support.until import until, until_answered

PLACES = "/api/v2/notification-destinations"
SECRET = "s3cret-path"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVERY_S", "SOON_S"):
        monkeypatch.setattr(service, name, 0.05)
    monkeypatch.setattr(rules, "FIRST_PAUSE_S", 0.05)


@pytest_asyncio.fixture
async def sending(tmp_path: Path, database_url: str) -> AsyncIterator[ApiHub]:
    """A hub that may send to this computer, once on each database."""
    found: dict[str, Any] = {
        "database_url": database_url, "notify_loopback": True, "public_url": "http://hub.test",
    }  # fmt: skip
    async with api_hub(tmp_path, **found) as made:
        await made.add_everybody()
        yield made


@pytest.fixture
def sink() -> Iterator[Sink]:
    with http_sink() as found:
        yield found


async def add(hub: ApiHub, address: str, **values: Any) -> dict[str, Any]:
    wanted = {"name": "Operators", "address": address, "after_s": 0, "kinds": ["machine"], **values}
    async with hub.of("admin") as admin:
        answer = await admin.post(PLACES, json=wanted)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


async def declare(hub: ApiHub, status: str, name: str = "one") -> None:
    async with hub.of(name) as machine:
        wanted = {"status": status, "reason": "belt <b>"}
        answer = await machine.patch(f"/api/v2/rvms/{hub.machines[name]}/status", json=wanted)
    assert answer.is_success, answer.text


async def outbox(hub: ApiHub) -> list[dict[str, Any]]:
    async with hub.of("admin") as admin:
        found: list[dict[str, Any]] = (await admin.get("/api/v2/notifications")).json()["data"]
    return found


async def test_trouble_and_its_end_arrive_once(sending: ApiHub, sink: Sink) -> None:
    place = await add(sending, sink.address("json", f"/{SECRET}"), language="id", kinds=["machine"])
    assert place["place"] == f"json://127.0.0.1:{sink.port}"
    await declare(sending, "error")
    await until(lambda: sink.received)
    path, body = sink.received[0]
    assert path == f"/{SECRET}"
    assert body["title"] == "one: Melaporkan gangguan"
    assert "Sejak" in body["message"]
    assert "WIB" in body["message"]
    assert body["message"].endswith(f"http://hub.test/machines/{sending.machines['one']}")
    await declare(sending, "active")
    await until(lambda: len(sink.received) == 2)
    assert sink.texts[1].startswith("one: selesai setelah")

    async def settled() -> bool:
        return [one["state"] for one in await outbox(sending)] == ["sent", "sent"]

    await until_answered(settled)
    assert [one["kind"] for one in await outbox(sending)] == ["over", "began"]
    assert len(sink.received) == 2


async def test_nobody_waits_for_a_person_who_was_disabled(sending: ApiHub) -> None:
    await declare(sending, "error")
    machine = sending.context.fleet.machines[sending.machines["one"]]
    await until(lambda: "error" in machine.troubles)
    async with sending.of("operator") as operator:
        assert (await operator.post(f"/api/v2/troubles/{machine.troubles['error'].id}/take")).is_success
    owner = {one.cause: one.owner for one in (await service._situation(sending.context)).troubles}
    await sending.context.announce(Patch(UserRow, sending.users["operator"], {"disabled_at": machine.row.updated_at}))
    after = {one.cause: one.owner for one in (await service._situation(sending.context)).troubles}
    assert (owner["error"], after["error"]) == ("operator", "")


async def test_an_address_is_kept_from_everybody(sending: ApiHub, sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    place = await add(sending, sink.address("json", f"/{SECRET}"))
    sink.answers += [500]
    async with sending.of("admin") as admin:
        seen = (await admin.post(f"{PLACES}/{place['id']}/test")).text
        for path in (PLACES, "/api/v2/notifications", "/api/v2/events?kind=notification"):
            seen += (await admin.get(path)).text
        assert (
            await admin.patch(f"{PLACES}/{place['id']}", json={"address": "json://other.example/" + SECRET})
        ).is_success
        seen += (await admin.get("/api/v2/events?kind=notification")).text
    async with await browser(sending, "admin") as client:
        for path in ("/admin/notifications", f"/admin/notifications/{place['id']}", "/events?kind=notification"):
            seen += (await client.get(path)).text
    assert "json://other.example" in seen
    assert SECRET not in seen + caplog.text
    (row,) = await stored.all_destinations(sending.context.store)
    assert SECRET not in str(row), "the database has it sealed"
    key = sending.context.settings.data_dir / KEY_FILE
    assert key.stat().st_mode & 0o777 == 0o600


async def test_what_was_restored_without_its_key_says_so(sending: ApiHub, sink: Sink) -> None:
    place = await add(sending, sink.address("json"))
    notifier = sending.context[Notifier]
    (sending.context.settings.data_dir / KEY_FILE).unlink()
    notifier.seal = Seal(sending.context.settings.data_dir / service.KEY_FILE)
    async with sending.of("admin") as admin:
        answer = (await admin.post(f"{PLACES}/{place['id']}/test")).json()["data"]
        assert not answer["sent"]
        assert KEY_FILE in answer["result"]
        assert (await admin.patch(f"{PLACES}/{place['id']}", json={"address": sink.address("json")})).is_success
        assert (await admin.post(f"{PLACES}/{place['id']}/test")).json()["data"]["sent"]


@pytest.mark.parametrize("key", ["", "half a key"])
async def test_a_key_that_is_broken_is_named(sending: ApiHub, sink: Sink, key: str) -> None:
    (sending.context.settings.data_dir / KEY_FILE).write_text(key)
    async with sending.of("admin") as admin:
        answer = await admin.post(PLACES, json={"name": "Operators", "address": sink.address("json")})
    assert answer.status_code == 503, answer.text
    assert KEY_FILE in answer.json()["detail"]


async def test_a_hub_killed_while_it_made_its_key_makes_it_anew(
    sending: ApiHub, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_file: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(os, "fsync", killed)
    seal = Seal(sending.context.settings.data_dir / service.KEY_FILE)
    with pytest.raises(SystemExit):
        seal._read_or_make()
    monkeypatch.undo()
    await add(sending, sink.address("json"))


async def test_what_changed_before_it_was_sent_gives_its_place_back(sending: ApiHub, sink: Sink) -> None:
    place = await add(sending, sink.address("json"))
    notifier = sending.context[Notifier]
    (to,) = await stored.all_destinations(sending.context.store)
    now = sending.context.clock()
    gone = NotificationRow(
        id=10_000, destination_id=to.id, key="began 1", kind="began", params={}, created_at=now, next_at=now
    )
    with anyio.fail_after(20):
        await notifier._send_one(to, gone)
    await declare(sending, "error")
    await until(lambda: sink.received)
    assert place["id"] == to.id


async def test_a_computer_without_room_for_a_process_stops_no_hub(
    sending: ApiHub, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await add(sending, sink.address("json"))

    async def full(*_command: Any, **_options: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as crowded:
        crowded.setattr(asyncio, "create_subprocess_exec", full)
        async with sending.of("admin") as admin:
            answer = (await admin.post(f"{PLACES}/{place['id']}/test")).json()["data"]
        assert answer["sent"] is False
        await declare(sending, "error")

        async def failed() -> bool:
            return any(one["error"] for one in await outbox(sending))

        await until_answered(failed)
    await until(lambda: sink.received)


@pytest.mark.parametrize(
    ("answers", "headers", "sentence"),
    [
        ([500], {}, "The server answered 500."),
        ([401], {}, "token or password"),
        ([429], {"Retry-After": "120"}, "fewer messages"),
        ([302], {"Location": "http://127.0.0.1:1/"}, "another address"),
    ],
)  # fmt: skip
async def test_a_test_message_has_a_true_result(
    sending: ApiHub, sink: Sink, answers: list[int], headers: dict[str, str], sentence: str
) -> None:
    place = await add(sending, sink.address("json"))
    sink.answers, sink.headers = [*answers], headers
    async with sending.of("admin") as admin:
        answer = (await admin.post(f"{PLACES}/{place['id']}/test")).json()["data"]
        assert answer["sent"] is False
        assert sentence in answer["result"]
        assert (await admin.get(PLACES)).json()["data"][0]["failing_since"] is not None
        sink.headers = {}
        answer = (await admin.post(f"{PLACES}/{place['id']}/test")).json()["data"]
        assert answer == {"sent": True, "result": f"json://127.0.0.1:{sink.port} took the test message."}
        assert (await admin.get(PLACES)).json()["data"][0]["failing_since"] is None
    assert len(sink.received) == 2, "a redirect is not followed"


async def test_mail_arrives_and_a_refused_one_says_why(sending: ApiHub) -> None:
    with smtp_sink() as sink:
        address = f"mailto://127.0.0.1:{sink.port}/?from=hub@example.com&to=budi@example.com"
        place = await add(sending, address)
        async with sending.of("admin") as admin:
            answer = (await admin.post(f"{PLACES}/{place['id']}/test")).json()["data"]
            assert answer["sent"], answer
            assert "Test message from MyRVM" in sink.received[0]
            sink.answers += [550]
            answer = (await admin.post(f"{PLACES}/{place['id']}/test")).json()["data"]
            assert answer["result"].endswith("The mail server refused it (550).")


async def test_a_dead_destination_delays_no_other(sending: ApiHub, sink: Sink) -> None:
    with http_sink() as hanging, http_sink() as failing:
        hanging.hang.clear()
        failing.answers += [500, 503]
        await add(sending, hanging.address("json"), name="Hanging")
        await add(sending, failing.address("json"), name="Failing")
        await add(sending, "json://127.0.0.1:9", name="Dead")
        await add(sending, sink.address("json"), name="Well")
        await declare(sending, "error")
        await until(lambda: sink.received)
        await until(lambda: len(failing.received) == 3)
        await until(lambda: hanging.received)
        assert len(sink.received) == 1
        assert sending.app.state.loop_lag.recent_s < 1.0, "nobody waits for them in the loop"

        async def given_up_soon() -> bool:
            rows = {one["destination_id"]: one for one in await outbox(sending)}
            return bool(rows[3]["attempts"] > 1 and rows[3]["error"] == "No connection to the server.")

        await until_answered(given_up_soon)


async def test_its_own_computer_is_no_destination_unless_the_operator_says_so(
    tmp_path: Path, sqlite_url: str, sink: Sink
) -> None:
    async with api_hub(tmp_path, database_url=sqlite_url) as hub:
        await hub.add_everybody()
        place = await add(hub, sink.address("json"))
        async with hub.of("admin") as admin:
            answer = (await admin.post(f"{PLACES}/{place['id']}/test")).json()["data"]
    assert "not allowed" in answer["result"]
    assert sink.received == []


async def test_who_waits_for_approval_is_sent(sending: ApiHub, sink: Sink) -> None:
    await add(sending, sink.address("json"), kinds=["approval"], after_s=3600)
    one = sending.machines["one"]
    now = sending.context.clock()
    asked = RemoteSessionRow(
        rvm_id=one, admin_id=sending.users["technician"], admin_name="technician", reason="camera is dark",
        status="requested", start_time=now, created_at=now, expires_at=now + timedelta(minutes=15),
    )  # fmt: skip
    await sending.context.announce(Put(asked))
    await until(lambda: sink.received)
    _, body = sink.received[0]
    assert body["title"] == "one: Remote access waits for approval"
    assert "technician asks for access. Reason: camera is dark" in body["message"]
    assert body["message"].endswith(f"/machines/{one}/remote")


async def test_an_administrator_sees_that_messages_do_not_arrive(sending: ApiHub) -> None:
    place = await add(sending, "json://127.0.0.1:9", name="Dead <b>")
    now = sending.context.clock()
    long_ago = now - service.FAILING_AFTER
    fault = {"failing_since": long_ago, "fault": {"code": "connection", "status": None}}
    await sending.context.announce(Patch(DestinationRow, place["id"], fault))
    await until(lambda: sending.context[Notifier].failing)
    async with await browser(sending, "admin") as client:
        page = (await client.get("/")).text
        assert "Notifications do not arrive" in page
        assert f"/admin/notifications/{place['id']}" in page
        assert "Dead &lt;b&gt;" in page
    async with await browser(sending, "operator") as client:
        assert "Notifications do not arrive" not in (await client.get("/")).text


async def test_what_is_wrong_is_named(sending: ApiHub) -> None:
    good = {"name": "Operators", "address": "tgram://1:a/2"}
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"address": "syslog://localhost"}, "address", "not known here"),
        ({"address": "jsons://a/?verify=no"}, "address", "“verify”"),
        ({"address": "nothing"}, "address", "tgram://TOKEN/CHAT_ID"),
        ({"timezone": "Asia/Nowhere"}, "timezone", "time zone"),
        ({"name": " "}, "name", "one line"),
        ({"after_s": -1}, "after_s", "0 to 86400"),
        ({"kinds": ["weather"]}, "kinds", "one of"),
        ({"quiet_from": 1440}, "quiet_from", "1439"),
        ({"quiet_from": 1320}, "quiet_to", "the other end"),
        ({"quiet_to": 360}, "quiet_from", "the other end"),
    ]
    async with sending.of("admin") as admin:
        for values, member, words in wrong:
            answer = await admin.post(PLACES, json={**good, **values})
            assert answer.status_code == 422, answer.text
            assert words in answer.json()["errors"][member][0], answer.text
        path = (await admin.post(PLACES, json=good)).headers["location"]
        assert (await admin.post(PLACES, json=good)).status_code == 409
        assert (await admin.patch(path, json={"address": "file:///etc/passwd"})).status_code == 422
        assert (await admin.patch(path, json={"quiet_from": 1320})).status_code == 422
        assert (await admin.patch(path, json={"quiet_from": 1320, "quiet_to": 360})).is_success
        assert (await admin.patch(path, json={"quiet_to": None})).status_code == 422
        assert (await admin.delete(path)).status_code == 204
        assert (await admin.delete(path)).status_code == 404
        assert (await admin.post(f"{PLACES}/1/test")).status_code == 404
    async with sending.of("operator") as operator:
        assert (await operator.get(PLACES)).status_code == 403


async def test_the_page_does_it_all_without_javascript(sending: ApiHub, sink: Sink) -> None:
    form = {
        "name": "Jakarta", "address": sink.address("json"), "language": "id", "timezone": "Asia/Makassar",
        "kinds": "machine", "after": "3", "remind_h": "4", "quiet_from": "22:00", "quiet_to": "06:30", "per_hour": "9",
        "also_over": "on",
    }  # fmt: skip
    async with await browser(sending, "admin") as client:
        refused = await client.post("/admin/notifications", data={**form, "address": "nothing"})
        assert refused.status_code == 422
        assert "tgram://TOKEN/CHAT_ID" in refused.text
        assert 'value="22:00"' in refused.text, "what was typed stays"
        assert (await client.post("/admin/notifications", data={**form, "after": "soon"})).status_code == 422
        made = await client.post("/admin/notifications", data=form)
        assert made.status_code == 303, made.text
        here = made.headers["location"].partition("?")[0]
        page = (await client.get(here)).text
        assert 'value="22:00"' in page
        assert str(sink.port) in page
        tested = await client.post(f"{here}/test", data={})
        assert "took the test message" in (await client.get(tested.headers["location"])).text
        assert (await client.post(here, data={**form, "address": "", "name": "Bali"})).status_code == 303
        for what in ("pause", "resume"):
            assert (await client.post(f"{here}/{what}", data={})).status_code == 303
        (row,) = await stored.all_destinations(sending.context.store)
        assert (row.name, row.after_s, row.remind_h, row.quiet_from, row.quiet_to) == ("Bali", 180, 4, 1320, 390)
        assert (row.kinds, row.tags, row.per_hour, row.disabled_at) == (("machine",), None, 9, None)
        removed = await client.post(f"{here}/remove", data={})
        assert "Nothing is sent there any more" in (await client.get(removed.headers["location"])).text
        assert (await client.get(here)).status_code == 404


def test_addresses_that_lead_inside_are_refused() -> None:
    refused = (
        "169.254.169.254 fe80::1 0.0.0.0 :: 224.0.0.1 100.100.100.200 fd00:ec2::254 ::ffff:169.254.169.254 240.0.0.1"
    )
    for address in refused.split():
        assert notifications.is_refused(address, loopback=True), address
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "not-an-address"):
        assert notifications.is_refused(address, loopback=False), address
    for address in ("10.0.0.5", "192.168.1.9", "8.8.8.8", "2606:4700::1111", "fd12::5"):
        assert not notifications.is_refused(address, loopback=False), address
    assert not notifications.is_refused("127.0.0.1", loopback=True)


def test_every_service_that_is_let_through_is_there() -> None:
    for scheme in rules.SERVICES:
        known = notifications.plugin(scheme)
        schemes = {known.protocol, known.secure_protocol} if isinstance(known.secure_protocol, str) else {
            known.protocol, *known.secure_protocol
        }  # fmt: skip
        assert scheme in schemes
        assert (f"{scheme}s" in schemes) == (scheme in rules.WITH_TLS)
    with pytest.raises(KeyError):
        notifications.plugin("syslog")
