"""A hub that speaks only HTTP, as one behind a proxy that does not pass WebSocket: it keeps samples by (boot, seq)."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any


class FakeRest:
    """Runs in a thread; `port` is free. `refuse` maps a sample's seq to a status for every batch that holds it."""

    def __init__(self) -> None:
        self.kept: Counter[tuple[str, int]] = Counter()
        self.upgrades = 0
        self.refuse: dict[int, int] = {}
        self.keys: set[str] = set()
        rest = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                rest.upgrades += "Upgrade" in self.headers
                self._answer(200, {"success": True, "data": {}})

            def do_POST(self) -> None:
                body: list[dict[str, Any]] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                rest.keys.add(self.headers["Authorization"])
                refused = [rest.refuse[sample["seq"]] for sample in body if sample["seq"] in rest.refuse]
                if refused:
                    self._answer(refused[0], {"success": False, "message": "no"})
                    return
                rest.kept.update((sample["boot_id"], sample["seq"]) for sample in body)
                self._answer(201, {"success": True, "data": {}})

            def _answer(self, status: int, body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def fake_rest() -> Iterator[FakeRest]:
    rest = FakeRest()
    thread = threading.Thread(target=rest.serve, daemon=True)
    thread.start()
    try:
        yield rest
    finally:
        rest.end()
        thread.join()
