"""What is beside the agent with other rights: the small service of root's (its program, its list of what is allowed),
the program that writes down how worn the disks are, and the user of terminals and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from device.privileged import daemon, disk_health, units
from installer import service
from installer.steps import Step, file, folder, gone, group, no_group, no_user, user

PROGRAM: Final = Path(units.PRIVILEGED_FILE)
DISK_HEALTH: Final = Path(units.DISK_HEALTH_FILE)
ALLOWED: Final = Path(units.ALLOWED_FILE)
SERVICE: Final = "myrvm-privileged.service"
SESSION_HOME: Final = Path("/var/lib/myrvm-session")


def steps(machine_file: bytes) -> list[Step]:
    """`machine_file`: whose services may be restarted. A list that is there stays: root may have changed it."""
    written = file(PROGRAM, Path(daemon.__file__).read_bytes(), 0o755)
    allowed = file(ALLOWED, units.allowed_file(_services(machine_file)).encode(), 0o644)

    def exchange() -> None:
        written.do()
        stop = service.stopped(SERVICE)  # the next call starts the new one
        if not stop.is_done():
            stop.do()

    session = units.SESSION_USER
    return [
        group(session),
        user(session, SESSION_HOME),
        folder(SESSION_HOME, 0o700, (session, session)),
        folder(PROGRAM.parent, 0o755),
        written._replace(do=exchange),
        file(DISK_HEALTH, Path(disk_health.__file__).read_bytes(), 0o755),
        allowed._replace(is_done=ALLOWED.exists),
    ]


def removal(*, purge: bool) -> list[Step]:
    session = units.SESSION_USER
    purged = [gone(ALLOWED), gone(SESSION_HOME), no_user(session), no_group(session)]
    written = Path("/run", disk_health.FOLDER)
    return [gone(PROGRAM.parent), gone(written), *(purged if purge else ())]


def _services(machine_file: bytes) -> list[str]:
    try:
        found = json.loads(machine_file)["services"]
    except (ValueError, KeyError, TypeError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
