"""/api/health: this process lives. /api/ready: it can work, with a database to read and write."""

from __future__ import annotations

from typing import Literal

import anyio
import msgspec

from db.errors import StoreError
from db.queries import users
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text

READY_WITHIN_S = 4.0
RETRY_S = 5.0
WRITES_STALL_AFTER_S = 3.0


class Health(msgspec.Struct):
    status: Literal["ok"]
    version: str


class Readiness(Health):
    """`longest_block_s`: the event loop's longest stall in the last minute or two."""

    longest_block_s: float


async def health(call: Call) -> Answer:
    return Answer({"status": "ok", "version": call.context.version})


async def ready(call: Call) -> Answer:
    try:
        with anyio.fail_after(READY_WITHIN_S):
            await users.count_users(call.context.store)
    except (StoreError, TimeoutError) as away:
        raise _away() from away
    if call.context.announce.stalled_s > WRITES_STALL_AFTER_S:
        raise _away()  # it may be read and not written: another program holds the lock, the disk is full
    longest = round(call.request.app.state.loop_lag.recent_s, 3)
    return Answer({"status": "ok", "version": call.context.version, "longest_block_s": longest})


def _away() -> Problem:
    return Problem("unavailable", Text("database_away"), retry_after=RETRY_S)


OPERATIONS = (
    Operation(
        name="health", method="GET", path="/health", handler=health, tag="Hub", summary="The hub lives",
        action=None, answers={200: Health},
    ),
    Operation(
        name="ready", method="GET", path="/ready", handler=ready, tag="Hub",
        summary="The hub can work: its database answers", action=None, answers={200: Readiness}, refusals=(503,),
    ),
)  # fmt: skip
