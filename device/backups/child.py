"""The agent's child process that archives, uploads and verifies: low priority, the key by its input."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import resource
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import msgspec

from device.backups.control import (
    MAX_LINE,
    Assignment,
    ChildFailedError,
    ChildFailure,
    ChildReport,
    Control,
    Gate,
    Yielding,
)

NICENESS: Final = 15
_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "armv7l": 314}
_WHO_PROCESS: Final = 1
_BEST_EFFORT_LAST: Final = (2 << 13) | 7
"""Not `idle`: on a busy disk that never gets a turn."""

Work = Callable[[Assignment, Control], dict[str, Any]]


def lower_priority() -> None:
    """Behind all else for CPU and disk, where the kernel lets it."""
    os.nice(NICENESS)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None, use_errno=True).syscall(number, _WHO_PROCESS, 0, _BEST_EFFORT_LAST)


def work_of(kind: str) -> Work:
    """Loads only this kind: the memory is counted."""
    if kind == "verify":
        from device.backups import verify

        return verify.run
    if kind == "restore":
        from device.backups import restore_stage

        return restore_stage.run
    from device.backups import upload

    return upload.run


def main() -> int:
    """Does one assignment; 0 when its end was reported."""
    lower_priority()
    assignment = msgspec.json.decode(sys.stdin.buffer.readline(MAX_LINE), type=Assignment)
    control = Control(Gate(assignment.rate), _send)
    threading.Thread(target=_follow, args=(control.gate, sys.stdin.buffer), daemon=True).start()
    gc.freeze()
    try:
        ended = ChildReport(result=work_of(assignment.kind)(assignment, control), peak_rss=_peak_rss())
    except ChildFailedError as failed:
        ended = ChildReport(failure=ChildFailure(code=failed.code, message=failed.message[:500]), peak_rss=_peak_rss())
    control.report(ended)
    return 0


def _send(report: ChildReport) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def _follow(gate: Gate, inward: BinaryIO) -> None:
    decoder = msgspec.json.Decoder(Yielding)
    with contextlib.suppress(OSError, msgspec.DecodeError):
        while line := inward.readline(MAX_LINE):
            gate.set(decoder.decode(line))
    os.kill(os.getpid(), signal.SIGKILL)  # whatever its threads are in: all that must last is on disk


def _peak_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
