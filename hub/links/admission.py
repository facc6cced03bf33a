"""The door before `/ws/device`: whose key it is, who is kept out for now, and HTTP answers in place of an upgrade."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from starlette.requests import HTTPConnection

from hub.kernel.context import HubContext
from hub.links.links import Links
from hub.model.machine import Machine
from hub.model.machine_budget import Cost
from hub.web.auth.gate import Gate
from hub.web.auth.identify import machine_by_key

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class KeptOut(NamedTuple):
    """Why a valid key does not get in now, and for how many seconds."""

    code: str
    detail: str
    wait: float


def kept_out(context: HubContext, machine: Machine) -> KeptOut | None:
    door = context[Links].door
    wait = door.held(machine)
    if wait is not None:
        return KeptOut("quarantined", "Two machines use this key; both are kept out for a while.", wait)
    wait = door.too_soon(machine) if context[Links].get(machine.id) is not None else None
    return None if wait is None else KeptOut("too_soon", "The link of this machine was replaced a moment ago.", wait)


def unaffordable(context: HubContext, machine: Machine, cost: Cost) -> KeptOut | None:
    """Why this key's budget does not let it open a link, or a link in a new boot, now; else `cost` is taken."""
    wait = context[Links].budget.take(machine.id, time.monotonic(), cost)
    return KeptOut("too_often", "This key opens links too often, or in too many new boots.", wait) if wait else None


def by_header(context: HubContext, connection: HTTPConnection) -> Machine | None:
    """The machine whose key the Authorization header carries; two headers are none."""
    headers = connection.headers.getlist("authorization")
    scheme, _, key = headers[0].partition(" ")
    principal = machine_by_key(context, key.strip()) if len(headers) == 1 and scheme.lower() == "bearer" else None
    return None if principal is None else context.fleet.machines.get(principal.id)


async def reject(send: Send, context: HubContext, address: str, *, offered: bool = True) -> None:
    """Before the upgrade: 401, or 429 for an address that has guessed too often. `offered`: there was a credential."""
    wait = context[Gate].addresses.charge(address) if offered else None
    if wait is None:
        await answer(send, 401, "A valid machine key is needed.", None)
    else:
        await answer(send, 429, "Too many attempts without a valid key.", wait)


async def answer(send: Send, status: int, detail: str, retry_after: float | None) -> None:
    """An HTTP answer instead of the upgrade, in the shape of every other error."""
    title = {401: "Unauthorized", 429: "Too Many Requests", 503: "Service Unavailable"}[status]
    problem = {"success": False, "message": detail, "type": "about:blank", "title": title, "status": status}
    headers = [(b"content-type", b"application/problem+json")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if retry_after is not None:
        headers.append((b"retry-after", str(math.ceil(retry_after)).encode()))
    try:
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": json.dumps(problem | {"detail": detail}).encode()})
    except OSError:
        """The client did not wait for the answer."""
