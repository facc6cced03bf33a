"""The fleet simulator: any number of machines over real WebSockets, in a process of its own.

    python -m demo.fleet_simulator --config FILE [--exit-with-parent]

FILE is JSON: {"url": "ws://127.0.0.1:8001/ws/device", "machines": [{"device_id", "api_key", "role", "name", "timezone",
"city"}]}. Roles: normal, full, hot (readings above the threshold), late (one frame each 20 s, whatever was asked),
offline (a few samples and a farewell), maintenance, and those of `demo.simulated_machine`. Every machine says the
capability "simulated". The load forms are `bench.load`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import anyio
import msgspec

from demo.simulated_link import Visitor
from demo.simulated_machine import SimulatedMachine
from demo.simulated_plan import Plan


class Fleet(msgspec.Struct, frozen=True):
    url: str
    machines: list[Plan]


async def simulate(fleet: Fleet, *, exit_with_parent: bool = False) -> None:
    """Run every machine until SIGINT, SIGTERM or, if wished, the end of standard input; then say bye."""
    stopping = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(_obey_signals, stopping)
        if exit_with_parent:
            group.start_soon(_follow_parent, stopping)
        async with anyio.create_task_group() as visitors:
            for plan in fleet.machines:
                visitors.start_soon(Visitor(fleet.url, SimulatedMachine(plan, time.time()), stopping).run)
            await stopping.wait()
        group.cancel_scope.cancel()


async def _obey_signals(stopping: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            stopping.set()


async def _follow_parent(stopping: anyio.Event) -> None:
    standard_input = sys.stdin.fileno()
    with contextlib.suppress(OSError):  # not a pipe: there is nobody to follow
        os.set_blocking(standard_input, False)
        await anyio.wait_readable(standard_input)
        while os.read(standard_input, 4096):
            await anyio.wait_readable(standard_input)
    stopping.set()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo.fleet_simulator", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--config", type=Path, required=True, help="the machines to play, as JSON")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input closes")
    options = parser.parse_args(argv)
    try:
        fleet = msgspec.json.decode(options.config.read_bytes(), type=Fleet)
    except (OSError, msgspec.DecodeError) as wrong:
        print(f"fleet_simulator: {options.config}: {wrong}", file=sys.stderr)
        return 2
    anyio.run(lambda: simulate(fleet, exit_with_parent=options.exit_with_parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
