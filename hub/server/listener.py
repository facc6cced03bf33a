"""The listening socket and the process limits around it. Knows no protocol."""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
from typing import Final

BACKLOG: Final = 4096
"""A fleet that comes back all at once must not be refused by the kernel."""
USER_TIMEOUT_MS: Final = 25_000
"""Accepted sockets inherit it: the kernel itself drops a peer that acknowledges nothing, or keeps its window shut, for
so long (bar: 30 s). Without it close() waits for a frozen peer for ever."""


class CannotListenError(Exception):
    """Why the address cannot be had, and what to do, in one sentence each."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket of ours; raises CannotListenError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise CannotListenError(f"{host!r} is no address of this computer. Choose another --host.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise CannotListenError(_why(error, host, port)) from error
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use. Stop what uses it, or choose another with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights. Choose one above 1023 with --port."
    return f"Cannot listen on {host} port {port}: {error.strerror}. Choose another --host or --port."


def url_of(listener: socket.socket, *, tls: bool) -> str:
    """Where this computer itself reaches the listener (an address for all interfaces becomes loopback)."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a look-up, not a bind
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


def raise_open_files() -> int:
    """As many open files as the system allows this process: every machine and browser is one. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
