"""Every machine comes back after kill -9 of the hub: seconds from the open port until all are live again.

    python -m bench.storm [--machines 5000] [--jitter 10]

Without --jitter each machine tries again at once (and within half a second after a refusal), which is worse than any
agent of ours does; with it each waits a random time up to that many seconds, as `restarting` asks.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

from bench import report, scene
from bench.hub import Hub, start
from bench.load_spec import Found, Spec
from bench.processes import ROOT, Load, Server, end, on_core


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("storm", __doc__, machines=5000)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--only", default="bare,hub")
    options = parser.parse_args(argv)
    found: dict[str, list[Found]] = {}
    for _ in range(options.repeat):
        with scene.Scene(options.database) as stage:
            if "bare" in options.only:
                server = stage.bare("receive")
                spec = Spec(form="storm", target=scene.strangers(server, options.machines), watch=server.pids)
                found.setdefault("bare", []).append(_strike(spec, options.jitter, server, _bare_again(server.port)))
        with scene.Scene(options.database) as stage:
            if "hub" in options.only:
                running = stage.hub(options.machines)
                spec = Spec(form="storm", target=running.target(options.machines), watch=running.server.pids)
                again = _hub_again(stage, running)
                found.setdefault("hub", []).append(_strike(spec, options.jitter, running.server, again))
    how = f"jitter {options.jitter:g} s" if options.jitter else "at once"
    report.heading(f"storm: {options.machines:,} machines come back {how}, {options.database}")
    for name, runs in found.items():
        report.row(f"{name}: all live again after", [run.seconds for run in runs], "s", 2)
        report.row(f"{name}: half of them after", [run.p50_ms / 1000 for run in runs], "s", 2)
        report.row(f"{name}: attempts", [run.attempts for run in runs], "", 0)
        report.row(f"{name}: first connection of all took", [run.connect_s for run in runs], "s", 2)
    if len(found) == 2:
        ours, bare = found["hub"], found["bare"]
        report.ratio("hub / bare: all live again", [r.seconds for r in ours], [r.seconds for r in bare], "<= 2, 15 s")
    return 0


def _strike(spec: Spec, jitter: float, server: Server, again: Callable[[], subprocess.Popen[str]]) -> Found:
    """Gather the crowd, kill the server, start it again on the same port and let everybody return."""
    spec = Spec(form="storm", target=spec.target, watch=spec.watch, jitter_s=jitter)
    load = Load(spec)
    load.line()
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    second = again()
    try:
        return load.found()
    finally:
        end(second, 40)


def _bare_again(port: int) -> Callable[[], subprocess.Popen[str]]:
    def again() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bench.bare", "receive", "--port", str(port)]
        with on_core(0):
            return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    return again


def _hub_again(stage: scene.Scene, running: Hub) -> Callable[[], subprocess.Popen[str]]:
    def again() -> subprocess.Popen[str]:
        url = stage.postgres.url("hub") if stage.postgres else f"sqlite:///{stage.folder / 'hub.sqlite3'}"
        process, _ = start(stage.folder, url, running.server.port)
        return process

    return again


if __name__ == "__main__":
    sys.exit(main())
