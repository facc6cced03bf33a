"""The loop that keeps a machine connected, with attempts that end as told."""

from __future__ import annotations

import asyncio
import io

import pytest

from device.kernel.log import Log
from device.link.connection import LinkClosedError
from device.link.reconnect import Reconnector
from device.link.rules import End, FallbackRules, Kind, RetryPolicy
from device.texts import texts_in

SCRIPT: list[tuple[End | Exception, str]] = [
    (End(Kind.UNREACHABLE, "no route"), "the hub cannot be reached (no route)"),
    (LinkClosedError(End(Kind.UPGRADE_FAILED, "HTTP 200")), "no WebSocket through this way (HTTP 200)"),
    (End(Kind.REFUSED, "HTTP 401", 401), "put the right one into api_token"),
    (End(Kind.REFUSED, "HTTP 503", 503), "the hub refused (HTTP 503)"),
    (End(Kind.CLOSED, "4409", 4409), "does a second agent use the same key?"),
    (End(Kind.CLOSED, "4426", 4426), "update the agent"),
    (End(Kind.CLOSED, "4403 wrong_machine", 4403), "set rvm_id to that machine's number"),
    (End(Kind.REFUSED, "HTTP 403 certificate_missing", 403), "client_cert"),
    (End(Kind.CLOSED, "4403 board_refused", 4403), "an administrator has refused this board"),
    (End(Kind.CLOSED, "4403", 4403), "refuses the machine's key"),
    (End(Kind.RESTARTING, "x", wait_s=0.0), "the hub restarts"),
    (End(Kind.CLOSED, "connection lost"), "the connection ended (connection lost)"),
    (ValueError("a bug"), "internal error in link: ValueError('a bug')"),
]


async def test_it_never_gives_up_and_names_each_end(monkeypatch: pytest.MonkeyPatch) -> None:
    script = list(SCRIPT)
    delays: list[float] = []
    done = asyncio.Event()

    async def attempt() -> End:
        if not script:
            done.set()
            await asyncio.Event().wait()
        end = script.pop(0)[0]
        if isinstance(end, Exception):
            raise end
        return end

    real_sleep = asyncio.sleep

    async def sleep(delay: float) -> None:
        delays.append(delay)
        await real_sleep(0)

    monkeypatch.setattr("device.link.reconnect.asyncio.sleep", sleep)
    out = io.StringIO()
    rules = FallbackRules()
    loop = Reconnector(attempt, RetryPolicy(2.0, lambda: 0.5), rules, Log(texts_in("en"), "", {}, out))
    task = asyncio.ensure_future(loop.run())
    await asyncio.wait_for(done.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for _, sentence in SCRIPT:
        assert sentence in out.getvalue()
    assert len(delays) == len(SCRIPT)
    assert loop.ended.is_set()


async def test_it_ends_with_the_link_when_the_process_is_stopping() -> None:
    out = io.StringIO()

    async def attempt() -> End:
        return End(Kind.CLOSED, "1000", 1000)

    loop = Reconnector(attempt, RetryPolicy(2.0, lambda: 0.5), FallbackRules(), Log(texts_in("en"), "", {}, out))
    loop.stopping = True
    await asyncio.wait_for(loop.run(), 60)
    assert out.getvalue() == ""
