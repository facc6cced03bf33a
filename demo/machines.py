"""Enrols the demo's machines once, and keeps their keys in the data folder.

Simulated ones stand in real places of Indonesia's three time zones. The real one offers this computer a control
page, a camera page and a folder for files."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from db.queries import machines
from hub.cli.data import OpenData, now
from hub.cli.output import CliError, Exit, sentence
from hub.machines import rules
from hub.model import actors, credentials
from hub.model.changes import Change

AGENT_FILE = "agent.json"
SIMULATED_FILE = "simulated_machines.json"
FILES = "machine-files"
CONFIGURATION = "machine-configuration"
"""What the real machine backs up from the first day on."""
AGENT_INTERVAL_S = 10
"""Often enough to watch the real machine's history grow."""


class DemoMachine(NamedTuple):
    """`role` "": the real agent."""

    device_id: str
    name: str
    location: str
    role: str
    timezone: str = ""
    city: str = ""
    at: tuple[float | None, float | None] = (None, None)


class DemoFleet(NamedTuple):
    """The real machine first."""

    machines: list[DemoMachine]
    keys: dict[str, str]

    def write(self, folder: Path, url: str) -> None:
        """Read by agent and simulator, and at the next start: 0600, replaced in one step.

        The agent may read this computer and change nothing: no reboot, no time zone, no look-up. Remote sessions
        reach this computer's people only."""
        agent, *simulated = self.machines
        settings = {
            "myrvm_base_url": url,
            "rvm_id": agent.device_id,
            "metrics_interval": AGENT_INTERVAL_S,
            "system_control": False,
            "auto_sync_enabled": False,
            **remote_settings(folder / FILES),
        }
        settings["backup_sources"]["configuration"] = keep_configuration(folder / CONFIGURATION, settings)
        secret_file(folder / AGENT_FILE, {**settings, "api_token": self.keys[agent.device_id]})
        plans = [
            {
                "device_id": m.device_id,
                "api_key": self.keys[m.device_id],
                "role": m.role,
                "name": m.name,
                "timezone": m.timezone,
                "city": m.city,
            }
            for m in simulated
        ]
        secret_file(folder / SIMULATED_FILE, {"url": f"{url.replace('http', 'ws', 1)}/ws/device", "machines": plans})


async def enrol_fleet(opened: OpenData, folder: Path, count: int) -> DemoFleet:
    """An earlier start's with their keys, and what is missing, in one transaction."""
    kept = kept_keys(folder)
    rows = {row.device_id: row for row in await machines.all_machines(opened.store)}
    if rows and not kept:
        raise CliError(
            Exit.CONFIGURATION, "not_a_demo", sentence("demo.foreign", path=folder), sentence("demo.foreign.fix")
        )
    wanted = [_this_computer(folder), *(_simulated(index, count) for index in range(count))]
    changes: list[Change] = []
    keys: dict[str, str] = {}
    for machine in wanted:
        row, key = rows.get(machine.device_id), kept.get(machine.device_id)
        if row is not None and key and credentials.same_hash(credentials.hash_of(key), row.api_key):
            keys[machine.device_id] = key
            continue
        if row is not None:
            secret, more = rules.new_key(row.id, row.api_key_prefix, actors.SYSTEM, now())
        else:
            secret, more = rules.new_machine(
                rules.MachineFacts(
                    machine.name, machine.device_id, machine.location, place=machine.at, simulated=bool(machine.role)
                ),
                actors.SYSTEM,
                now(),
            )
        keys[machine.device_id] = secret.text
        changes += more
    if changes:
        await opened.commit(*changes)
    return DemoFleet(wanted, keys)


def kept_keys(folder: Path) -> dict[str, str]:
    agent, simulated = _read(folder / AGENT_FILE), _read(folder / SIMULATED_FILE)
    keys = {str(agent["rvm_id"]): str(agent["api_token"])} if {"rvm_id", "api_token"} <= agent.keys() else {}
    return keys | {m["device_id"]: m["api_key"] for m in simulated.get("machines", ())}


