"""Bar 49: forms that nobody should send, by sockets, to a hub of its own: 4xx each, little memory, no blocked loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.support.hostile_forms import CORPUS, FORM, MIB, HostileForm, Repeated, file
from tests.support.hub_process import HubProcess, hub_process

MOST_MORE: int = 20 * 10**6
LONGEST_BLOCK_S = 0.1
AT_ONCE = 4


async def send(hub: HubProcess, client: httpx.AsyncClient, form: HostileForm, rvm_id: int) -> int:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in form.pieces:
            yield piece

    headers = {"Content-Type": form.content_type} if form.content_type else {}
    address = f"/api/v2/rvms/{rvm_id}/backup/upload"
    while True:
        with contextlib.suppress(httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            answer = await client.post(address, content=pieces(), headers=headers)
            if answer.status_code not in (429, 503):
                return answer.status_code
            await asyncio.sleep(0.05)  # the pause of a client that was refused
            continue
        return 0  # the hub closed the connection while we were still sending


async def test_forms_that_nobody_should_send_cost_little(tmp_path: Path) -> None:
    async with hub_process(tmp_path, device_frames_per_second=0) as hub:
        key = await hub.add_machine("Lobby")
        async with hub.client(key.api_key) as client:
            assert await send(hub, client, HostileForm("warm", FORM, [file(bytes(MIB))]), key.id) == 400
            before, most = hub.memory_bytes(), 0
            codes: dict[str, int] = {}
            places = asyncio.Semaphore(AT_ONCE)

            async def one(form: HostileForm) -> None:
                async with places:
                    codes[form.name] = await send(hub, client, form, key.id)

            async def watch() -> None:
                nonlocal most
                while True:
                    most = max(most, hub.memory_bytes())
                    await asyncio.sleep(0.02)  # how often its memory is read

            watching = asyncio.create_task(watch())
            endless = HostileForm("a file that breaks off", FORM, Repeated(file(b"")[:-2], bytes(65536), 1024))
            await asyncio.gather(*(one(form) for form in (*CORPUS, endless) * 2))
            watching.cancel()
        assert {name: code for name, code in codes.items() if not (400 <= code < 500 or code == 0)} == {}
        assert most - before <= MOST_MORE, f"{(most - before) / 1e6:.1f} MB more"
        assert hub.longest_block_s <= LONGEST_BLOCK_S
        assert "Traceback" not in hub.log
        left = [path for path in (hub.settings.data_dir / "objects").rglob("*") if path.is_file()]
        assert left == []
