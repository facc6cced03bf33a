"""Sends a file to the hub as agents and simple clients do, and to the yardstick, from the load's core.

Two connections, one part each at a time and in two pieces, as an agent on a fast line has them; bytes go from the page
cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import mmap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bench import meter
from bench.bare_upload import PART
from bench.hub import Hub
from bench.processes import Server, on_core

CONNECTIONS = 2
PIECE = PART // 2
LOOK_S = 0.05
WAIT_S = 300.0
REST_S = 1.0
IDLE_SHARE = 0.05
_EDGE = "bench-edge"


class Sent(NamedTuple):
    """`mb_s` of the bytes sent; `whole_s` until the hub had compared the whole; CPU in seconds a GB; memory added."""

    mb_s: float
    cpu_s_gb: float
    rss_mib: float
    whole_s: float = 0.0


class UploadError(Exception):
    """The server refused; says what."""


class Payload:
    """A file, and the sum of each of its parts."""

    def __init__(self, file: Path) -> None:
        self.size = file.stat().st_size
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        self.data = memoryview(self._map)
        pieces = [self.data[at : at + PART] for at in range(0, self.size, PART)]
        self.parts = [(number, piece, hashlib.sha256(piece).hexdigest()) for number, piece in enumerate(pieces, 1)]


def to_bare(server: Server, payload: Payload, name: str) -> Sent:
    with _metered(server, payload.size) as found:
        _send_parts(server.port, f"/uploads/{name}/{{}}", {}, payload, PART)
        sent = found()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
    with contextlib.closing(connection):
        connection.request("DELETE", f"/uploads/{name}")
        _answer(connection)
    return sent


def to_hub(running: Hub, machine: int, payload: Payload, *, rests: bool = True) -> Sent:
    """By the agent's form: begun, sent, completed. `rests`: the next one waits for what follows in the background."""
    caller = _Caller(running, machine)
    backup = caller.call("POST", "/backup/start", {"backup_type": "full"})["backup_id"]
    caller.call("POST", f"/backups/{backup}/upload", {"backup_type": "full"})
    with _metered(running.server, payload.size) as found:
        _send_parts(running.server.port, f"{caller.folder}/backups/{backup}/parts/{{}}", caller.headers, payload, PIECE)
        sent = found()
    began = time.monotonic()
    body = {"parts": len(payload.parts), "size": payload.size}
    while caller.call("POST", f"/backups/{backup}/complete", body)["upload_status"] == "uploading":
        if time.monotonic() - began > WAIT_S:
            raise UploadError("the hub did not put it together")
        time.sleep(LOOK_S)
    whole_s = time.monotonic() - began
    if rests:
        rest(running.server)
    caller.remove(backup)
    return sent._replace(whole_s=whole_s)


def as_form(running: Hub, machine: int, payload: Payload) -> Sent:
    """By the simple clients' form: one multipart body, compared and kept when it is answered."""
    caller = _Caller(running, machine)
    head, tail = _form()
    with _metered(running.server, payload.size) as found, on_core(1):
        connection = http.client.HTTPConnection("127.0.0.1", running.server.port, timeout=WAIT_S)
        connection.putrequest("POST", f"{caller.folder}/backup/upload")
        for name, value in caller.headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Type", f"multipart/form-data; boundary={_EDGE}")
        connection.putheader("Content-Length", str(len(head) + payload.size + len(tail)))
        connection.endheaders(head)
        for at in range(0, payload.size, PART):
            connection.send(payload.data[at : at + PART])
        connection.send(tail)
        backup = json.loads(_answer(connection))["data"]["id"]
        connection.close()
        sent = found()
    rest(running.server)
    caller.remove(backup)
    return sent


def _form() -> tuple[bytes, bytes]:
    texts = f'--{_EDGE}\r\nContent-Disposition: form-data; name="backup_type"\r\n\r\nfull\r\n'
    file = 'Content-Disposition: form-data; name="file"; filename="a.tar"\r\nContent-Type: application/x-tar'
    return f"{texts}--{_EDGE}\r\n{file}\r\n\r\n".encode(), f"\r\n--{_EDGE}--\r\n".encode()


def rest(server: Server) -> None:
    """Waits until it does nothing more for what it was sent before: lists of files are read in the background."""
    ends, used = time.monotonic() + WAIT_S, meter.cpu_seconds(server.pids)
    while time.monotonic() < ends:
        time.sleep(REST_S)
        before, used = used, meter.cpu_seconds(server.pids)
        if used - before <= IDLE_SHARE * REST_S:
            return


class _Caller:
    """The machine itself, by its key."""

    def __init__(self, running: Hub, machine: int) -> None:
        self._port, self._token = running.server.port, running.seed.token
        self.folder = f"/api/v2/rvms/{running.seed.ids[machine]}"
        self.headers = {"Authorization": f"Bearer {running.seed.keys[machine]}", "Accept": "application/json"}

    def call(self, method: str, path: str, body: object) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_S)
        with contextlib.closing(connection):
            headers = {**self.headers, "Content-Type": "application/json"}
            connection.request(method, self.folder + path, json.dumps(body), headers)
            return json.loads(_answer(connection))["data"]

    def remove(self, backup: int) -> None:
        """As an administrator: what was sent is in nobody's way, neither on the disk nor in the page cache."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_S)
        with contextlib.closing(connection):
            headers = {**self.headers, "Authorization": f"Bearer {self._token}"}
            connection.request("DELETE", f"{self.folder}/backups/{backup}", headers=headers)
            _answer(connection)


def _send_parts(port: int, path: str, headers: dict[str, str], payload: Payload, piece: int) -> None:
    """Each part in pieces, as an agent sends them."""
    ahead = iter(payload.parts)
    lock = threading.Lock()

    def work(_number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        with contextlib.closing(connection), on_core(1):
            while True:
                with lock:
                    part = next(ahead, None)
                if part is None:
                    return
                number, data, digest = part
                for first in range(0, len(data), piece):
                    body, summed = data[first : first + piece], {**headers, "X-Content-SHA256": digest}
                    if len(body) < len(data):
                        summed["Content-Range"] = f"bytes {first}-{first + len(body) - 1}/{len(data)}"
                    connection.request("PUT", path.format(number), body, summed)
                    _answer(connection)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(work, range(CONNECTIONS)))


def _answer(connection: http.client.HTTPConnection) -> bytes:
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise UploadError(f"{answer.status}: {text[:300]!r}")
    return text


@contextlib.contextmanager
def _metered(server: Server, size: int) -> Iterator[Callable[[], Sent]]:
    """Calling it says what it cost since the block began; memory is looked at meanwhile."""
    before, pid = meter.rss_bytes(server.pids), server.pids
    most, ended = [before], threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_S):
            most[0] = max(most[0], meter.rss_bytes(pid))

    watcher = threading.Thread(target=look)
    cpu, began = meter.cpu_seconds(pid), time.monotonic()
    watcher.start()

    def found() -> Sent:
        gigabytes = size / 1e9
        seconds = time.monotonic() - began
        return Sent(1000 * gigabytes / seconds, (meter.cpu_seconds(pid) - cpu) / gigabytes, (most[0] - before) / 2**20)

    try:
        yield found
    finally:
        ended.set()
        watcher.join()