def keep_configuration(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """What the agent runs with, but for its key: whoever may download a backup must not read that."""
    folder.mkdir(mode=0o700, exist_ok=True)
    secret_file(folder / AGENT_FILE, dict(settings))
    return {"path": str(folder), "class": "configuration"}


def secret_file(path: Path, content: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    fresh.replace(path)


def _this_computer(folder: Path) -> DemoMachine:
    """Named after the host; its id stays the first start's."""
    host = "".join(c for c in socket.gethostname() if c.isprintable()).strip()[:100] or "this-computer"
    known = _read(folder / AGENT_FILE).get("rvm_id")
    return DemoMachine(str(known or rules.device_id_for(host)), host, sentence("demo.this_computer"), "")


def _simulated(index: int, count: int) -> DemoMachine:
    place = place_of(index)
    number = f"RVM-{index + 1:03d}"
    return DemoMachine(
        number.lower(),
        f"{number} {place.name}",
        place.where,
        role_of(index, count),
        zone_of(place),
        place.where,
        place.at,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


class Site(NamedTuple):
    """`zone`: as people there call it. `at`: latitude and longitude in degrees."""

    name: str
    where: str
    zone: str
    at: tuple[float, float]


PLACES: Final = (
    Site("Stasiun Gambir", "Jakarta Pusat", "WIB", (-6.18, 106.83)),
    Site("Mall Kelapa Gading", "Jakarta Utara", "WIB", (-6.16, 106.91)),
    Site("Terminal Blok M", "Jakarta Selatan", "WIB", (-6.24, 106.8)),
    Site("Pasar Baru", "Bandung", "WIB", (-6.92, 107.6)),
    Site("Simpang Lima", "Semarang", "WIB", (-6.99, 110.42)),
    Site("Stasiun Tugu", "Yogyakarta", "WIB", (-7.79, 110.36)),
    Site("Tunjungan Plaza", "Surabaya", "WIB", (-7.26, 112.74)),
    Site("Alun-Alun Tugu", "Malang", "WIB", (-7.98, 112.63)),
    Site("Lapangan Merdeka", "Medan", "WIB", (3.59, 98.68)),
    Site("Jembatan Ampera", "Palembang", "WIB", (-2.99, 104.76)),
    Site("Pelabuhan Bakauheni", "Lampung", "WIB", (-5.87, 105.75)),
    Site("Taman Alun Kapuas", "Pontianak", "WIB", (-0.02, 109.34)),
    Site("Bandara Ngurah Rai", "Denpasar", "WITA", (-8.75, 115.17)),
    Site("Pantai Losari", "Makassar", "WITA", (-5.14, 119.41)),
    Site("Mega Mall", "Manado", "WITA", (1.48, 124.84)),
    Site("Islamic Center", "Mataram", "WITA", (-8.58, 116.1)),
    Site("Pasar Terapung", "Banjarmasin", "WITA", (-3.32, 114.59)),
    Site("Pelabuhan Semayang", "Balikpapan", "WITA", (-1.27, 116.8)),
    Site("Pasar Mardika", "Ambon", "WIT", (-3.69, 128.18)),
    Site("Mall Jayapura", "Jayapura", "WIT", (-2.54, 140.7)),
)

_ZONES: Final = {"WIB": "Asia/Jakarta", "WITA": "Asia/Makassar", "WIT": "Asia/Jayapura"}

_SPREAD: Final = {
    2: "full",
    5: "hot",
    8: "offline",
    11: "late",
    14: "maintenance",
    0: "busy",
    13: "guessing",
    4: "misconfigured",
    17: "slow",
    18: "unpermitted",
}
"""Machines with a fault, by their place in the list; what matters most first."""
SPECIAL_ROLES: Final = tuple(_SPREAD.values())
"""One machine each; others are normal."""


def role_of(index: int, count: int) -> str:
    """Spread over the list; a short list has fewer."""
    if count <= max(_SPREAD):
        return SPECIAL_ROLES[index] if index < len(SPECIAL_ROLES) else "normal"
    return _SPREAD.get(index, "normal")


def place_of(index: int) -> Site:
    """Places repeat, numbered, when there are more machines."""
    place, again = PLACES[index % len(PLACES)], index // len(PLACES)
    return place if again == 0 else place._replace(name=f"{place.name} {again + 1}")


def zone_of(place: Site) -> str:
    return _ZONES[place.zone]


CAMERA_PORT: Final = 5000
CONTROL_PORT: Final = 5001
HERE: Final = ["127.0.0.1/32", "::1/128"]
"""A demo listens on loopback, so its people come from there."""


def remote_settings(files: Path) -> dict[str, Any]:
    """A taken port gives way to a free one."""
    _make_folder(files)
    camera = free_port(CAMERA_PORT)
    control = free_port(CONTROL_PORT)
    return {
        "admin_ips": HERE,
        "remote_access_port": control,
        "remote_access_ports": [camera, control],
        "remote_services": {str(camera): {"start": [sys.executable, "-m", "demo.camera", "--port", str(camera)]}},
        "remote_download_folders": [str(files)],
        "remote_upload_folders": [str(files)],
        "backup_sources": {"files": {"path": str(files), "class": "data"}},
    }


def _make_folder(files: Path) -> None:
    """A root agent opens files as somebody who may not enter root's folders: then a link to a folder for everybody
    is declared."""
    if os.geteuid() != 0 or files.is_dir():
        files.mkdir(mode=0o755, exist_ok=True)
        return
    files.unlink(missing_ok=True)
    place = Path(tempfile.mkdtemp(prefix="myrvm-demo-files-"))
    place.chmod(0o1777)
    files.symlink_to(place)


def free_port(wanted: int) -> int:
    """Else any free one on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES) or not wanted:
                raise
            return free_port(0)
        return int(probe.getsockname()[1])
