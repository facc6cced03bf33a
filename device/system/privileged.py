"""Asks the privileged daemon for what D-Bus does not permit: one short connection a request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import Any, Final, Literal

from device.kernel.tasks import within
from device.system import systemd
from device.system.bus import ANSWER_WITHIN_S, NotPermittedError, SystemBus, SystemBusError

DONE_NOTHING: Final = ("not_allowed", "wrong_user", "file", "malformed", "missing")
"""Codes of a daemon that refuses; with any other it tried, or asks for patience."""
NOT_THERE: Final = "not_there"
"""Nothing listens, or it is not for us."""
MAX_ANSWER: Final = 4096
LOOK_S: Final = 2.0
Way = Literal["bus", "service", "none"]


class PrivilegedBus(SystemBus):
    """A system bus; what it refuses the daemon behind the socket `path` does, if that permits it. "": there is none."""

    def __init__(self, path: str, *, allowed: bool = True) -> None:
        super().__init__(allowed=allowed)
        self._path = path

    async def instead(
        self, refused: NotPermittedError, verb: str, argument: str = "", seconds: float = ANSWER_WITHIN_S
    ) -> None:
        """Raises NotPermittedError or SystemBusError."""
        if not self._allowed or not self._path:
            raise refused
        try:
            await request(self._path, verb, argument, seconds=seconds)
        except NotPermittedError as neither:
            if neither.code == NOT_THERE:
                raise refused from neither
            raise NotPermittedError(f"{neither.why}; {refused.why}", neither.code) from refused

    async def way(self) -> Way:
        """By what a reboot would be done; the bus is asked first, as for all else."""
        if not self._allowed:
            return "none"
        if await systemd.can_reboot(self, LOOK_S):
            return "bus"
        try:
            await request(self._path, "reboot", check=True, seconds=LOOK_S)
        except (NotPermittedError, SystemBusError):
            return "none"
        return "service"


async def request(
    path: str, verb: str, argument: str = "", *, check: bool = False, seconds: float = ANSWER_WITHIN_S
) -> None:
    """`check`: everything but the doing. Raises NotPermittedError (also where nothing listens) or SystemBusError."""
    asked = json.dumps({"verb": verb, "argument": argument, "check": check}).encode() + b"\n"
    try:
        answer = await within(seconds, _exchange(path, asked))
    except (TimeoutError, asyncio.TimeoutError) as slow:
        raise SystemBusError("timeout", f"no answer of the privileged service within {seconds:.3g} s") from slow
    except OSError as nobody:
        raise NotPermittedError(f"{path}: {nobody.strerror or nobody}", NOT_THERE) from nobody
    if answer.get("ok") is True:
        return
    code, message = str(answer.get("code")), str(answer.get("message"))
    if code in DONE_NOTHING:
        raise NotPermittedError(f"privileged service: {message}", code)
    raise SystemBusError(code, message)


async def _exchange(path: str, asked: bytes) -> dict[str, Any]:
    """Raises OSError where nobody can be asked, or SystemBusError."""
    loop = asyncio.get_running_loop()
    line = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, path)
        # Whoever is refused at once is answered before the request is read: then it cannot be sent, but the answer is
        # there, and no stream of asyncio would show it.
        with contextlib.suppress(ConnectionError):
            await loop.sock_sendall(connection, asked)
        with contextlib.suppress(ConnectionError):
            while not line.endswith(b"\n") and len(line) <= MAX_ANSWER:
                part = await loop.sock_recv(connection, 4096)
                if not part:
                    break
                line += part
    try:
        answer = json.loads(line or b"null")
    except ValueError as strange:
        raise SystemBusError("malformed", "the privileged service answered no JSON") from strange
    if not isinstance(answer, dict):
        raise SystemBusError("disconnected", "the privileged service closed the connection")
    return answer
