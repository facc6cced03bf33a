"""A hub's endpoints of resumable backups, in this process: parts in memory, each delivery counted, moods on demand."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

PART_SIZE = 8 * 1024 * 1024
PIECE_SIZE = PART_SIZE // 2
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")
_PATH = re.compile(r".*/api/v2/rvms/([^/]+)/backups/(\d+)/(upload|complete|archive|parts/(\d+))\Z")


class FakeBackup:
    """What the hub has of one backup. `deliveries` counts parts that came whole, by number; `pieces`: what is there of
    those that did not; `replaced`: what other bodies of that number took the place of."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.pieces: dict[int, bytes] = {}
        self.deliveries: Counter[int] = Counter()
        self.replaced: dict[int, bytes] = {}
        self.begun: list[dict[str, Any]] = []
        self.summary: dict[str, Any] | None = None

    @property
    def archive(self) -> bytes:
        assert self.summary is not None
        return b"".join(self.parts[number] for number in range(1, self.summary["parts"] + 1))


class FakeBackups:
    """`refusals`: statuses (with their code) that the next requests of a kind (upload, parts, complete, archive) get.
    `cut_after`: the next PUT is reset after so many bytes of its body. `lose_answers`: so many PUTs are kept
    and reset instead of answered. `parents` are those an incremental may build on; None: any."""

    def __init__(self) -> None:
        self.backups: dict[int, FakeBackup] = {}
        self.refusals: dict[str, list[tuple[int, str]]] = {}
        self.cut_after: int | None = None
        self.lose_answers = 0
        self.parents: set[int] | None = None
        self.finishing = 0
        self.cut_download_after: int | None = None
        """The next answer with a longer archive breaks off after so many bytes."""
        self.ranges: list[int] = []
        self.keys: set[str] = set()
        self.paths: list[str] = []
        self.in_flight = self.most_in_flight = self.puts = 0
        self.together = 1
        """So many parts are waited for behind the first, 5 s at most."""
        self.answers_together = 1
        """So many whole bodies of parts are waited for before one is answered, 1 s at most."""
        self.unanswered: list[int] = []
        self.most_unanswered = 0
        """Bytes that a cut would have lost, at most."""
        self.bytes_received = 0
        self.piece_size = PIECE_SIZE
        self.lock = threading.Lock()
        self.requests = threading.Condition(self.lock)
        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (BackupHandler,), {"hub": self})
        )
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def backup(self, backup_id: int) -> FakeBackup:
        return self.backups.setdefault(backup_id, FakeBackup())

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(
        self, kind: str, backup_id: int, number: int, body: bytes, sha256: str, span: str | None
    ) -> tuple[int, dict[str, Any]]:
        with self.lock:
            backup = self.backup(backup_id)
            if self.refusals.get(kind):
                status, code = self.refusals[kind].pop(0)
                return status, {"success": False, "message": f"refused: {code}", "code": code}
            if kind == "upload":
                return self._begun(backup, json.loads(body))
            if kind == "complete":
                return self._completed(backup, json.loads(body))
            if span is not None:
                found = _RANGE.match(span)
                assert found is not None, span
                first, last, size = map(int, found.groups())
                assert self.piece_size < PART_SIZE
                assert last - first + 1 == len(body)
                body = backup.pieces.pop(number, b"")[:first] + body
                if last + 1 < size:
                    backup.pieces[number] = body
                    self.requests.notify_all()
                    return 202, {"success": True, "data": {"number": number}}
            if hashlib.sha256(body).hexdigest() != sha256:
                return 409, {"success": False, "message": "other bytes", "code": "part_differs"}
            if backup.parts.get(number, body) != body:
                backup.replaced[number] = backup.parts[number]
            backup.parts[number] = body
            backup.deliveries[number] += 1
            self.requests.notify_all()
            return 200, {"success": True, "data": {"number": number}}

    def _begun(self, backup: FakeBackup, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        backup.begun.append(body)
        parent = body.get("parent_id")
        if parent is not None and self.parents is not None and parent not in self.parents:
            return 409, {"success": False, "message": "that parent is gone", "code": "parent_missing"}
        parts = [
            {"number": number, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for number, data in sorted(backup.parts.items())
        ]
        status = "completed" if backup.summary is not None else "uploading"
        data = {"rvm_id": 1, "part_size": PART_SIZE, "parts": parts, "max_bytes": 2**40, "upload_status": status}
        begun = [asked["number"] for asked in body.get("begun", ()) if self._has_begun(backup, asked)]
        return 200, {"success": True, "data": {**data, "piece_size": self.piece_size, "begun": begun}}

    def _has_begun(self, backup: FakeBackup, asked: dict[str, Any]) -> bool:
        there = backup.pieces.get(asked["number"], b"")[: self.piece_size]
        return hashlib.sha256(there).hexdigest() == str(asked["sha256"])

    def _completed(self, backup: FakeBackup, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.finishing > 0:
            self.finishing -= 1
            return 202, {"success": True, "data": {"upload_status": "uploading"}}
        if any(number not in backup.parts for number in range(1, body["parts"] + 1)):
            return 409, {"success": False, "message": "some are unknown", "code": "parts_missing"}
        backup.summary = body
        whole = hashlib.sha256(backup.archive).hexdigest()
        if body["sha256"] not in ("", whole) or body["size"] != len(backup.archive):
            backup.summary = None
            return 409, {"success": False, "message": "it is not what was sent", "code": "archive_damaged"}
        return 200, {"success": True, "data": {"upload_status": "completed", "sha256": whole}}


class BackupHandler(http.server.BaseHTTPRequestHandler):
    """One connection to the hub of its class."""

    hub: FakeBackups
    protocol_version = "HTTP/1.1"
    is_counted = False

    def do_GET(self) -> None:
        found = _PATH.match(self.path)
        assert found is not None, self.path
        if self.hub.refusals.get("archive"):
            status, code = self.hub.refusals["archive"].pop(0)
            self._send(status, {"success": False, "message": f"refused: {code}", "code": code})
            return
        archive = self.hub.backup(int(found[2])).archive
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        rest, cut = archive[start:], self.hub.cut_download_after
        if cut is not None and len(rest) > cut:
            self.hub.cut_download_after = None
        else:
            cut = None
        self.hub.ranges.append(start)
        self.send_response(206)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[:cut])
        if cut is not None:
            self._reset()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        with self.hub.requests:
            self.hub.puts += 1
            self.hub.in_flight += 1
            self.is_counted = True
            self.hub.most_in_flight = max(self.hub.most_in_flight, self.hub.in_flight)
            self.hub.requests.notify_all()
            if self.hub.puts > 1:
                self.hub.requests.wait_for(lambda: self.hub.most_in_flight >= self.hub.together, 5)
        try:
            self._serve()
        finally:
            self._leave()

    def _leave(self) -> None:
        """Before it is answered: whoever reads the answer may send the next at once."""
        with self.hub.lock:
            self.hub.in_flight -= self.is_counted
            self.is_counted = False

    def _serve(self) -> None:
        found = _PATH.match(self.path)
        assert found is not None, self.path
        self.hub.keys.add(self.headers["Authorization"])
        self.hub.paths.append(self.path)
        kind, number = found[3].partition("/")[0], int(found[4] or 0)
        body = self._body(kind)
        if body is None:
            self._reset()
            return
        if kind == "parts":
            self._hold(len(body))
        sha256, span = self.headers.get("X-Content-SHA256", ""), self.headers.get("Content-Range")
        status, answer = self.hub.answer(kind, int(found[2]), number, body, sha256, span)
        if kind == "parts" and self.hub.lose_answers > 0:
            self.hub.lose_answers -= 1
            self._reset()
            return
        self._send(status, answer)

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self._leave()
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _hold(self, size: int) -> None:
        with self.hub.requests:
            self.hub.unanswered.append(size)
            self.hub.most_unanswered = max(self.hub.most_unanswered, sum(self.hub.unanswered))
            self.hub.requests.notify_all()
            self.hub.requests.wait_for(lambda: len(self.hub.unanswered) >= self.hub.answers_together, 1)
            self.hub.unanswered.remove(size)

    def _body(self, kind: str) -> bytes | None:
        left = int(self.headers["Content-Length"])
        pieces = []
        received = 0
        while left:
            piece = self.rfile.read1(min(left, 65536))
            if not piece:
                return None
            pieces.append(piece)
            left -= len(piece)
            received += len(piece)
            with self.hub.lock:
                self.hub.bytes_received += len(piece)
                cut = kind == "parts" and self.hub.cut_after is not None and received >= self.hub.cut_after
                if cut:
                    self.hub.cut_after = None
                self.hub.requests.notify_all()
            if cut:
                return None
        return b"".join(pieces)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""


@contextlib.contextmanager
def fake_backups() -> Iterator[FakeBackups]:
    hub = FakeBackups()
    thread = threading.Thread(target=hub.serve, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.end()
        thread.join()
