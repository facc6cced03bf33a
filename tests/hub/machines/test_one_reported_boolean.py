"""One more boolean that machines report costs five edits on the hub: tried on a copy of the house."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[3]
ROOMS = ("protocol", "texts", "db", "hub", "dashboard", "certs", "tests/support")


class Edit(NamedTuple):
    """`new` stands after `after`; a file without one is a new file."""

    path: str
    after: str
    new: str


EDITS = (
    Edit("protocol/messages.py", "    busy: bool | None = None\n    ntp: bool | None = None\n",
         "    lid_open: bool | None = None\n"),
    Edit("db/records.py", "    ntp: bool | None = None\n", "    lid_open: bool | None = None\n"),
    Edit("db/schema.py", '    sa.Column("ntp", sa.Boolean),\n', '    sa.Column("lid_open", sa.Boolean),\n'),
    Edit("db/migrations/versions/9999_whether_the_lid_is_open.py", "", f'''
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{max(path.name[:4] for path in (ROOT / "db/migrations/versions").glob("0*.py"))}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reverse_vending_machines", sa.Column("lid_open", sa.Boolean()))
'''),
    Edit("hub/links/rules.py", '        "ntp": hello.ntp,\n', '        "lid_open": hello.lid_open,\n'),
)  # fmt: skip
"""The wire, the record, the schema, its migration, and the line of the handler's rule."""

SHOWS = """
import asyncio, json, sys
from datetime import datetime, timezone
import msgspec
from db.engine.store import open_store
from hub.kernel.commits import commit_alone
from hub.kernel.loading import load_fleet
from hub.links import rules
from hub.machines import api
from hub.machines.rules import MachineFacts, new_machine
from hub.model import views
from hub.model.changes import put_rows
from db.records import MachineRow
from protocol import configuration, messages

NOW = datetime(2026, 11, 23, 9, tzinfo=timezone.utc)

async def main():
    store = await open_store(sys.argv[1])
    _, made = new_machine(MachineFacts("Lobby", "lobby"), "system", NOW)
    await commit_alone(store, made)
    fleet = await load_fleet(store, configuration.defaults())
    machine = fleet.find("lobby")
    hello = {"type": "hello", "protocol": 2, "agent_version": "1", "device_id": "lobby", "boot_id": "b",
             "capabilities": [], "status": "active", "config_version": 0, "time": "2026-11-23T09:00:00Z",
             "lid_open": True}
    hello = msgspec.json.decode(json.dumps(hello), type=messages.Hello)
    stored = await commit_alone(store, rules.introduce(machine, hello, 1, None, NOW, "UTC"))
    touched = fleet.apply_all(stored)
    again = (await load_fleet(store, configuration.defaults())).find("lobby")
    await store.close()
    print(json.dumps({
        "stored": again.row.lid_open,
        "rest": views.machine_detail(machine)["lid_open"],
        "feed": any("lid_open" in touch.members for touch in touched),
        "delta": views.machine_delta(machine, ["lid_open"]),
        "shape": "lid_open" in api.MachineView.__struct_fields__,
    }))

asyncio.run(main())
"""


def copy_with(folder: Path, edits: tuple[Edit, ...]) -> None:
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "static"))
    for edit in edits:
        path = folder / edit.path
        text = path.read_text(encoding="utf-8") if edit.after else ""
        assert text.count(edit.after) == 1 or not edit.after, f"{edit.path} has changed: bring the walk up to date"
        path.write_text(text.replace(edit.after, edit.after + edit.new) if edit.after else edit.new, encoding="utf-8")


def shown(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-c", SHOWS, f"sqlite:///{folder / 'walk.sqlite3'}"]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_reported_boolean_is_stored_sent_and_described_after_five_edits(tmp_path: Path) -> None:
    assert len(EDITS) <= 5
    copy_with(tmp_path, EDITS)
    assert shown(tmp_path) == {
        "stored": True, "rest": True, "feed": True, "delta": {"id": 1, "lid_open": True}, "shape": True,
    }  # fmt: skip
