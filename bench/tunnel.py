"""What bulk through a lease's tunnel costs the acknowledgement of metrics: a large file comes down, metrics go on.

    python -m bench.tunnel [--megabytes 100] [--machines 20] [--rate 200]

machine  the agent the file comes from: how long each of its own acknowledgements takes, seen from outside
others   machines that only send samples, at --rate a second over all of them
quiet    the same without a file, before each transfer

The hub is on one core; agent, others and whoever takes the file on the other.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench import meter, report, scene
from bench.hub import Hub
from bench.leased_agent import Lease, leased_agent
from bench.link_tap import LinkTap, link_tap
from bench.load_spec import Found, Spec
from bench.processes import run_load

GOAL_MS = "p99 <= 250 ms"
INTERVAL_S = 0.1
PIECE = 1_000_000


class Turn(NamedTuple):
    """One stretch of time: the machine's own acknowledgements in seconds, what the others found, bytes a second."""

    acks_s: list[float]
    others: Found
    bytes_s: float = 0.0


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("tunnel", __doc__, machines=20, seconds=10.0)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rate", type=float, default=200.0)
    options = parser.parse_args(argv)
    with scene.Scene(options.database) as stage:
        running = stage.hub(options.machines + 1)
        turns = asyncio.run(_measure(running, stage.folder, options))
    report.heading(f"tunnel: {options.megabytes} MB beside {options.rate:g} samples a second, {options.database}")
    report.row("file through the tunnel", [turn.bytes_s / 1e6 for turn in turns["file"]], "MB/s", 0)
    for name, found in turns.items():
        for percent in (50, 99):
            own = [1000 * meter.percentile(turn.acks_s, percent) for turn in found]
            report.row(f"{name}: machine's own acknowledgement p{percent}", own, "ms", 1)
        report.row(f"{name}: others' acknowledgement p50", [turn.others.p50_ms for turn in found], "ms", 1)
        report.row(f"{name}: others' acknowledgement p99", [turn.others.p99_ms for turn in found], "ms", 1)
    worst = max(max(turn.others.p99_ms, 1000 * meter.percentile(turn.acks_s, 99)) for turn in turns["file"])
    report.say(f"  worst p99 beside the file: {worst:.0f} ms   goal {GOAL_MS}")
    return 0


async def _measure(running: Hub, folder: Path, options: Any) -> dict[str, list[Turn]]:
    """Quiet and with a file in turns; a file is fetched again and again until the others' time is over."""
    turns: dict[str, list[Turn]] = {"quiet": [], "file": []}
    crowd = running.target(options.machines + 1)
    crowd = msgspec.structs.replace(crowd, devices=crowd.devices[1:], keys=crowd.keys[1:])
    async with (
        link_tap(running.server.port) as tap,
        leased_agent(running, folder, url=tap.url, metrics_interval=INTERVAL_S) as lease,
    ):
        (lease.files / "bulk").write_bytes(bytes(range(250)) * (PIECE // 250) * options.megabytes)
        for turn in range(options.repeat):
            for name, found in turns.items():
                target = msgspec.structs.replace(crowd, boot=f"{name}-{turn}")
                spec = Spec(
                    form="open", target=target, watch=running.server.pids, seconds=options.seconds, rate=options.rate
                )
                found.append(await _turn(spec, tap, lease, with_file=name == "file"))
    return turns


async def _turn(spec: Spec, tap: LinkTap, lease: Lease, *, with_file: bool) -> Turn:
    tap.begin()
    others = asyncio.ensure_future(asyncio.to_thread(run_load, spec))
    moved, began = 0, time.monotonic()
    while with_file and not others.done():
        moved += await _fetch(lease)
    rate = moved / (time.monotonic() - began) if moved else 0.0
    found = await others
    if found.failure:
        report.say(f"  {found.failure}")
    return Turn(list(tap.acks_s), found, rate)


async def _fetch(lease: Lease) -> int:
    """The bytes that came."""
    path = f"/api/v2/rvms/{lease.rvm_id}/remote-access/files/download"
    came = 0
    async with lease.client.stream("POST", path, json={"path": str(lease.files / "bulk")}) as answer:
        answer.raise_for_status()
        async for piece in answer.aiter_raw():
            came += len(piece)
    return came


if __name__ == "__main__":
    sys.exit(main())
