"""The control page of an agent: there for sessions, or always by explicit setting; and what it is told."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from device.control_page.service import ControlPageService, Sources
from device.journal.keeper import StateKeeper
from device.kernel.log import Log
from device.kernel.worker_thread import WorkerThread
from device.remote.access import RunningSession
from device.remote.rules.sessions import JournaledSession
from device.settings import AgentSettings, load
from device.system.bus import SystemBus
from device.texts import texts_in
from protocol.messages import Sample


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def settings_of(folder: Path, **more: Any) -> AgentSettings:
    config = folder / "machine.json"
    values = {
        "myrvm_base_url": "https://hub.example", "api_token": "rvmk_ABCDEFGH_" + "0" * 32, "rvm_id": "rvm-7",
        "remote_access_port": free_port(), **more,
    }  # fmt: skip
    config.write_text(json.dumps(values))
    return load(config, {})


class Page(ControlPageService):
    """One agent's page; `settings` may change while it runs."""

    def __init__(self, settings: AgentSettings, running: list[RunningSession]) -> None:
        self.settings = settings
        self.disk = WorkerThread("disk")
        self.keeper = StateKeeper(settings.state_dir / "journal", self.disk, lambda: None)
        self.log = Log(texts_in("en"), settings.api_token, {}, io.StringIO())
        sample = Sample(timestamp="2026-11-23T20:00:00Z", cpu_usage=7.0)
        super().__init__(
            Sources(
                settings=lambda: self.settings, keeper=self.keeper, bus=SystemBus(allowed=False), disk=self.disk,
                boot="boot", is_linked=lambda: False, sample=lambda: sample, running=lambda: running,
            ),
            self.log,
        )  # fmt: skip

    async def text(self) -> str:
        port = int(self.settings.number("remote_access_port"))
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return (await client.get(f"http://127.0.0.1:{port}/")).text

    async def is_there(self) -> bool:
        try:
            await self.text()
        except httpx.ConnectError:
            return False
        return True


@pytest_asyncio.fixture
async def camera() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_it_shows_the_machine_its_visitors_and_how_its_services_are(tmp_path: Path, camera: int) -> None:
    silent, on_demand, own = free_port(), free_port(), free_port()
    settings = settings_of(
        tmp_path,
        remote_access_port=own,
        remote_access_ports=[camera, silent, on_demand, own],
        remote_services={str(on_demand): {"start": ["/bin/true"]}},
        services=["rvm-camera.service"],
    )
    session = JournaledSession(
        id=7, boot="boot", began="2026-11-23T20:00:00Z", duration=1800, held=None,  # type: ignore[arg-type]
        admin="Siti", admin_ip="192.168.1.9", reason="camera <dark>",
    )  # fmt: skip
    page = Page(settings, [RunningSession(session, time.monotonic(), time.monotonic() + 900)])
    await page.keeper.open()
    page.log("hub_error", code="x", message=settings.api_token)
    shown = await page.snapshot()
    assert shown.status == page.keeper.state.effective_status
    assert dict(shown.services) == {
        "rvm-camera.service": "unknown", str(camera): "answers", str(silent): "silent", str(on_demand): "on_demand",
    }  # fmt: skip
    await page.start()
    text = await page.text()
    assert "Machine rvm-7" in text
    assert "Siti from 192.168.1.9, 15 min left: camera &lt;dark&gt;" in text
    assert settings.api_token not in text
    assert "[api_token]" in text
    await page.stop()
    assert not await page.is_there()


async def test_without_an_explicit_bind_it_is_there_for_sessions_only(tmp_path: Path) -> None:
    page = Page(settings_of(tmp_path), [])
    await page.open()
    assert not await page.is_there()
    await page.start()
    assert await page.is_there()
    await page.stop()
    assert not await page.is_there()


async def test_bound_to_a_network_it_is_there_always(tmp_path: Path) -> None:
    page = Page(settings_of(tmp_path, remote_access_bind="0.0.0.0"), [])
    await page.open()
    await page.start()
    await page.stop()
    assert await page.is_there()
    await page.stop()


async def test_a_port_of_the_machines_own_service_is_left_to_it(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_of(tmp_path, remote_access_port=port, remote_services={str(port): {"start": ["/bin/true"]}})
    page = Page(settings, [])
    await page.start()
    assert not await page.is_there()
    await page.stop()


async def test_no_network_sees_it_while_remote_access_is_off(tmp_path: Path) -> None:
    page = Page(settings_of(tmp_path, admin_ips=["10.0.0.0/8"]), [])
    assert page._networks() == ["10.0.0.0/8"]
    page.settings = page.settings.overlaid({"remote_access_enabled": False}, {})
    assert page._networks() == []
