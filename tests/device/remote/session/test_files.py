"""Files through a stream: real folders, and every way out of them that a file system knows."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from device.kernel.log import Log
from device.remote.folders import DeclaredFolders
from device.remote.rules.folders import PathRefusedError, Pin
from device.remote.service_user import ServiceUser
from device.remote.session import folder_files
from device.remote.session.files import FileServer
from device.texts import texts_in
from tests.support.device_streams import StreamPair, lease, served
from tests.support.until import until

LIMIT = 4 * 1024 * 1024
OURSELVES = ServiceUser("tester", os.geteuid(), os.getegid(), "/", "/bin/sh", drop=False)
"""Rights are another matter: tests/device/test_agent_file_rights.py."""


class Machine:
    """Folders of a machine, a secret beside them, and its file server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs, self.updates = root / "logs", root / "updates"
        for folder in (self.logs, self.updates, root / "outside"):
            folder.mkdir()
        self.secret = root / "outside" / "secret"
        self.secret.write_text("secret")
        self.said = io.StringIO()
        log = Log(texts_in("en"), "", {}, self.said)
        self.folders = DeclaredFolders([str(self.logs)], [str(self.updates)])
        self.folders.look()
        self.server = FileServer(self.folders, LIMIT, lambda: OURSELVES, log)

    @property
    def pin(self) -> Pin:
        return self.folders.pin(str(self.logs))

    @contextlib.asynccontextmanager
    async def asked(self, allow: tuple[str, ...] = ("files",), **args: Any) -> AsyncIterator[StreamPair]:
        async with served(self.server.serve, "file", args, lease(allow)) as (stream, task):
            yield stream
            if stream.refused or stream.was_reset or stream.finished:
                await task

    async def refusal(self, **args: Any) -> str:
        async with self.asked(**args) as stream:
            assert stream.refused is not None, stream.info
            assert stream.refused[1]
            return stream.refused[0]

    async def put(self, path: str, data: bytes, **more: Any) -> StreamPair:
        async with self.asked(op="put", path=path, size=len(data), **more) as stream:
            assert stream.info == {"limit": LIMIT}, stream.refused
            await stream.hub_send(data)
            await stream.hub_finish()
            await until(lambda: stream.finished or stream.was_reset)
        return stream


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.server.close()


async def test_a_file_comes_whole_and_from_where_one_wants(machine: Machine) -> None:
    whole = os.urandom(700_000)
    path = machine.logs / "sub" / "app log.bin"
    path.parent.mkdir()
    path.write_bytes(whole)
    async with machine.asked(op="get", path=str(path)) as stream:
        facts = {"size": len(whole), "mtime": int(path.stat().st_mtime), "name": "app log.bin", "offset": 0}
        assert stream.info == facts
        assert await stream.hub_read_all() == whole
    async with machine.asked(op="get", path=str(path), offset=600_000) as stream:
        assert await stream.hub_read_all() == whole[600_000:]
    async with machine.asked(op="get", path=str(path), offset=700_000) as stream:
        assert await stream.hub_read_all() == b""
    assert await machine.refusal(op="get", path=str(path), offset=700_001) == "invalid"
    assert "Siti (192.168.1.9) downloads" in machine.said.getvalue()


async def test_an_upload_is_there_whole_or_not_at_all(machine: Machine) -> None:
    data = os.urandom(300_000)
    path = machine.updates / "new.bin"
    async with machine.asked(op="put", path=str(path), size=len(data)) as stream:
        await stream.hub_send(data[:200_000])
        await until(lambda: not stream.untaken)
        assert not path.exists()
        await stream.hub_send(data[200_000:])
        await stream.hub_finish()
        await until(lambda: stream.finished)
    assert stream.controls == [{"saved": len(data), "sha256": hashlib.sha256(data).hexdigest()}]
    assert path.read_bytes() == data
    assert [found.name for found in machine.updates.iterdir()] == ["new.bin"]
    assert "has uploaded" in machine.said.getvalue()


