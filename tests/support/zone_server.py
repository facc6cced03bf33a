"""A server that speaks ip-api's JSON on 127.0.0.1: honest, slow, wrong, hostile, each mood a path of its own.

Raw sockets in threads: no web server would send what some of these do.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

HONEST: Final = {
    "status": "success", "country": "Indonesia", "countryCode": "ID", "region": "JK", "regionName": "Jakarta",
    "city": "Jakarta", "lat": -6.2, "lon": 106.8, "timezone": "Asia/Jakarta", "isp": "Example", "query": "203.0.113.9",
}  # fmt: skip
DRIP_S: Final = 0.05


def answer(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def honest(**changes: Any) -> bytes:
    """The honest answer with these members."""
    return answer(json.dumps({**HONEST, **changes}).encode())


MOODS: Final[dict[str, bytes]] = {
    "honest": honest(),
    "makassar": honest(timezone="Asia/Makassar", city="Makassar"),
    "spare": answer(b'{"status":"success","timezone":"Asia/Jayapura"}'),
    # wrong
    "fail": answer(b'{"status":"fail","message":"private range","query":"10.0.0.1"}'),
    "unknown_zone": honest(timezone="Mars/Olympus_Mons"),
    "no_zone": honest(timezone=None),
    "html": answer(b"<html><body>Sign in to the hotel's network</body></html>", "200 OK", "Content-Type: text/html"),
    "wrong_types": answer(b'{"status":"success","timezone":["Asia/Jakarta"],"city":5}'),
    "list": answer(b'["success"]'),
    "empty": answer(b""),
    "busy": answer(b'{"status":"success"}', "429 Too Many Requests", "X-Ttl: 40"),
    "broken": answer(b"oops", "500 Internal Server Error"),
    # hostile
    "traversal": honest(timezone="Asia/../../etc"),
    "shell": honest(timezone="Asia/Jakarta; reboot"),
    "newline": honest(timezone="Asia/Jakarta\n"),
    "absolute": honest(timezone="/etc/passwd"),
    "option": honest(timezone="--host=evil"),
    "escape": honest(city="\x1b[2JJakarta"),
    "bidi": honest(country="\u202eaisenodnI"),
    "endless_name": honest(city="J" * 5000),
    "nul": honest(city="Ja\u0000karta"),
    "nan": answer(b'{"status":"success","timezone":"Asia/Jakarta","lat":NaN}'),
    "deep": answer(b'{"status":"success","timezone":"Asia/Jakarta","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    "huge": answer(b'{"status":"success","timezone":"Asia/Jakarta","x":"' + b"x" * 10_000_000 + b'"}'),
    "too_short": answer(b'{"status":"success","timezone":"Asia/Jakarta"}', length=4000),
    "too_long": answer(b'{"status":"success","timezone":"Asia/Jakarta"}', length=10),
    "bomb": answer(b"\x1f\x8b\x08\x00" + b"\x00" * 60, "200 OK", "Content-Encoding: gzip"),
    "to_file": answer(b"", "302 Found", "Location: file:///etc/timezone"),
    "to_other_host": answer(b"", "302 Found", "Location: http://127.0.0.1:{port}/honest"),
    "to_itself": answer(b"", "307 Temporary Redirect", "Location: /to_itself"),
    "no_http": b"SSH-2.0-OpenSSH_9.2\r\n" * 10,
    "endless_headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000,
    "silent_end": b"",
}
DRIPS: Final = {"drip_body": answer(b"{" + b" " * 4000), "drip_headers": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 10_000}


class ZoneServer:
    """`asked` are the paths, in order, and `heads` the requests' heads."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.ends = threading.Event()
        self.instead: dict[str, str] = {}
        """From now on, this path is answered like that one."""

    def url(self, mood: str) -> str:
        return f"http://127.0.0.1:{self.port}/{mood}"

    def serve(self) -> None:
        while not self.ends.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self.ends.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            mood = head.split()[1].decode().strip("/")
            self.heads.append(head.decode())
            self.asked.append(mood)
            mood = self.instead.get(mood, mood)
            if mood in DRIPS:
                for byte in DRIPS[mood]:
                    if self.ends.wait(DRIP_S):
                        return
                    connection.sendall(bytes((byte,)))
            elif mood == "mute":
                self.ends.wait(60)
            else:
                connection.sendall(MOODS[mood].replace(b"{port}", str(self.port).encode()))


@contextlib.contextmanager
def zone_server() -> Iterator[ZoneServer]:
    server = ZoneServer()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)
