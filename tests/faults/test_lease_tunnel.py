"""The tunnel of a lease on a bad network: it comes back with the same shell, and no byte of its output is missing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.chaos_proxy import ChaosProxy, chaos_proxy
from tests.support.forked_hub import forked_hub
from tests.support.remote_machine import remote_machine
from tests.support.remote_operator import RemoteOperator, TerminalClient

LAST = 60_000
DROPS = 4


@contextlib.asynccontextmanager
async def terminal_through(folder: Path) -> AsyncIterator[tuple[TerminalClient, ChaosProxy, RemoteOperator, int]]:
    """A terminal whose machine is behind a network that may be told to misbehave."""
    async with forked_hub(folder) as hub, chaos_proxy(hub.port) as network:
        key = await hub.add_machine("Lobby")
        operator = RemoteOperator(hub, hub.admin)
        async with remote_machine(folder / "machine", network.url, key) as machine:
            await operator.present(key)
            session = await operator.lease(key)
            async with operator.terminal(session["id"]) as terminal:
                yield terminal, network, operator, session["id"]
            shown = (await operator.get(f"/rvms/{key.id}/remote-access/status"))["sessions"]
            assert [row["id"] for row in shown] == [session["id"]], "one lease from beginning to end"
        assert "Traceback" not in hub.log + machine.log


@pytest.mark.timeout(180)
async def test_a_dropped_tunnel_comes_back_with_the_same_shell_and_every_byte(tmp_path: Path) -> None:
    async with terminal_through(tmp_path) as (terminal, network, _, _):
        await terminal.type("mark=$$; stty -echo\r")
        await terminal.type(f"echo begin; seq 1 {LAST}; echo end\r")
        for drop in range(1, DROPS + 1):
            await terminal.shows(rf"\n{drop * LAST // (DROPS + 2)}\r\n", 60)
            network.reset()
        await terminal.shows(r"\nend\r\n", 60)
        output = bytes(terminal.output)
        shown = output[output.rindex(b"begin\r\n") + 7 : output.rindex(b"end\r\n")]
        assert shown.split() == [str(number).encode() for number in range(1, LAST + 1)]
        await terminal.type('test "$mark" = $$ && echo same$((1+1))\r')
        await terminal.shows("same2")


@pytest.mark.timeout(180)
async def test_keys_typed_while_the_tunnel_is_away_arrive_once_and_in_order(tmp_path: Path) -> None:
    async with terminal_through(tmp_path) as (terminal, network, _, _):
        await terminal.type("stty -echo; n=0\r")
        network.stall()
        network.reset()
        for number in range(40):
            await terminal.type(f"n=$((n*3+{number}))\r")
        network.flow()
        expected = 0
        for number in range(40):
            expected = (expected * 3 + number) % 2**64
        expected = expected - 2**64 if expected >= 2**63 else expected
        await terminal.type("echo sum:$n:\r")
        await terminal.shows(f"sum:{expected}:", 60)


@pytest.mark.timeout(180)
async def test_a_page_that_was_away_gets_the_output_it_missed(tmp_path: Path) -> None:
    """The browser's own socket breaks, not the tunnel: the terminal goes on, and the page reads on where it was."""
    async with terminal_through(tmp_path) as (terminal, _, operator, _):
        await terminal.type("echo first\r")
        await terminal.shows(r"first\r\n")
        seen = len(terminal.output)
        await terminal.type("sleep 1; echo sec''ond\r")
        await terminal.until(lambda: b"sec''ond\r\n" in terminal.output)
        terminal.socket.transport.abort()
        async with operator.attached(terminal) as again:
            await again.shows(r"second\r\n")
            assert bytes(again.output[:seen]) == bytes(terminal.output[:seen])
            assert again.output.count(b"second\r\n") == 1, "nothing twice"