async def test_an_upload_replaces_only_when_asked_to_and_keeps_the_files_mode(machine: Machine) -> None:
    path = machine.updates / "model.bin"
    path.write_bytes(b"old")
    path.chmod(0o640)
    assert await machine.refusal(op="put", path=str(path), size=3) == "exists"
    assert path.read_bytes() == b"old"
    await machine.put(str(path), b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    (machine.updates / "folder").mkdir()
    assert await machine.refusal(op="put", path=str(machine.updates / "folder"), size=3, overwrite=True) == "exists"


async def test_a_file_that_came_there_meanwhile_is_not_replaced(machine: Machine) -> None:
    path = machine.updates / "race"
    async with machine.asked(op="put", path=str(path), size=3) as stream:
        path.write_bytes(b"first")
        await stream.hub_send(b"abc")
        await stream.hub_finish()
        await until(lambda: stream.was_reset)
    assert stream.was_reset == "exists"
    assert path.read_bytes() == b"first"
    await until(lambda: [found.name for found in machine.updates.iterdir()] == ["race"])


@pytest.mark.parametrize("how", ["too much", "too little", "gone", "cancelled"])
async def test_an_upload_that_does_not_end_well_leaves_nothing(machine: Machine, how: str) -> None:
    path = machine.updates / "half"
    async with machine.asked(op="put", path=str(path), size=100) as stream:
        if how == "too much":
            await stream.hub_send(bytes(101))
            await until(lambda: stream.was_reset == "too_large")
        elif how == "too little":
            await stream.hub_send(bytes(99))
            await stream.hub_finish()
            await until(lambda: stream.was_reset == "invalid")
        else:
            await stream.hub_send(bytes(50))
            await until(lambda: not stream.untaken)
            if how == "gone":
                await stream.hub_reset()
    await until(lambda: list(machine.updates.iterdir()) == [])
    assert stream.controls == []


async def test_what_a_killed_agent_left_is_swept_with_the_next_upload(machine: Machine) -> None:
    old, young = machine.updates / ".rvm-upload-old", machine.updates / ".rvm-upload-young"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (1, 1))
    await machine.put(str(machine.updates / "new"), b"abc")
    assert sorted(found.name for found in machine.updates.iterdir()) == [".rvm-upload-young", "new"]


async def test_sizes_have_an_end(machine: Machine) -> None:
    big = machine.logs / "big"
    with big.open("wb") as file:
        file.truncate(LIMIT + 1)
    assert await machine.refusal(op="get", path=str(big)) == "too_large"
    assert await machine.refusal(op="put", path=str(machine.updates / "big"), size=LIMIT + 1) == "too_large"


def test_a_full_disk_is_reported_before_a_byte_is_sent(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_files, "KEEP_FREE", 2**62)
    with pytest.raises(PathRefusedError) as refused:
        folder_files.Incoming(machine.pin, ["x"], 1, overwrite=False)
    assert refused.value.code == "disk"
    assert list(machine.logs.iterdir()) == []


