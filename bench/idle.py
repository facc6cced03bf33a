"""What one idle machine costs the hub in memory, and all of them in CPU, beside a bare endpoint that only listens.

python -m bench.idle [--machines 5000]
"""

from __future__ import annotations

import sys

from bench import report, scene
from bench.crowd import Target
from bench.load_spec import Found, Spec
from bench.processes import Server, run_load


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("idle", __doc__, machines=5000, seconds=10.0)
    parser.add_argument("--only", default="bare,hub")
    options = parser.parse_args(argv)
    found: dict[str, list[Found]] = {}
    for _ in range(options.repeat):  # a fresh process each time: memory that was used once stays resident
        with scene.Scene(options.database) as stage:
            if "bare" in options.only:
                server = stage.bare("receive")
                found.setdefault("bare", []).append(
                    _run(server, scene.strangers(server, options.machines), options.seconds)
                )
        with scene.Scene(options.database) as stage:
            if "hub" in options.only:
                running = stage.hub(options.machines)
                found.setdefault("hub", []).append(
                    _run(running.server, running.target(options.machines), options.seconds)
                )
    report.heading(f"idle: {options.machines:,} machines connected, {options.database}")
    for name, runs in found.items():
        report.row(f"{name}: memory a machine", [run.kib_each for run in runs], "KiB")
        report.row(f"{name}: CPU while idle", [100 * run.cpu_share for run in runs], "% of core")
        report.row(f"{name}: connected a second", [run.rate for run in runs], "/s", 0)
        report.row(f"{name}: CPU a handshake and hello", [run.cpu_us_each for run in runs], "us", 0)
    if len(found) == 2:
        ours, bare = found["hub"], found["bare"]
        report.ratio("hub / bare: memory a machine", [r.kib_each for r in ours], [r.kib_each for r in bare], "<= 1.6")
        report.ratio("hub / bare: CPU while idle", [r.cpu_share for r in ours], [r.cpu_share for r in bare], "<= 2")
    return 0


def _run(server: Server, target: Target, seconds: float) -> Found:
    found = run_load(Spec(form="idle", target=target, watch=server.pids, seconds=seconds, warm_up_s=2.0))
    if found.failure:
        report.say(f"  {found.failure}")
    return found


if __name__ == "__main__":
    sys.exit(main())
