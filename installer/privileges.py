"""The small service of root's beside the agent: its program, its list of what is allowed, its socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from device.privileged import daemon, units
from installer import service
from installer.steps import Step, file, folder, gone

PROGRAM: Final = Path(units.PRIVILEGED_FILE)
ALLOWED: Final = Path(units.ALLOWED_FILE)
SERVICE: Final = "myrvm-privileged.service"


def steps(machine_file: bytes) -> list[Step]:
    """`machine_file`: whose services may be restarted. A list that is there stays: root may have changed it."""
    written = file(PROGRAM, Path(daemon.__file__).read_bytes(), 0o755)
    allowed = file(ALLOWED, units.allowed_file(_services(machine_file)).encode(), 0o644)

    def exchange() -> None:
        written.do()
        stop = service.stopped(SERVICE)  # the next call starts the new one
        if not stop.is_done():
            stop.do()

    return [
        folder(PROGRAM.parent, 0o755),
        written._replace(do=exchange),
        allowed._replace(is_done=ALLOWED.exists),
    ]


def removal(*, purge: bool) -> list[Step]:
    return [gone(PROGRAM.parent), *([gone(ALLOWED)] if purge else [])]


def _services(machine_file: bytes) -> list[str]:
    try:
        found = json.loads(machine_file)["services"]
    except (ValueError, KeyError, TypeError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