async def test_what_others_write_during_an_upload_is_looked_at_as_well(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uploads side by side each found room enough when they began."""
    async with machine.asked(op="put", path=str(machine.updates / "x"), size=100) as stream:
        assert stream.info is not None
        await stream.hub_send(bytes(50))
        await until(lambda: not stream.untaken)
        monkeypatch.setattr(folder_files, "KEEP_FREE", 2**62)
        await stream.hub_send(bytes(50))
        await until(lambda: stream.was_reset == "disk")
    await until(lambda: list(machine.updates.iterdir()) == [])


async def test_a_file_that_shrinks_while_it_is_read_is_reset(machine: Machine) -> None:
    path = machine.logs / "shrinks"
    path.write_bytes(bytes(3_000_000))
    async with machine.asked(op="get", path=str(path)) as stream:
        os.truncate(path, 10)
        with contextlib.suppress(Exception):
            await stream.hub_read_all()
    assert stream.was_reset == "changed"


async def test_a_listing_names_files_and_folders_and_nothing_else(machine: Machine) -> None:
    (machine.logs / "b.log").write_bytes(b"12345")
    (machine.logs / "sub").mkdir()
    (machine.logs / "link").symlink_to(machine.secret)
    os.mkfifo(machine.logs / "pipe")
    (machine.logs / ".rvm-upload-1").write_bytes(b"")
    async with machine.asked(op="list", path=str(machine.logs)) as stream:
        told = json.loads(await stream.hub_read_all())
    assert [(entry["name"], entry["kind"]) for entry in told] == [("sub", "folder"), ("b.log", "file")]
    assert told[1]["size"] == 5
    assert abs(told[1]["mtime"] - (machine.logs / "b.log").stat().st_mtime) <= 1
    assert stream.info == {
        "path": str(machine.logs), "count": 2, "truncated": False, "download": True, "upload": False,
    }  # fmt: skip
    async with machine.asked(op="list", path="") as stream:
        roots = json.loads(await stream.hub_read_all())
    assert roots == [
        {"name": str(machine.logs), "kind": "folder", "download": True, "upload": False},
        {"name": str(machine.updates), "kind": "folder", "download": False, "upload": True},
    ]


async def test_a_long_listing_is_cut_and_says_so(machine: Machine) -> None:
    for n in range(folder_files.MAX_LISTED + 1):
        (machine.logs / f"{n:063}").touch()
    async with machine.asked(op="list", path=str(machine.logs)) as stream:
        assert len(json.loads(await stream.hub_read_all())) == folder_files.MAX_LISTED
    assert stream.info is not None
    assert stream.info["truncated"] is True


async def test_every_way_out_of_the_folder_is_closed(machine: Machine) -> None:
    logs, updates = machine.logs, machine.updates
    for folder in (logs, updates):
        (folder / "link").symlink_to(machine.secret)
        (folder / "relative").symlink_to("../outside/secret")
        (folder / "away").symlink_to(machine.root / "outside")
        (folder / "proc").symlink_to("/proc/self")
        (folder / "chain").symlink_to("away")
        (folder / "dangling").symlink_to(machine.root / "outside" / "new")
    ways = [
        "link", "relative", "away/secret", "proc/environ", "proc/cwd", "chain/secret", "dangling",
        "../outside/secret", "./link", "..", "away/../link",
    ]  # fmt: skip
    for way in ways:
        assert await machine.refusal(op="get", path=f"{logs}/{way}") in ("not_declared", "not_found"), way
        put = await machine.refusal(op="put", path=f"{updates}/{way}", size=1, overwrite=True)
        assert put in ("not_declared", "exists"), way
        listed = await machine.refusal(op="list", path=f"{logs}/{way}")
        assert listed == "not_declared", way
    assert machine.secret.read_text() == "secret"
    assert sorted(found.name for found in (machine.root / "outside").iterdir()) == ["secret"]


async def test_download_folders_take_nothing_and_upload_folders_give_nothing(machine: Machine) -> None:
    (machine.updates / "given").write_bytes(b"x")
    assert await machine.refusal(op="get", path=str(machine.updates / "given")) == "not_declared"
    assert await machine.refusal(op="put", path=str(machine.logs / "new"), size=1) == "not_declared"
    for path in ("/etc/passwd", str(machine.secret), "", "/", 7, None):
        assert await machine.refusal(op="get", path=path) in ("not_declared", "invalid")


async def test_what_is_no_plain_file_is_not_even_opened(machine: Machine) -> None:
    os.mkfifo(machine.logs / "pipe")
    (machine.logs / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(machine.logs / "socket"))
        for name in ("pipe", "folder", "socket"):
            assert await machine.refusal(op="get", path=str(machine.logs / name)) == "not_found"
    assert await machine.refusal(op="get", path=str(machine.logs)) == "not_found"
    assert await machine.refusal(op="get", path=str(machine.logs / "absent")) == "not_found"


def test_a_file_exchanged_for_a_link_between_look_and_open_does_not_help(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine.logs / "file").write_text("harmless")
    real = os.stat

    def exchanged(path: Any, *args: Any, **more: Any) -> os.stat_result:
        facts = real(path, *args, **more)
        if path == "file":
            (machine.logs / "file").unlink()
            (machine.logs / "file").symlink_to(machine.secret)
        return facts

    monkeypatch.setattr(os, "stat", exchanged)
    with pytest.raises(PathRefusedError) as refused:
        folder_files.opened_file(machine.pin, ["file"], LIMIT)
    assert refused.value.code == "not_declared"


async def test_a_declared_folder_is_the_one_that_was_there_at_the_start(machine: Machine) -> None:
    """Renamed, and another one, or a link, put in its place; and a folder above it exchanged for a link."""
    (machine.logs / "file").write_text("harmless")
    machine.logs.rename(machine.root / "moved")
    assert await machine.refusal(op="get", path=str(machine.logs / "file")) == "not_found"
    machine.logs.mkdir()
    assert await machine.refusal(op="list", path=str(machine.logs)) == "folder_changed"
    machine.logs.rmdir()
    machine.logs.symlink_to(machine.root / "moved")
    assert await machine.refusal(op="get", path=str(machine.logs / "file")) == "folder_changed"
    machine.logs.unlink()
    (machine.root / "moved").rename(machine.logs)
    async with machine.asked(op="get", path=str(machine.logs / "file")) as stream:
        assert await stream.hub_read_all() == b"harmless"
    aside = machine.root.with_name("aside")
    machine.root.rename(aside)
    machine.root.symlink_to(aside)
    assert await machine.refusal(op="get", path=str(machine.logs / "file")) == "folder_changed"
    assert await machine.refusal(op="put", path=str(machine.updates / "new"), size=1) == "folder_changed"


async def test_a_folder_declared_by_a_link_is_where_the_link_led_at_the_start(machine: Machine) -> None:
    link, later = machine.root / "link", machine.root / "later"
    link.symlink_to(machine.logs)
    (machine.logs / "file").write_text("harmless")
    folders = DeclaredFolders([str(link), str(later)], [])
    folders.look()
    server = FileServer(folders, LIMIT, lambda: OURSELVES, Log(texts_in("en"), "", {}, io.StringIO()))
    link.unlink()
    link.symlink_to(machine.root / "outside")
    async with served(server.serve, "file", {"op": "get", "path": f"{link}/file"}) as (stream, _):
        assert await stream.hub_read_all() == b"harmless"
    later.mkdir()
    async with served(server.serve, "file", {"op": "list", "path": str(later)}) as (stream, _):
        assert await stream.hub_read_all() == b"[]"
    server.close()


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"op": "delete", "path": "/x"},
        {"op": ["get"]},
        {"op": "put", "path": "UP/x"},
        {"op": "put", "path": "UP/x", "size": -1},
        {"op": "put", "path": "UP/x", "size": "9"},
        {"op": "put", "path": "UP/x", "size": True},
        {"op": "get", "path": "LOG/x", "offset": -1},
        {"op": "get", "path": "LOG/x", "offset": 1.5},
    ],
)
async def test_senseless_arguments_are_invalid(machine: Machine, args: dict[str, Any]) -> None:
    if isinstance(path := args.get("path"), str):
        args = {**args, "path": path.replace("UP", str(machine.updates)).replace("LOG", str(machine.logs))}
    assert await machine.refusal(**args) == "invalid"


async def test_a_session_without_files_gets_none(machine: Machine) -> None:
    async with machine.asked(("terminal", "ports"), op="list", path="") as stream:
        assert stream.refused is not None
        assert stream.refused[0] == "not_allowed"
