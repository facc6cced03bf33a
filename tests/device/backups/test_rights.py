"""A backup by an agent that may not read everything: what it cannot read is a line of the report, and no failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.device.agent_process import ROOT
from tests.device.backups.test_service import unpacked
from tests.support.fake_backups import FakeBackups, fake_backups
from tests.support.fake_hub import KEY
from tests.support.two_users import only_root, reachable_folder, visitor

pytestmark = only_root
WHO = visitor()
AS_SOMEBODY = """
import json, os, sys
sys.path.append(sys.argv[1])
import archive.age, encodings.idna, msgspec
from device.backups import upload
from device.backups.control import Assignment, ChildFailedError, Control, Gate
os.setgroups([]), os.setgid(int(sys.argv[3])), os.setuid(int(sys.argv[2]))
assignment = msgspec.json.decode(sys.stdin.buffer.read(), type=Assignment)
print(json.dumps(upload.run(assignment, Control(Gate(0.0), lambda report: None))))
"""
"""Interpreter and code may lie where only root gets."""


@pytest.fixture
def hub() -> Iterator[FakeBackups]:
    with fake_backups() as made:
        yield made


def back_up(hub: FakeBackups, source: Path, state: Path) -> dict[str, Any]:
    args = {
        "backup_type": "full", "include_images": True, "include_logs": True, "agent_file": None, "compression": "gzip",
        "public_key": "", "identity_file": "", "chain_most": 7, "read_all": False, "workers": 1,
        "created_at": "2026-11-29T00:00:00Z", "sources": {"data": {"path": str(source), "class": "data"}},
    }  # fmt: skip
    assignment = {
        "kind": "backup", "backup_id": 1, "folder": str(state), "args": args,
        "hub": {"base_url": hub.url, "api_token": KEY, "device_id": "rvm-1", "timeout": 10.0},
    }  # fmt: skip
    words = [sys.executable, "-I", "-c", AS_SOMEBODY, str(ROOT), str(WHO.uid), str(WHO.gid)]
    done = subprocess.run(words, input=json.dumps(assignment).encode(), capture_output=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_may_not_be_read_is_reported_and_the_rest_is_there(hub: FakeBackups) -> None:
    with reachable_folder() as root:
        source, state = root / "source", root / "state"
        for folder in (source, source / "closed", state):
            folder.mkdir()
        os.chown(state, WHO.uid, WHO.gid)
        (source / "open.txt").write_text("for everybody")
        (source / "secret.txt").write_text("for root")
        (source / "secret.txt").chmod(0o600)
        (source / "closed" / "inside.txt").write_text("for root")
        (source / "closed").chmod(0o700)
        result = back_up(hub, source, state)
    assert unpacked(hub.backup(1).archive) == {"data/open.txt": b"for everybody"}
    assert {line["path"] for line in result["report"]} == {"data/secret.txt", "data/closed"}
    assert sum(result["report_counts"].values()) == 2
