"""Requests to the operating system over a real bus: obeyed, refused, hanging, with nobody there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from device.system import systemd
from device.system.bus import HELP, NotPermittedError, SystemBus, SystemBusError
from tests.support.system_bus import PrivateBus, needs_bus, private_bus

pytestmark = needs_bus


@pytest_asyncio.fixture
async def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateBus]:
    async with private_bus(tmp_path / "bus") as running:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", running.address)
        yield running


async def test_a_service_is_started_anew_and_its_end_is_waited_for(system: PrivateBus) -> None:
    await systemd.restart(SystemBus(), "camera.service", 5)
    assert system.calls == [["RestartUnit", "camera.service", "replace"]]


async def test_a_reboot_is_asked_for_without_a_password_window(system: PrivateBus) -> None:
    await systemd.reboot(SystemBus(), 5)
    assert system.calls == [["Reboot", False]]


@pytest.mark.parametrize("mood", ["deny", "ask"])
async def test_a_refusal_says_what_would_help(system: PrivateBus, mood: str) -> None:
    system.mood = mood
    with pytest.raises(NotPermittedError, match=HELP):
        await systemd.restart(SystemBus(), "camera.service", 5)
    with pytest.raises(NotPermittedError, match=HELP):
        await systemd.reboot(SystemBus(), 5)


@pytest.mark.parametrize(("mood", "name"), [("down", "failed"), ("fail", "Failed"), ("unknown", "NoSuchUnit")])
async def test_what_does_not_work_is_reported_by_its_own_word(system: PrivateBus, mood: str, name: str) -> None:
    system.mood = mood
    with pytest.raises(SystemBusError) as failed:
        await systemd.restart(SystemBus(), "camera.service", 5)
    assert failed.value.name.endswith(name)


@pytest.mark.parametrize("mood", ["hang", "never"])
async def test_what_hangs_ends_in_its_time(system: PrivateBus, mood: str) -> None:
    system.mood = mood
    started = time.monotonic()
    with pytest.raises(SystemBusError, match="timeout"):
        await systemd.restart(SystemBus(), "camera.service", 0.5)
    assert time.monotonic() - started < 20, "D-Bus itself would wait for 25 s"


async def test_when_it_is_switched_off_nothing_is_tried(system: PrivateBus) -> None:
    with pytest.raises(NotPermittedError, match="system_control"):
        await systemd.reboot(SystemBus(allowed=False), 5)
    assert system.calls == []


@pytest.mark.parametrize("address", ["unix:path=/nowhere/socket", "tcp:host=example", "nonsense", ""])
async def test_without_a_bus_nobody_may_do_it(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address or "unix:path=/nowhere/else")
    with pytest.raises(NotPermittedError, match="no system bus"):
        await systemd.reboot(SystemBus(), 5)


async def test_a_bus_that_hangs_up_or_never_speaks_is_a_failure_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[asyncio.StreamWriter] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.append(writer)
        if silent:
            await reader.read()
        writer.close()

    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/socket")
    server = await asyncio.start_unix_server(hear, tmp_path / "socket")
    async with server:
        silent = False
        with pytest.raises(NotPermittedError):
            await systemd.reboot(SystemBus(), 5)
        silent = True
        with pytest.raises(SystemBusError, match="timeout"):
            await systemd.reboot(SystemBus(), 0.3)
        for writer in kept:
            writer.close()


def test_the_own_service_is_known_from_the_kernels_word(tmp_path: Path) -> None:
    cgroup = tmp_path / "proc" / "self" / "cgroup"
    cgroup.parent.mkdir(parents=True)
    for text, name in [
        ("0::/system.slice/myrvm-agent.service\n", "myrvm-agent.service"),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service\n", None),
        ("1:name=systemd:/system.slice/myrvm-agent.service\n0::/\n", "myrvm-agent.service"),
    ]:
        cgroup.write_text(text)
        assert systemd.own_unit(tmp_path) == name


async def test_how_services_are_is_systemds_own_word(system: PrivateBus, tmp_path: Path) -> None:
    (tmp_path / "bus" / "states").write_text('{"camera.service": "active", "door.service": "failed"}')
    names = ["camera", "door.service", "ghost"]
    assert await systemd.states(SystemBus(), names, 5) == {
        "camera": "active", "door.service": "failed", "ghost": "not-found",
    }  # fmt: skip
    system.mood = "hang"
    with pytest.raises(SystemBusError, match="timeout"):
        await systemd.states(SystemBus(), names, 0.5)


ALL = ("reboot", "shutdown", "set-timezone", "set-ntp", "restart", "mount")


async def test_what_the_bus_permits_is_asked_without_doing_it(system: PrivateBus) -> None:
    permits = partial(systemd.permits, SystemBus(), ALL, seconds=5.0)
    assert await permits(is_root=False) == dict.fromkeys(ALL, "yes")
    system.mood = "deny"
    assert await permits(is_root=False) == dict.fromkeys(ALL, "no")
    system.mood = "ask"
    assert await permits(is_root=False) == dict.fromkeys(ALL, "password")
    system.permits(set_timezone="obey", manage_units="deny", CanReboot="obey")
    assert await permits(is_root=False) == {
        "reboot": "yes", "shutdown": "password", "set-timezone": "yes", "set-ntp": "password", "restart": "no",
        "mount": "no",
    }  # fmt: skip
    as_root = await permits(is_root=True)
    assert as_root == dict.fromkeys(ALL, "yes") | {"shutdown": "password"}, "services ask polkit about no root"
    assert system.calls == []


async def test_a_bus_that_answers_nothing_permits_nothing(system: PrivateBus, monkeypatch: pytest.MonkeyPatch) -> None:
    system.mood = "hang"
    found = await systemd.permits(SystemBus(), ALL, seconds=0.2, is_root=False)
    assert found == dict.fromkeys(ALL, "silent")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
    assert await systemd.permits(SystemBus(), ALL, seconds=5.0, is_root=True) == dict.fromkeys(ALL, "nobody")
