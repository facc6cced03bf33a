"""A TCP port of loopback that nobody has at the moment, for what cannot be asked to choose one itself."""

from __future__ import annotations

import socket


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
