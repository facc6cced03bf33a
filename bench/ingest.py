"""Samples a second that are committed and acknowledged, beside the bare endpoint that only does that.

    python -m bench.ingest [--database sqlite|postgresql] [--window 4] [--samples 1|100] [--open 2000]

Everything server-side, the database included, runs on one core. With --open the load sends at that rate whatever is
acknowledged, and the figure is the acknowledgement's 99th percentile.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import report
from bench.crowd import Target
from bench.hub import hub
from bench.load_spec import Found, Spec
from bench.postgres import Postgres, postgres
from bench.processes import Server, bare, on_core, run_load


class Runner(NamedTuple):
    """One server under the same load as the others."""

    name: str
    server: Server
    target: Target


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        runners = list(_runners(stack, folder, options))
        found: dict[str, list[Found]] = {runner.name: [] for runner in runners}
        for turn in range(options.repeat):
            for runner in runners:
                found[runner.name].append(_run(runner, options, turn))
                if found[runner.name][-1].failure:
                    report.say(f"  {runner.name}: {found[runner.name][-1].failure}")
    _print(options, found)
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.ingest", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--machines", type=int, default=200)
    parser.add_argument("--window", type=int, default=4)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--open", type=float, default=0.0, help="samples a second, whatever is acknowledged")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="receive,durable,naive,hub", help="which servers, separated by commas")
    return parser.parse_args(argv)


def _runners(stack: contextlib.ExitStack, folder: Path, options: argparse.Namespace) -> Iterator[Runner]:
    """Start every wanted server; all of them live until the stack closes."""
    wanted, count, database = options.only.split(","), options.machines, None
    if options.database == "postgresql":
        with on_core(0):
            database = stack.enter_context(postgres())
    also = (database.pid,) if database else ()
    nobody = [f"bench-{k + 1}" for k in range(count)]
    for name, kind in (("receive", "receive"), ("durable", options.database), ("naive", "naive")):
        if name in wanted and not (name == "naive" and options.samples > 1):
            store = database.url() if database else str(folder / f"{name}.sqlite3")
            server = stack.enter_context(bare(kind, store, also))
            yield Runner(name, server, Target(host="127.0.0.1", port=server.port, devices=nobody, keys=nobody))
    if "hub" in wanted:
        url = _hub_database(database) if database else ""
        running = stack.enter_context(hub(folder, count, url, also))
        yield Runner("hub", running.server, running.target(count))


def _hub_database(server: Postgres) -> str:
    """A database of the hub's own on the same server."""
    import asyncio

    import asyncpg

    async def create() -> None:
        connection = await asyncpg.connect(server.url())
        await connection.execute("CREATE DATABASE hub")
        await connection.close()

    asyncio.run(create())
    return server.url("hub")


def _run(runner: Runner, options: argparse.Namespace, turn: int) -> Found:
    target = Target(
        host=runner.target.host, port=runner.target.port, devices=runner.target.devices, keys=runner.target.keys,
        boot=f"boot-{turn}",
    )  # fmt: skip
    rate = min(options.open, 400.0) if runner.name == "naive" and options.open else options.open
    spec = Spec(
        form="open" if options.open else "window", target=target, watch=runner.server.pids, seconds=options.seconds,
        window=options.window, samples=options.samples, rate=rate,
    )  # fmt: skip
    try:
        return run_load(spec)
    except subprocess.SubprocessError as error:
        return Found(failure=str(error))


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
        elif name in found and name != "naive":
            report.ratio(f"hub / {name}: p99", [r.p99_ms for r in ours], [r.p99_ms for r in found[name]], "<= 3")


if __name__ == "__main__":
    sys.exit(main())
