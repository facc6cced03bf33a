"""On what terms one request of a browser goes to a machine's page: which port, under which path, with whose cookies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hub.web.machine_pages.cookies import CookieJar
from hub.web.machine_pages.headers import Headers
from hub.web.machine_pages.streams import Connect


@dataclass(frozen=True)
class Terms:
    """`prefix` is "" on a host name of its own, and `jar` None: the browser keeps the cookies. `ours` stand on every
    answer. `cookie` and `authorization` are what the machine is sent of those."""

    connect: Connect
    port: int
    target: bytes
    """Path and query as the machine gets them."""
    prefix: str
    ours: Headers
    jar: CookieJar | None
    secure: bool
    clock: Callable[[], datetime]
    cookie: bytes = b""
    authorization: bytes = b""
