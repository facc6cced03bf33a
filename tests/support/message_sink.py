"""Places that notifications are sent to: a real HTTP server and a real mail server, on this computer.

with http_sink() as sink:
    sink.answers += [500, 200]     # each once, then 200
    sink.address("json", "/hook")  # json://127.0.0.1:PORT/hook
    sink.received                  # what came, as (path, body)
"""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Received = tuple[str, dict[str, Any]]


@dataclass
class Sink:
    port: int = 0
    received: list[Any] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event = field(default_factory=threading.Event)
    """Cleared: no answer comes."""
    arrived: threading.Event = field(default_factory=threading.Event)

    def address(self, scheme: str, rest: str = "/") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{rest}"

    @property
    def texts(self) -> list[str]:
        """Titles of the messages, in the order in which they came."""
        return [str(body["title"]) for _, body in self.received]


@contextmanager
def http_sink() -> Iterator[Sink]:
    sink = Sink()
    sink.hang.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sink.received.append((self.path, json.loads(body)))
            sink.arrived.set()
            sink.hang.wait(60)
            self.send_response(sink.answers.pop(0) if sink.answers else 200)
            for name, value in sink.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    yield from _served(server, sink)


@contextmanager
def smtp_sink() -> Iterator[Sink]:
    """`received`: whole messages. `answers`: to RCPT, each once, then 250."""
    sink = Sink()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 sink\r\n")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    sink.received.append(b"".join(lines).decode())
                    self.wfile.write(b"250 taken\r\n")
                elif verb == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    code = sink.answers.pop(0) if verb == b"RCPT" and sink.answers else 250
                    self.wfile.write(f"{code} well\r\n".encode())

    yield from _served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler), sink)


def _served(server: socketserver.TCPServer, sink: Sink) -> Iterator[Sink]:
    sink.port = server.server_address[1]
    if isinstance(server, socketserver.ThreadingMixIn):
        server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()
