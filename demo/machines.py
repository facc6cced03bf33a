"""The demo's machines: enrolled once, their keys kept in the data folder for the next start."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

from db import machines
from demo import remote
from demo.places import city_of, place_of, role_of, zone_of
from hub.cli.data_door import DataDoor, now
from hub.cli.output import CliError, Exit, sentence
from hub.machines import rules
from hub.model import actors, credentials
from hub.model.changes import Change

AGENT_FILE = "agent.json"
SIMULATED_FILE = "simulated_machines.json"
FILES = "machine-files"
"""The folder of the real machine that a lease may read and fill."""
AGENT_INTERVAL_S = 10
"""How often the real agent keeps a sample: often enough that its history can be watched growing."""


class DemoMachine(NamedTuple):
    """One machine the demo needs; `role` is empty for the real agent."""

    device_id: str
    name: str
    location: str
    role: str
    timezone: str = ""
    city: str = ""


class DemoFleet(NamedTuple):
    """The real machine first, then the simulated ones, each with its key."""

    machines: list[DemoMachine]
    keys: dict[str, str]

    def write(self, folder: Path, url: str) -> None:
        """What the agent and the simulator read, and the next start as well: 0600, replaced in one step.

        The agent may read this computer, and change nothing on it: no reboot, no time zone, no look-up of its address.
        What a lease reaches is for people on this computer only (`demo_remote`).
        """
        agent, *simulated = self.machines
        secret_file(
            folder / AGENT_FILE,
            {
                "myrvm_base_url": url,
                "api_token": self.keys[agent.device_id],
                "rvm_id": agent.device_id,
                "metrics_interval": AGENT_INTERVAL_S,
                "system_control": False,
                "auto_sync_enabled": False,
                **remote.remote_settings(folder / FILES),
            },
        )
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


async def enrol_fleet(door: DataDoor, folder: Path, count: int) -> DemoFleet:
    """The machines of an earlier start with their keys, and whatever is missing, in one transaction."""
    kept = kept_keys(folder)
    rows = {row.device_id: row for row in await machines.all_machines(door.store)}
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
                machine.name, machine.device_id, machine.location, actors.SYSTEM, now(), simulated=bool(machine.role)
            )
        keys[machine.device_id] = secret.text
        changes += more
    if changes:
        await door.record(*changes)
    return DemoFleet(wanted, keys)


def kept_keys(folder: Path) -> dict[str, str]:
    """Keys by device_id, as far as an earlier start left them."""
    agent, simulated = _read(folder / AGENT_FILE), _read(folder / SIMULATED_FILE)
    keys = {str(agent["rvm_id"]): str(agent["api_token"])} if {"rvm_id", "api_token"} <= agent.keys() else {}
    return keys | {m["device_id"]: m["api_key"] for m in simulated.get("machines", ())}


def secret_file(path: Path, content: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    fresh.replace(path)


def _this_computer(folder: Path) -> DemoMachine:
    """Named after the host; its id stays that of the first start, whatever the host is called later."""
    host = "".join(c for c in socket.gethostname() if c.isprintable()).strip()[:100] or "this-computer"
    known = _read(folder / AGENT_FILE).get("rvm_id")
    return DemoMachine(str(known or rules.device_id_for(host)), host, sentence("demo.this_computer"), "")


def _simulated(index: int, count: int) -> DemoMachine:
    place = place_of(index)
    number = f"RVM-{index + 1:03d}"
    return DemoMachine(
        number.lower(),
        f"{number} {place.name}",
        f"{place.name}, {place.where}",
        role_of(index, count),
        zone_of(place),
        city_of(place),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
