"""Processes of a benchmark: the server's side on one core, the load on the other, each started and ended from here."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.load_spec import Found, Spec

ROOT = Path(__file__).resolve().parent.parent


class Server(NamedTuple):
    """Something that listens; `pids` are charged to it, the first is the process itself."""

    process: subprocess.Popen[str]
    port: int
    pids: list[int]


@contextlib.contextmanager
def on_core(number: int) -> Iterator[None]:
    """What is started inside runs on that core (when the computer has it)."""
    allowed = os.sched_getaffinity(0)
    ordered = sorted(allowed)
    if len(ordered) > 1:
        os.sched_setaffinity(0, {ordered[number % len(ordered)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextlib.contextmanager
def bare(kind: str, store: str = "", also: tuple[int, ...] = ()) -> Iterator[Server]:
    """A yardstick of `bench.bare` on the server's core; `also` are pids charged to it too (its database)."""
    command = [sys.executable, "-m", "bench.bare", kind, "--store", store]
    with on_core(0):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield Server(process, int(json.loads(line)["port"]), [process.pid, *also])
    finally:
        end(process)


def end(process: subprocess.Popen[str], seconds: float = 10.0) -> None:
    """Ask it to end; kill it when it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


class LoadError(Exception):
    """The load process ended without a result."""


class Load:
    """A load process on the other core."""

    def __init__(self, spec: Spec) -> None:
        with on_core(1):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.load"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(spec).decode() + "\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoadError("the load process failed; its error is above")
        return line.strip()

    def stop(self) -> None:
        """End it without a result."""
        self._process.kill()
        self._process.communicate()

    def found(self) -> Found:
        try:
            return msgspec.json.decode(self.line(), type=Found)
        finally:
            self._process.communicate()


def run_load(spec: Spec) -> Found:
    """One run from start to result."""
    return Load(spec).found()
