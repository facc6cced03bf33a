"""The demo's other processes: started, watched, started again when they die, ended with the hub.

Each is a session of its own, so that Ctrl-C reaches only the hub, which then asks them to end; and each watches its
standard input, which closes when the hub is gone however it went, kill -9 included.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
STEADY_S = 60.0
"""A child that lived this long begins again with the shortest delay."""
END_S = 6.0
"""From the request to end until it is killed."""
MAX_LOG_BYTES = 1_000_000


@dataclass(frozen=True)
class ChildPlan:
    """What to start. Its output goes to `log`, which begins anew when it has grown too long."""

    name: str
    command: Sequence[str]
    log: Path
    folder: Path
    environment: Mapping[str, str]


Ended = Callable[[ChildPlan, int, float], None]


class Children:
    """`start` once, `ask_to_end` from anywhere, `wait` until all are gone."""

    def __init__(self, plans: Sequence[ChildPlan], on_ended: Ended) -> None:
        """`on_ended(plan, exit code, seconds until it is started again)` is called from a thread."""
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
        """SIGTERM to all; returns at once."""
        with self._lock:
            self._ending.set()
            for process in self._running.values():
                process.terminate()

    def wait(self) -> None:
        """Until all are gone; who does not end in time is killed."""
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
