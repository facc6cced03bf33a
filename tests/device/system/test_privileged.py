"""What the bus does not permit, the privileged service does: the real bus, the real daemon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from device.system import systemd
from device.system.bus import HELP, NotPermittedError, SystemBusError
from device.system.privileged import PrivilegedBus, request
from device.system.systemd import SystemTimezone
from tests.support.privileged_daemon import ALLOWED, PrivilegedProcess, privileged_process
from tests.support.system_bus import PrivateBus, needs_bus, private_bus

SECONDS = 30.0


@pytest.fixture
def service() -> Iterator[PrivilegedProcess]:
    with privileged_process() as made:
        made.start()
        yield made


@pytest_asyncio.fixture
async def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateBus]:
    async with private_bus(tmp_path / "bus") as running:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", running.address)
        yield running


@needs_bus
async def test_the_bus_is_the_way_where_it_permits(system: PrivateBus, service: PrivilegedProcess) -> None:
    bus = PrivilegedBus(str(service.socket))
    await systemd.restart(bus, "camera.service", SECONDS)
    await systemd.reboot(bus, SECONDS)
    assert [call[0] for call in system.calls] == ["RestartUnit", "Reboot"]
    assert service.calls == []
    assert await bus.way() == "bus"


@needs_bus
@pytest.mark.parametrize("mood", ["deny", "ask"])
async def test_what_the_bus_refuses_the_service_does(system: PrivateBus, service: PrivilegedProcess, mood: str) -> None:
    system.mood = mood
    bus = PrivilegedBus(str(service.socket))
    assert await bus.way() == "service"
    assert service.calls == []
    await systemd.restart(bus, "camera.service", SECONDS)
    await systemd.stop(bus, "panel.service", SECONDS)
    await systemd.start(bus, "panel.service", SECONDS)
    await systemd.reboot(bus, SECONDS)
    await SystemTimezone(bus, system.root).set("Asia/Makassar")
    assert [call.partition(" -- ")[2] for call in service.calls] == [
        "restart camera.service", "stop panel.service", "start panel.service", "reboot", "set-timezone Asia/Makassar",
    ]  # fmt: skip


@needs_bus
async def test_what_both_refuse_is_not_permitted_and_names_both(system: PrivateBus, service: PrivilegedProcess) -> None:
    system.mood = "deny"
    service.allow({**ALLOWED, "services": [], "verbs": ["restart"]})
    bus = PrivilegedBus(str(service.socket))
    assert await bus.way() == "none"
    with pytest.raises(NotPermittedError) as refused:
        await systemd.restart(bus, "camera.service", SECONDS)
    assert "camera.service is not among the allowed services" in str(refused.value)
    assert "AccessDenied" in str(refused.value)
    assert refused.value.code == "not_allowed"


@needs_bus
async def test_where_no_service_listens_the_refusal_is_the_buss(system: PrivateBus, tmp_path: Path) -> None:
    system.mood = "deny"
    for socket in ("", str(tmp_path / "none")):
        bus = PrivilegedBus(socket)
        with pytest.raises(NotPermittedError) as refused:
            await systemd.reboot(bus, SECONDS)
        assert str(refused.value) == f"{HELP} (org.freedesktop.DBus.Error.AccessDenied: mood deny)"
        assert await bus.way() == "none"


async def test_a_machine_whose_file_says_no_asks_nobody(service: PrivilegedProcess) -> None:
    bus = PrivilegedBus(str(service.socket), allowed=False)
    with pytest.raises(NotPermittedError, match="system_control is off"):
        await systemd.restart(bus, "camera.service", SECONDS)
    assert await bus.way() == "none"
    assert service.calls == []
    assert service.journal == ""


async def test_a_refusal_before_the_request_was_read_is_one_as_well(service: PrivilegedProcess) -> None:
    service.allow("{")
    for _ in range(30):
        with pytest.raises(NotPermittedError) as refused:
            await request(str(service.socket), "reboot", check=True)
        assert refused.value.code == "file"


async def test_what_fails_on_the_way_is_no_refusal(service: PrivilegedProcess) -> None:
    service.does("systemctl", "echo 'Job for camera.service failed.' >&2; exit 1")
    with pytest.raises(SystemBusError, match=r"failed: Job for camera.service failed\."):
        await request(str(service.socket), "restart", "camera.service")
    service.does("systemctl", "exec sleep 30")
    with pytest.raises(SystemBusError, match="timeout"):
        await request(str(service.socket), "restart", "camera.service", seconds=0.2)


@pytest.mark.parametrize("line", [b"", b"\n", b"[]\n", b"{\n", b"x" * 100_000])
async def test_an_answer_that_is_none(tmp_path: Path, line: bytes) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert json.loads(await reader.readline())["verb"] == "reboot"
        writer.write(line)
        writer.close()

    socket = str(tmp_path / "s")
    async with await asyncio.start_unix_server(answers, socket):
        with pytest.raises(SystemBusError, match=r"malformed|disconnected"):
            await request(socket, "reboot", check=True)
