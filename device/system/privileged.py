"""Asks the privileged daemon for what D-Bus does not permit: one short connection a request."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final, Literal

from device.privileged.daemon import MAX_LINE
from device.system import systemd
from device.system.bus import ANSWER_WITHIN_S, NotPermittedError, SystemBus, SystemBusError

DONE_NOTHING: Final = ("not_allowed", "wrong_user", "file", "malformed", "missing")
"""Codes of a daemon that refuses; with any other it tried, or asks for patience."""
NOT_THERE: Final = "not_there"
"""Nothing listens, or it is not for us."""
LOOK_S: Final = 2.0
Way = Literal["bus", "service", "none"]


class PrivilegedBus(SystemBus):
    """A system bus; what it refuses the daemon behind `socket` does, if that permits it. `socket` "": there is none."""

    def __init__(self, socket: str, *, allowed: bool = True) -> None:
        super().__init__(allowed=allowed)
        self._socket = socket

    async def instead(
        self, refused: NotPermittedError, verb: str, argument: str = "", seconds: float = ANSWER_WITHIN_S
    ) -> None:
        """Raises NotPermittedError or SystemBusError."""
        if not self._allowed or not self._socket:
            raise refused
        try:
            await request(self._socket, verb, argument, seconds=seconds)
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
            await request(self._socket, "reboot", check=True, seconds=LOOK_S)
        except (NotPermittedError, SystemBusError):
            return "none"
        return "service"


async def request(
    socket: str, verb: str, argument: str = "", *, check: bool = False, seconds: float = ANSWER_WITHIN_S
) -> None:
    """`check`: everything but the doing. Raises NotPermittedError (also where nothing listens) or SystemBusError."""
    asked = json.dumps({"verb": verb, "argument": argument, "check": check}).encode() + b"\n"
    try:
        answer = await asyncio.wait_for(_exchange(socket, asked), seconds)
    except (TimeoutError, asyncio.TimeoutError) as slow:
        raise SystemBusError("timeout", f"no answer of the privileged service within {seconds:.3g} s") from slow
    except OSError as nobody:
        raise NotPermittedError(f"{socket}: {nobody.strerror or nobody}", NOT_THERE) from nobody
    if answer.get("ok") is True:
        return
    code, message = str(answer.get("code")), str(answer.get("message"))
    if code in DONE_NOTHING:
        raise NotPermittedError(f"privileged service: {message}", code)
    raise SystemBusError(code, message)


async def _exchange(socket: str, asked: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(socket, limit=4 * MAX_LINE)
    try:
        writer.write(asked)
        answer = json.loads(await reader.readline() or b"null")
    except ValueError as strange:
        raise SystemBusError("malformed", "the privileged service answered no JSON") from strange
    finally:
        writer.transport.abort()
    if not isinstance(answer, dict):
        raise SystemBusError("disconnected", "the privileged service closed the connection")
    return answer
