"""Files of a machine over REST: streamed, on record, refused in words. The machine is a stream of the test."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio

from db.queries.events import list_events
from hub.remote import files_api
from hub.remote.tunnel.registry import Tunnels
from hub.remote.tunnel.tunnel import TunnelError
from tests.support.machine_pages import SESSION, PagesHub, pages_hub
from tests.support.until import PATIENCE_S


@dataclass
class FileStream:
    """What the machine sends (`chunks`, `words`), and what it got."""

    info: dict[str, Any] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)
    breaks: TunnelError | None = None
    got: bytes = b""
    finished: bool = False
    resets: list[str] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)
    word_when_finished: bool = False

    async def send(self, data: bytes) -> None:
        self.got += data
        self.first.set()

    async def receive(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        if self.breaks is not None:
            raise self.breaks
        return b""

    async def finish(self) -> None:
        self.finished = True
        if self.word_when_finished:
            self.words.append({"saved": len(self.got), "sha256": hashlib.sha256(self.got).hexdigest()})

    async def controls(self) -> dict[str, Any] | None:
        return self.words.pop(0) if self.words else None

    def reset(self, code: str, message: str = "") -> None:
        self.resets.append(code)


@dataclass
class FileTunnels:
    stream: FileStream | TunnelError
    asked: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)

    async def open(self, session_id: int, kind: str, args: dict[str, Any]) -> FileStream:
        self.asked.append((session_id, kind, args))
        if isinstance(self.stream, TunnelError):
            raise self.stream
        return self.stream


@pytest_asyncio.fixture
async def pages(tmp_path: Path, sqlite_url: str) -> AsyncIterator[PagesHub]:
    async with pages_hub(tmp_path, database_url=sqlite_url) as made:
        made.lease()
        yield made


def machine(pages: PagesHub, stream: FileStream | TunnelError) -> FileTunnels:
    made = FileTunnels(stream)
    pages.hub.context[Tunnels] = cast(Tunnels, made)
    return made


async def ask(pages: PagesHub, what: str, name: str = "operator", **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=pages.url, timeout=30) as client:
        return await client.post(
            f"/api/v2/rvms/{pages.rvm_id}/remote-access/files/{what}",
            headers={"Authorization": f"Bearer {pages.hub.tokens[name]}", **more.pop("headers", {})},
            **more,
        )


async def recorded(pages: PagesHub) -> list[tuple[str, dict[str, Any]]]:
    rows = await list_events(pages.hub.context.store, limit=50)
    return [(row.code, dict(row.params)) for row in rows if row.code.startswith("remote.file")]


async def test_a_folder_is_listed(pages: PagesHub) -> None:
    listing = b'[{"name":"a.log","kind":"file","size":3,"mtime":1.5},{"name":"d","kind":"folder"}]'
    stream = FileStream({"path": "/var/log", "upload": True}, [listing[:10], listing[10:]])
    tunnels = machine(pages, stream)
    answer = await ask(pages, "list", json={"path": "/var/log"})
    data = answer.json()["data"]
    assert [entry["name"] for entry in data["entries"]] == ["a.log", "d"]
    assert (data["path"], data["upload"], data["truncated"]) == ("/var/log", True, False)
    assert tunnels.asked == [(SESSION, "file", {"op": "list", "path": "/var/log"})]
    assert stream.resets == ["done"]


@pytest.mark.parametrize("chunks", [[b"not json"], [b'{"name":1}'], [b"x" * 1024 * 1024] * 5])
async def test_a_listing_that_is_none_is_a_refusal_and_no_fault_of_ours(pages: PagesHub, chunks: list[bytes]) -> None:
    machine(pages, FileStream({}, chunks))
    assert (await ask(pages, "list", json={})).status_code == 409


async def test_a_file_streams_out_as_an_attachment(pages: PagesHub) -> None:
    stream = FileStream({"size": 10, "name": 'a"b\u00e9\r\n.log'}, [b"01234", b"56789"])
    machine(pages, stream)
    answer = await ask(pages, "download", json={"path": "/var/log/x"})
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"0123456789", "10")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith('attachment; filename="a_b___.log"; filename*=UTF-8')
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_what_moves_is_on_record_once(pages: PagesHub) -> None:
    machine(pages, FileStream({"size": 10, "name": "x"}, [b"0123456789"]))
    await ask(pages, "download", json={"path": "/var/log/x"})
    machine(pages, FileStream(word_when_finished=True))
    await ask(pages, "upload?path=/opt/f", content=b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    down = {"session_id": SESSION, "path": "/var/log/x", "size": 10}
    up = {"session_id": SESSION, "path": "/opt/f", "size": 3, "sha256": digest}
    both = [("remote.file_downloaded", down), ("remote.file_uploaded", up)]
    assert sorted(await recorded(pages), key=lambda line: line[0]) == both
    machine(pages, FileStream(breaks=TunnelError("session_over")))
    assert (await ask(pages, "upload?path=/opt/g", content=b"abc")).status_code == 409
    unsure = [params for _, params in await recorded(pages) if params["path"] == "/opt/g"]
    assert unsure == [{"session_id": SESSION, "path": "/opt/g", "size": 3, "confirmed": False}]
    machine(pages, FileStream(breaks=TunnelError("disk")))
    assert (await ask(pages, "upload?path=/opt/h", content=b"abc")).status_code == 409
    assert len(await recorded(pages)) == 3


async def test_a_download_goes_on_where_it_broke_off(pages: PagesHub) -> None:
    tunnels = machine(pages, FileStream({"size": 10, "name": "x"}, [b"789"]))
    answer = await ask(pages, "download", json={"path": "/var/log/x", "offset": 7})
    assert (answer.content, answer.headers["content-length"]) == (b"789", "3")
    assert tunnels.asked[0][2]["offset"] == 7


async def test_a_download_that_breaks_off_is_seen_to_be_incomplete(pages: PagesHub) -> None:
    machine(pages, FileStream({"size": 10, "name": "x"}, [b"012"], breaks=TunnelError("link_lost")))
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(pages, "download", json={"path": "/x"})


async def test_an_upload_larger_than_any_other_body_streams_in(pages: PagesHub) -> None:
    stream = FileStream(word_when_finished=True)
    tunnels = machine(pages, stream)
    size = 5 * 1024 * 1024

    async def parts() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await asyncio.wait_for(stream.first.wait(), PATIENCE_S)  # it has begun although most is still here
        yield b"y" * (size - 1000)

    headers = {"Content-Length": str(size)}
    answer = await ask(pages, "upload?path=/opt/in/f&overwrite=true", content=parts(), headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"] == {
        "path": "/opt/in/f",
        "size": size,
        "sha256": hashlib.sha256(stream.got).hexdigest(),
    }
    assert tunnels.asked[0][2] == {"op": "put", "path": "/opt/in/f", "size": size, "overwrite": True}
    assert len(stream.got) == size
    assert stream.finished


async def test_an_upload_says_its_size(pages: PagesHub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"x"

    tunnels = machine(pages, FileStream())
    assert (await ask(pages, "upload?path=/f", content=parts())).status_code == 400
    monkeypatch.setattr(files_api, "MAX_FILE_BYTES", 10)
    assert (await ask(pages, "upload?path=/f", content=b"x" * 11)).status_code == 413
    assert tunnels.asked == []


@pytest.mark.parametrize(
    ("code", "status"),
    [("not_declared", 422), ("not_found", 422), ("exists", 422), ("invalid", 422), ("too_large", 409), ("disk", 409),
     ("changed", 409), ("no_rights", 409), ("folder_changed", 409),
     ("not_allowed", 409), ("no_tunnel", 503), ("timeout", 503), ("<b>\x1bodd", 409)],
)  # fmt: skip
async def test_a_refusal_of_the_machine_is_a_sentence(pages: PagesHub, code: str, status: int) -> None:
    machine(pages, TunnelError(code, "<script>"))
    for what, more in (
        ("list", {"json": {"path": "/x"}}), ("download", {"json": {"path": "/x"}}),
        ("upload?path=/x", {"content": b"x"})
    ):  # fmt: skip
        answer = await ask(pages, what, **more)
        assert answer.status_code == status, answer.text
        assert "script" not in answer.text
        assert "\x1b" not in answer.json()["message"]


async def test_only_the_holder_of_a_session_that_allows_files_from_an_allowed_address(pages: PagesHub) -> None:
    tunnels = machine(pages, FileStream({"size": 0}))
    for name in ("admin", "technician"):
        assert (await ask(pages, "list", name, json={})).status_code == 409
    assert (await ask(pages, "list", "viewer", json={})).status_code == 403
    assert (await ask(pages, "list", json={"session_id": SESSION + 1})).status_code == 409
    pages.lease(allow=("terminal", "ports"))
    assert (await ask(pages, "list", json={})).status_code == 409
    pages.lease()
    pages.let_in("10.0.0.0/8")
    assert (await ask(pages, "list", json={})).status_code == 403
    assert tunnels.asked == []
