"""`run_hub.py` as a process of its own, as a person starts it: what it prints, its signals, what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue

import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
START_S = 60.0


class DoorProcess:
    """Running from the start; after `close` gone with everything it started. `lines` is what it printed so far."""

    def __init__(self, words: Sequence[object], environment: dict[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RVM_")}
        self._process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "run_hub.py"), *map(str, words)],
            cwd=REPOSITORY,
            env=kept | {"RVM_LANG": "en", "RVM_BOOTSTRAP": "off"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.lines: list[str] = []
        self.errors = ""
        self._seen: list[psutil.Process] = []
        self._printed: Queue[str] = Queue()
        self._readers = [threading.Thread(target=work, daemon=True) for work in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def close(self) -> None:
        for process in [*self._seen, *self.family()]:
            if process.is_running():
                process.kill()
        self._process.wait(10)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._printed.put(line.rstrip("\n"))

    def _read_errors(self) -> None:
        for line in self._process.stderr or ():
            self.errors += line

    def wait_for(self, pattern: str, limit_s: float = START_S) -> re.Match[str]:
        """The first printed line that fits; fails with everything it said when none came in time."""
        ends = time.monotonic() + limit_s
        for line in self.lines:
            if found := re.search(pattern, line):
                return found
        while time.monotonic() < ends:
            try:
                line = self._printed.get(timeout=0.1)
            except Empty:
                if self._process.poll() is None:
                    continue
                break
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"{pattern!r} was not printed; exit {self._process.poll()}\n{self.lines}\n{self.errors}")

    def family(self) -> list[psutil.Process]:
        """The process and everything it has started."""
        try:
            parent = psutil.Process(self.pid)
            self._seen = [*parent.children(recursive=True), parent]
        except psutil.NoSuchProcess:
            return []
        return list(self._seen)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, limit_s: float = 35.0) -> int:
        """The exit code, once it has ended by itself."""
        code = self._process.wait(limit_s)
        for reader in self._readers:
            reader.join(5)
        while not self._printed.empty():
            self.lines.append(self._printed.get())
        return code
