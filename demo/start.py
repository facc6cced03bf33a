"""Runs `run_hub.py --demo`: a hub with one real agent and simulated machines, all ended by one Ctrl-C.

Each child is a session of its own, so that Ctrl-C reaches only the hub, which then ends them; each watches its
stdin, which closes with the hub, kill -9 included. One that dies is started again."""

from __future__ import annotations

import argparse
import asyncio
import logging
import logging.handlers
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.machines import AGENT_FILE, SIMULATED_FILE, DemoFleet, enrol_fleet
from demo.scenes import Scenes, write_settings
from hub.cli import output
from hub.cli.data import CHECKOUT, open_data, settings_of
from hub.cli.output import CliError, Exit, sentence
from hub.cli.people import SignInLink
from hub.cli.start import check_address, log_level, prepare_people, show_start
from hub.log_format import TextLines
from hub.settings import Settings

MACHINES = 20
MOST_MACHINES = 500
KEPT_VARIABLES = ("RVM_LANG", "RVM_VENV")
AGENT_VARIABLES = ("API_TOKEN", "API_TOKEN_FILE", "MYRVM_BASE_URL", "STATE_DIR")


def run(wanted: argparse.Namespace) -> int:
    """Until Ctrl-C; the hub's exit code. Nothing it started outlives it."""
    count = MACHINES if wanted.machines is None else wanted.machines
    if not 0 <= count <= MOST_MACHINES:
        raise CliError(Exit.USAGE, "machines", sentence("demo.machines.bad"))
    settings = demo_settings(wanted)
    check_address(settings)
    fleet, link = asyncio.run(_prepare(settings, count))
    children = Children(_plans(settings.data_dir), _report)
    from hub import serving

    def ready(url: str) -> None:
        _log_to_file(settings)
        fleet.write(settings.data_dir, url)
        children.start()
        shown = sentence("start.machines_note", count=count)
        show_start(settings, url, link, wanted, machines=shown)

    try:
        return serving.serve(settings, ready, children.ask_to_end, Scenes(fleet).play, level=log_level(wanted))
    finally:
        children.ask_to_end()
        children.wait()


def demo_settings(wanted: argparse.Namespace) -> Settings:
    """Its own folder and database: a demo never touches a real hub's data, whatever the environment has."""
    if wanted.database_url:
        raise CliError(Exit.USAGE, "database_url", sentence("demo.with_database"), sentence("demo.with_database.fix"))
    folder = wanted.data_dir or os.environ.get("RVM_DATA_DIR") or CHECKOUT / "data" / "demo"
    folder = Path(folder).expanduser().absolute()
    return settings_of(wanted, data_dir=folder, database_url=f"sqlite:///{folder / 'hub.sqlite3'}")


async def _prepare(settings: Settings, count: int) -> tuple[DemoFleet, SignInLink | None]:
    async with open_data(settings, create=True, serving=True) as opened:
        fleet = await enrol_fleet(opened, settings.data_dir, count)
        await write_settings(opened, fleet)
        fleet.write(settings.data_dir, "http://127.0.0.1")  # keys are kept even if the hub does not come up
        return fleet, await prepare_people(opened, settings, always=True)


def _plans(folder: Path) -> list[ChildPlan]:
    agent = [sys.executable, str(CHECKOUT / "run_device.py"), "--config", str(folder / AGENT_FILE)]
    simulator = [sys.executable, "-m", "demo.fleet_simulator", "--config", str(folder / SIMULATED_FILE)]
    environment = _environment(os.environ)
    return [
        ChildPlan("agent", [*agent, "--exit-with-parent"], folder / "agent.log", CHECKOUT, environment),
        ChildPlan("simulator", [*simulator, "--exit-with-parent"], folder / "simulator.log", CHECKOUT, environment),
    ]


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Without what is meant for the hub or another agent here."""
    foreign = [name for name in environ if name.startswith("RVM_") and name not in KEPT_VARIABLES]
    kept = {name: value for name, value in environ.items() if name not in (*foreign, *AGENT_VARIABLES)}
    return kept | {"RVM_BOOTSTRAP": "off"}


def _log_to_file(settings: Settings) -> None:
    """The terminal shows the way in, then only warnings; the rest is in a file."""
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.WARNING)
    file = logging.handlers.RotatingFileHandler(settings.data_dir / "hub.log", maxBytes=MAX_LOG_BYTES, backupCount=1)
    file.setFormatter(TextLines(with_time=True))
    logging.getLogger().addHandler(file)


def _report(plan: ChildPlan, code: int, delay: float) -> None:
    how = f"exit {code}" if code >= 0 else f"signal {-code}"
    output.note(sentence("child.ended", name=sentence(f"child.{plan.name}"), how=how, delay=round(delay), log=plan.log))


FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
STEADY_S = 60.0
"""A child that lived so long resets the delay."""
END_S = 6.0
"""Until it is killed."""
MAX_LOG_BYTES = 1_000_000


@dataclass(frozen=True)
class ChildPlan:
    """Output goes to `log`, which begins anew when too long."""

    name: str
    command: Sequence[str]
    log: Path
    folder: Path
    environment: Mapping[str, str]


Ended = Callable[[ChildPlan, int, float], None]


class Children:
    """`start` once, `ask_to_end` from anywhere, `wait` for the end."""

    def __init__(self, plans: Sequence[ChildPlan], on_ended: Ended) -> None:
        """`on_ended(plan, exit code, seconds until restart)`: from a thread."""
        self._plans = plans
        self._on_ended = on_ended
        self._ending = threading.Event()
        self._lock = threading.Lock()
        # Bound: one a plan of the demo.
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        # Bound: one a plan of the demo.
        self._keepers: list[threading.Thread] = []

    def start(self) -> None:
        for plan in self._plans:
            keeper = threading.Thread(target=self._keep, args=(plan,), name=f"keeper of {plan.name}", daemon=True)
            self._keepers.append(keeper)
            keeper.start()

    def ask_to_end(self) -> None:
        """SIGTERM; returns at once."""
        with self._lock:
            self._ending.set()
            for process in self._running.values():
                process.terminate()

    def wait(self) -> None:
        """Until all are gone; late ones are killed."""
        ends = time.monotonic() + END_S
        for keeper in self._keepers:
            keeper.join(max(0.0, ends - time.monotonic()))
        with self._lock:
            for process in self._running.values():
                process.kill()
        for keeper in self._keepers:
            keeper.join(END_S)

    def _keep(self, plan: ChildPlan) -> None:
        delay = FIRST_DELAY_S
        while True:
            began = time.monotonic()
            process = self._launch(plan)
            if process is None:
                return
            code = process.wait()
            with self._lock:
                self._running.pop(plan.name, None)
            if self._ending.is_set():
                return
            delay = FIRST_DELAY_S if time.monotonic() - began > STEADY_S else delay
            self._on_ended(plan, code, delay)
            if self._ending.wait(delay):
                return
            delay = min(delay * 2, LONGEST_DELAY_S)

    def _launch(self, plan: ChildPlan) -> subprocess.Popen[bytes] | None:
        with self._lock:  # against a request to end that comes between the start and the note of it
            if self._ending.is_set():
                return None
            too_long = plan.log.exists() and plan.log.stat().st_size > MAX_LOG_BYTES
            with plan.log.open("wb" if too_long else "ab") as log:
                process = subprocess.Popen(
                    plan.command,
                    cwd=plan.folder,
                    env=dict(plan.environment),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._running[plan.name] = process
            return process
