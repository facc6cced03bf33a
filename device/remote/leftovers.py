"""Ends services that a killed agent left running for a session."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from device.kernel import state_file
from device.settings import without_key
from device.settings.values import OnDemand

FILE: Final = "on-demand"
STOP_S: Final = 20.0


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """`born` distinguishes it from a later process with the same number."""

    port: int
    pid: int
    born: str


def end_orphans(state_dir: Path, services: Mapping[int, OnDemand]) -> list[int]:
    """Returns the ports. The configuration names the commands. Blocks."""
    file = state_dir / FILE
    ended = []
    for one in state_file.read_value(file, list[Started]) or []:
        service = services.get(one.port)
        if service is not None and service.stop is not None:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(service.stop, timeout=STOP_S, check=False, capture_output=True, env=without_key())  # noqa: S603 - the owner's own
        if one.born and born(one.pid) == one.born:
            signal_group(one.pid, signal.SIGKILL)
        ended.append(one.port)
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
    return ended


def born(pid: int) -> str:
    """Its start in the kernel's ticks; empty: none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def signal_group(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, what)
