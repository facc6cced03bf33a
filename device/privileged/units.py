"""Names and texts of the units beside the agent's own; the installer writes what stands here.

Standard library only: an installer runs before the agent's packages are there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from device.privileged import disk_health

SERVICE_USER: Final = "myrvm-service"
SESSION_USER: Final = "myrvm-session"
PRIVILEGED_SOCKET: Final = "/run/myrvm-privileged.sock"
"""In /run itself: a folder of the agent's unit would go with the agent."""
SESSION_SOCKET: Final = "/run/myrvm-session.sock"
PRIVILEGED_FILE: Final = "/usr/local/lib/myrvm/privileged.py"
"""A copy of `daemon.py` that no release changes."""
DISK_HEALTH_FILE: Final = "/usr/local/lib/myrvm/disk_health.py"
"""A copy of `disk_health.py`."""
ALLOWED_FILE: Final = "/etc/myrvm-privileged.json"
"""In /etc itself, where nobody but root can put another in its place."""
SYSTEM_PYTHON: Final = "/usr/bin/python3"
VERBS: Final = ("set-timezone", "set-ntp", "restart", "start", "stop", "reboot", "shutdown")
"""Of a machine whose owner has said nothing else; mounts are declared by hand."""
_TEXTS: Final = Path(__file__).parent / "unit_files"


def rendered(*, python: str, code: str) -> dict[str, str]:
    """The units by file name. `python`: the release's interpreter; `code`: the folder that contains `device/`; both are
    root's, and everybody may read them."""
    places = {
        "PRIVILEGED_SOCKET": PRIVILEGED_SOCKET,
        "SESSION_SOCKET": SESSION_SOCKET,
        "PRIVILEGED_FILE": PRIVILEGED_FILE,
        "DISK_HEALTH_FILE": DISK_HEALTH_FILE,
        "DISK_HEALTH_FOLDER": disk_health.FOLDER,
        "ALLOWED_FILE": ALLOWED_FILE,
        "SYSTEM_PYTHON": SYSTEM_PYTHON,
        "SERVICE_USER": SERVICE_USER,
        "SESSION_USER": SESSION_USER,
        "PYTHON": _word(python),
        "CODE": _word(code),
    }
    found = {}
    for file in sorted(_TEXTS.iterdir()):
        text = file.read_text(encoding="utf-8")
        for name, value in places.items():
            text = text.replace(f"@{name}@", value)
        found[file.name] = text
    return found


def allowed_file(services: Iterable[str]) -> str:
    """What the agent may have done, for ALLOWED_FILE. `services`: as in the machine's file (`camera` or
    `camera.service`)."""
    units = sorted({name if name.endswith(".service") else f"{name}.service" for name in services})
    written = {"user": SERVICE_USER, "verbs": list(VERBS), "services": units, "mounts": {}}
    return json.dumps(written, indent=2) + "\n"


def _word(path: str) -> str:
    """Raises ValueError for what a unit would read as more than one path."""
    if not path.startswith("/") or not path.isprintable() or set(path) & set(" \t\"'\\%$@;#"):
        raise ValueError(f"{path!r} is no absolute path that a unit takes as one word")
    return path
