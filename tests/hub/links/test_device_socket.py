"""`/ws/device` from the upgrade to the end, over real sockets: who may in, what is answered, how it closes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import websockets

from hub.links import socket as device_socket
from hub.links.links import Links
from hub.log_format import TextLines
from protocol import messages as m
from tests.support.hub_people import MachineKey
from tests.support.hub_process import HubHere, hub_here
from tests.support.machine_client import MachineClient
from tests.support.until import until


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubHere]:
    async with hub_here(tmp_path, device_frames_per_second=0) as here:
        yield here


@pytest_asyncio.fixture
async def key(hub: HubHere) -> MachineKey:
    return await hub.add_machine("Lobby")


def raw(hub: HubHere, **options: Any) -> Any:
    return websockets.connect(hub.websocket_url + "/ws/device", proxy=None, compression=None, **options)


def bearer(key: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {key}"}, "subprotocols": ["myrvm.v2"]}


async def close_code(socket: Any) -> int:
    await asyncio.wait_for(socket.wait_closed(), 60)
    return int(socket.close_code)


@pytest.mark.parametrize("wrong", ["nonsense", "", "rvmk_AAAAAAAA_" + "x" * 40, "rvmu_AAAAAAAA_" + "x" * 40])
async def test_a_wrong_key_is_answered_401_before_the_upgrade(hub: HubHere, key: MachineKey, wrong: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with raw(hub, **bearer(wrong)):
            pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["status"] == 401
    assert len(hub.context[Links]) == 0


async def test_the_keys_prefix_with_another_secret_is_a_wrong_key(hub: HubHere, key: MachineKey) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with raw(hub, **bearer(key.api_key[:-1] + ("a" if key.api_key[-1] != "a" else "b"))):
            pass
    assert refused.value.response.status_code == 401


async def test_hello_is_answered_with_welcome_in_the_named_subprotocol(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        welcome = await machine.say_hello()
        assert machine.socket.subprotocol == "myrvm.v2"
        assert (welcome.protocol, welcome.config.version, welcome.config.values) == (2, 0, {})
        assert welcome.live_interval == 0
        assert hub.context.fleet.machines[key.id].connection == "live"
        await until(lambda: hub.context.fleet.machines[key.id].row.boot_id == "boot-1")


async def test_a_client_without_headers_authenticates_by_its_first_frame(hub: HubHere, key: MachineKey) -> None:
    async with raw(hub, subprotocols=["myrvm.v2"]) as socket:
        machine = MachineClient(socket, key, authenticated=False)
        await machine.say(m.Auth(token=key.api_key, rvm_id=key.device_id))
        await machine.say_hello()
        assert hub.context[Links].get(key.id) is not None


@pytest.mark.parametrize("rvm_id", [999, "another", None])
async def test_a_first_frame_with_a_wrong_key_or_machine_closes_4401(
    hub: HubHere, key: MachineKey, rvm_id: int | str | None
) -> None:
    token = key.api_key if rvm_id is not None else "rvmk_AAAAAAAA_wrong"
    async with raw(hub, subprotocols=["myrvm.v2"]) as socket:
        await MachineClient(socket, key, authenticated=False).say(m.Auth(token=token, rvm_id=rvm_id))
        assert await close_code(socket) == 4401


async def test_without_any_credential_it_closes_4401_in_time(
    hub: HubHere, key: MachineKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_socket, "AUTH_TIMEOUT_S", 0.05)
    async with raw(hub, subprotocols=["myrvm.v2"]) as socket:
        assert await close_code(socket) == 4401


async def test_a_known_machine_that_says_nothing_closes_4400(
    hub: HubHere, key: MachineKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_socket, "HELLO_TIMEOUT_S", 0.05)
    async with raw(hub, **bearer(key.api_key)) as socket:
        assert await close_code(socket) == 4400


@pytest.mark.parametrize(("members", "code"), [({"protocol": 1}, 4426), ({"device_id": "somebody-else"}, 4403)])
async def test_a_hello_that_may_not_be_is_named_and_closed(
    hub: HubHere, key: MachineKey, members: dict[str, Any], code: int
) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        hello: dict[str, Any] = {
            "protocol": 2, "device_id": key.device_id, "agent_version": "1", "boot_id": "b", "capabilities": [],
            "status": "active", "config_version": 0, "time": "2026-11-23T13:00:00Z",
        }  # fmt: skip
        await machine.say(m.Hello(**{**hello, **members}))
        error = json.loads(await machine.socket.recv())
        assert (error["type"], error["message"].split(":")[0]) == ("error", next(iter(members)))
        assert await close_code(machine.socket) == code
        assert hub.context[Links].get(key.id) is None


async def test_a_client_of_another_subprotocol_closes_4426(hub: HubHere, key: MachineKey) -> None:
    async with raw(
        hub, additional_headers=bearer(key.api_key)["additional_headers"], subprotocols=["myrvm.v9"]
    ) as socket:
        assert await close_code(socket) == 4426


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x00\x01", 1003), ("not json", 4400), ("[]", 4400), ('{"no":"type"}', 4400), ('{"type":"metrics"', 4400),
        ('{"type":"auth","token":"again"}', 4400), ("[" * 30000, 4400), ('{"type":"x","n":' + "9" * 5000 + "}", None),
        ('{"type":"metrics","seq":1,"samples":[{"timestamp":1,"x":"' + "y" * 70000 + '"}]}', 1009),
    ],
)  # fmt: skip
async def test_a_broken_frame_ends_the_link_with_its_own_code_and_no_traceback(
    hub: HubHere, key: MachineKey, frame: str | bytes, code: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        await machine.socket.send(frame)
        if code is not None:
            assert await close_code(machine.socket) == code
        else:
            assert json.loads(await machine.socket.recv())["type"] == "error"
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    ("frame", "code", "said"),
    [
        ('{"type":"dance"}', "unsupported", "dance"),
        ('{"type":"status","status":"broken","seq":1}', "invalid", "status"),
        ('{"type":"status","status":"active","seq":-1}', "invalid", "seq"),
        ('{"type":"metrics","seq":0,"samples":[{"timestamp":1},{"timestamp":2}]}', "invalid", "seq"),
        ('{"type":"metrics","seq":5,"samples":[{"timestamp":1795420800,"cpu_usage":200}]}', "invalid", "cpu_usage"),
        ('{"type":"metrics","seq":5,"samples":[{"timestamp":"soon"}]}', "invalid", "samples[0].timestamp"),
        (
            '{"type":"timezone","timezone":"Asia/Jakarta","timestamp":"x","sync_method":"manual"}',
            "invalid", "timestamp",
        ),
    ],
)  # fmt: skip
async def test_a_wrong_message_is_named_and_the_link_lives(
    hub: HubHere, key: MachineKey, frame: str, code: str, said: str
) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        await machine.socket.send(frame)
        error = await machine.hear(m.Error)
        assert error.code == code
        assert said in error.message
        await machine.samples(5.0, seq=9)
        assert (await machine.hear(m.MetricsAck)).seq in (5, 9)


async def test_the_newest_link_wins_and_the_older_ones_goodbye_changes_nothing(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as older:
        await older.say_hello()
        async with MachineClient.connect(hub.websocket_url, key) as newer:
            await newer.say_hello()
            assert await older.closed() == 4409
            await newer.samples(4.0, seq=1)
            await newer.hear(m.MetricsAck)
            one = hub.context.fleet.machines[key.id]
            assert (one.connection, one.linked, one.close_reason) == ("live", True, None)
            assert hub.context[Links].get(key.id) is not None


async def test_bye_is_offline_at_once_with_its_reason(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        await machine.say(m.Bye(reason="reboot"))
        one = hub.context.fleet.machines[key.id]
        await until(lambda: one.connection == "offline")
        assert one.connection_reason == "reboot"


async def test_a_replaced_key_closes_the_link_4403_and_does_not_let_back_in(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        async with hub.client() as client:
            answer = await client.delete(f"/api/v2/rvms/{key.id}")
        assert answer.status_code == 204
        assert await machine.closed() == 4403
    with pytest.raises(websockets.InvalidStatus):
        async with raw(hub, **bearer(key.api_key)):
            pass


async def test_a_restarting_hub_says_when_to_come_back_and_closes_1012(hub: HubHere, key: MachineKey) -> None:
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello()
        assert hub.context[Links].send_restarting(5.0) == 1
        least, most = (await machine.hear(m.Restarting)).reconnect_in
        assert 0 <= least < most
        assert await machine.closed() == 1012
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with raw(hub, **bearer(key.api_key)):
            pass
    assert refused.value.response.status_code == 503
    assert "Retry-After" in refused.value.response.headers


async def test_text_from_a_machine_never_reaches_the_log_raw_and_its_key_never_at_all(
    hub: HubHere, key: MachineKey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "myrvm")
    async with MachineClient.connect(hub.websocket_url, key) as machine:
        await machine.say_hello(agent_version="1\n\x1b[31mERROR hub: forged")
        await machine.say(m.Error(code="e\nforged", message="\x1b[2J"))
        await machine.samples(1.0, seq=1)
        await machine.hear(m.MetricsAck)
    form = TextLines(with_time=False)
    lines = [form.format(record) for record in caplog.records if record.name.startswith("myrvm")]
    assert any("forged" in line for line in lines)
    assert not [line for line in lines if "\n" in line or "\x1b" in line or key.api_key in line]


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"])
async def test_one_machines_odd_facts_take_no_page_away(hub: HubHere, key: MachineKey, end: str) -> None:
    """The ends of its certificates, at the calendar's edge."""
    odd = {"hub_tls": {"mode": "pinned", "client_certificate_until": end, "authority_until": end}}
    async with MachineClient.connect(hub.websocket_url, key) as machine, hub.client() as admin:
        await machine.say_hello(hardware=odd)
        await until(lambda: hub.context.fleet.machines[key.id].row.hardware == odd)
        pages = ("/api/v2/rvms", "/", "/map", f"/machines/{key.id}", f"/machines/{key.id}/settings")
        assert {path: (await admin.get(path)).status_code for path in pages} == dict.fromkeys(pages, 200)
