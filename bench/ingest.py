"""Samples a second that are committed and acknowledged, beside the bare endpoint that only does that.

    python -m bench.ingest [--database sqlite|postgresql] [--window 4] [--samples 1|100] [--open 2000]

Everything server-side, the database included, runs on one core. With --open the load sends at that rate whatever is
acknowledged, and the figure is the acknowledgement's 99th percentile.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from bench import report, scene
from bench.crowd import Target
from bench.load_spec import Found, Spec
from bench.processes import Server, run_load

NAIVE_RATE = 400.0
"""What the naive service survives in an open loop."""


class Runner(NamedTuple):
    """One server under the same load as the others."""

    name: str
    server: Server
    target: Target


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("ingest", __doc__, machines=200)
    parser.add_argument("--window", type=int, default=4)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--open", type=float, default=0.0, help="samples a second, whatever is acknowledged")
    parser.add_argument("--only", default="receive,durable,naive,hub", help="which servers, separated by commas")
    options = parser.parse_args(argv)
    with scene.Scene(options.database) as stage:
        runners = list(_runners(stage, options))
        found: dict[str, list[Found]] = {runner.name: [] for runner in runners}
        for turn in range(options.repeat):
            for runner in runners:
                found[runner.name].append(_run(runner, options, turn))
    _print(options, found)
    return 0


def _runners(stage: scene.Scene, options: argparse.Namespace) -> Iterator[Runner]:
    wanted = options.only.split(",")
    for name in ("receive", "durable", "naive"):
        if name in wanted and not (name == "naive" and options.samples > 1):
            server = stage.bare(name)
            yield Runner(name, server, scene.strangers(server, options.machines))
    if "hub" in wanted:
        running = stage.hub(options.machines)
        yield Runner("hub", running.server, running.target(options.machines))


def _run(runner: Runner, options: argparse.Namespace, turn: int) -> Found:
    rate = min(options.open, NAIVE_RATE) if runner.name == "naive" else options.open
    found = run_load(
        Spec(
            form="open" if options.open else "window", watch=runner.server.pids, seconds=options.seconds,
            target=msgspec.structs.replace(runner.target, boot=f"boot-{turn}"), window=options.window,
            samples=options.samples, rate=rate,
        )
    )  # fmt: skip
    if found.failure:
        report.say(f"  {runner.name}: {found.failure}")
    return found


def _print(options: argparse.Namespace, found: dict[str, list[Found]]) -> None:
    how = f"open loop {options.open:,.0f}/s" if options.open else f"window {options.window}"
    report.heading(
        f"ingest: {options.machines} machines, {how}, {options.samples} sample(s) a frame, {options.database}"
    )
    for name, runs in found.items():
        report.row(f"{name}: samples/s acknowledged", [run.rate for run in runs], digits=0)
        report.row(f"{name}: acknowledged after p50", [run.p50_ms for run in runs], "ms", 2)
        report.row(f"{name}: acknowledged after p99", [run.p99_ms for run in runs], "ms", 2)
        report.row(f"{name}: CPU a sample", [run.cpu_us_each for run in runs], "us", 1)
        report.row(f"{name}: core, server / load", [run.cpu_share for run in runs], f"/ {runs[0].load_share:.2f}", 2)
    if "hub" not in found:
        return
    ours = found["hub"]
    for name, goal in (("durable", ">= 0.5"), ("receive", "-"), ("naive", ">= 20")):
        if name in found and not options.open:
            report.ratio(f"hub / {name}: samples/s", [r.rate for r in ours], [r.rate for r in found[name]], goal)
            # Of the same two runs; it holds when others use the computer, which the wall clock does not.
            cpu = [r.cpu_us_each for r in found[name]], [r.cpu_us_each for r in ours]
            report.ratio(f"{name} / hub: CPU a sample", *cpu, goal)
        elif name in found and name != "naive":
            report.ratio(f"hub / {name}: p99", [r.p99_ms for r in ours], [r.p99_ms for r in found[name]], "<= 3")


if __name__ == "__main__":
    sys.exit(main())
