"""On what terms one request of a browser goes to a machine's page: which port, under which path, with whose cookies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hub.web.machine_pages.cookies import CookieJar
from hub.web.machine_pages.headers import Headers
from hub.web.machine_pages.streams import Connect
from hub.web.machine_pages.turns import LeaseTurns


@dataclass(frozen=True)
class Terms:
    """`prefix` is "" on a host name of its own. `ours` stand on every answer. The machine's cookies are in `jar`;
    `authorization` is what it is sent of that. `turns` is when what it sends may be worked on."""

    connect: Connect
    port: int
    target: bytes
    """Path and query as the machine gets them."""
    prefix: str
    ours: Headers
    jar: CookieJar
    turns: LeaseTurns
    secure: bool
    clock: Callable[[], datetime]
    authorization: bytes = b""
