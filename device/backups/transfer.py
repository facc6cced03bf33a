"""The hub's backup endpoints, as the child calls them: small chunks, at the gate's rate, resumable.

Blocking; one connection a thread, never the control link (law 5)."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from device.backups.control import Gate, HubAddress
from protocol.version import PRODUCT_VERSION

ANSWER_LEAST_S: Final = 60.0
"""For an answer: the kernel's rest of a part may take this long on the narrowest uplink."""
SEND_BUFFER: Final = 128 * 1024
"""The kernel's, towards the hub: on a narrow uplink the control link waits behind it."""
MAX_ANSWER: Final = 1024 * 1024
_JSON: Final = "application/json"
_BROKEN: Final = (OSError, http.client.HTTPException)


class TransferBrokenError(Exception):
    """No answer: unknown whether the hub has it."""


class HubAnswer(NamedTuple):
    """`data` of a success; `code` and `message` of a problem."""

    status: int
    data: Mapping[str, Any]
    code: str
    message: str
    retry_after_s: float

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Piece(NamedTuple):
    """`data` of a part of `size` bytes, from its byte `first` on."""

    data: memoryview
    first: int
    size: int


class HubTransfer:
    """For one thread. Calls raise TransferBrokenError without an answer."""

    def __init__(self, hub: HubAddress, gate: Gate) -> None:
        parts = urlsplit(hub.base_url)
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_tls else 80)
        self._folder = f"{parts.path.rstrip('/')}/api/v2/rvms/{quote(hub.device_id, safe='')}"
        self._headers = {
            "Authorization": f"Bearer {hub.api_token}",
            "Accept": _JSON,
            "User-Agent": f"myrvm-agent/{PRODUCT_VERSION}",
        }
        self._timeout = hub.timeout
        self._trust = hub.trust
        self._gate = gate
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: object = None) -> HubAnswer:
        """`path` is below the machine's own."""
        content = b"" if body is None else json.dumps(body).encode()
        with self._broken():
            connection = self._opened()
            headers = {**self._headers, "Content-Type": _JSON} if content else self._headers
            connection.request(method, self._folder + path, content or None, headers)
            return self._answer()

    def put(self, path: str, piece: Piece, sha256: str, sent: Callable[[int], None]) -> HubAnswer:
        """`sent` gets the bytes so far. An early refusal ends it."""
        data = piece.data
        with self._broken():
            connection = self._opened()
            connection.putrequest("PUT", self._folder + path, skip_accept_encoding=True)
            for name, value in {**self._headers, "Content-Type": "application/octet-stream"}.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(data)))
            connection.putheader("X-Content-SHA256", sha256)
            if len(data) < piece.size:
                span = f"bytes {piece.first}-{piece.first + len(data) - 1}/{piece.size}"
                connection.putheader("Content-Range", span)
            connection.endheaders()
            done = 0
            while done < len(data) and not self._is_refused(connection):
                size = self._gate.grant(len(data) - done)
                connection.send(data[done : done + size])
                done += size
                sent(done)
            answer = self._answer()
            if done < len(data):
                self.close()
            return answer

    def opened(self, path: str, offset: int) -> http.client.HTTPResponse:
        """A GET from a byte on; the caller reads the body."""
        with self._broken():
            connection = self._opened()
            connection.request("GET", self._folder + path, None, {**self._headers, "Range": f"bytes={offset}-"})
            return connection.getresponse()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextlib.contextmanager
    def _broken(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            self.close()
            raise TransferBrokenError(str(error) or type(error).__name__) from error

    def _opened(self) -> http.client.HTTPConnection:
        if self._connection is None:
            timeout = max(self._timeout, ANSWER_LEAST_S)
            if self._is_tls:
                made: http.client.HTTPConnection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._timeout, context=self._trust.context()
                )
            else:
                made = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
            made.connect()
            made.sock.settimeout(timeout)
            made.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeout * 1000))
            self._connection = made
        return self._connection

    def _is_refused(self, connection: http.client.HTTPConnection) -> bool:
        """Whether the hub answered early. Over TLS the bytes may be a ticket: then only the end shows."""
        if self._is_tls:
            return False
        waiting = select.poll()  # select() knows no descriptor beyond 1,023
        waiting.register(connection.sock, select.POLLIN)
        return bool(waiting.poll(0))

    def _answer(self) -> HubAnswer:
        response = self._opened().getresponse()
        answer = read_answer(response)
        if response.will_close:
            self.close()
        return answer


def read_answer(response: http.client.HTTPResponse) -> HubAnswer:
    """The envelope; anything else has no data."""
    try:
        content = json.loads(response.read(MAX_ANSWER) or b"{}")
    except (ValueError, RecursionError):
        content = {}
    members: Mapping[str, Any] = content if isinstance(content, dict) else {}
    data = members.get("data")
    after = response.headers.get("Retry-After", "")
    return HubAnswer(
        response.status,
        data if isinstance(data, dict) else {},
        str(members.get("code", "")),
        str(members.get("message", "") or response.reason)[:300],
        float(after) if after.isascii() and after.isdigit() else 0.0,
    )
