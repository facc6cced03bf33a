"""Stands where the hub is expected and ends TLS itself: reads whatever a machine would send to it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

PLAIN = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ManInTheMiddle:
    """`context`: how it does TLS; None: it answers plain HTTP. `read`: all bytes it could read; `raw`: what came when
    it spoke no TLS."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.context = context
        self.read = b""
        self.raw = b""
        self.faults: list[str] = []
        self.attempts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            self.attempts += 1
            with connection, contextlib.suppress(OSError):
                self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        if self.context is None:
            self.raw += connection.recv(65536)
            connection.sendall(PLAIN)
            return
        try:
            secure = self.context.wrap_socket(connection, server_side=True)
        except ssl.SSLError as refused:
            self.faults.append(refused.reason or "")
            return
        with secure:
            while chunk := secure.recv(65536):
                self.read += chunk

    def stop(self) -> None:
        with contextlib.suppress(OSError):  # stopped before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def man_in_the_middle(context: ssl.SSLContext | None) -> Iterator[ManInTheMiddle]:
    made = ManInTheMiddle(context)
    thread = threading.Thread(target=made.serve)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()
