"""The arguments of the commands, as the table of protocol.md has them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol.codec import encode
from protocol.commands import ARGUMENTS, DESIRED_STATE
from protocol.limits import MAX_FILE_PATH, MAX_MESSAGE_BYTES, MAX_RESTORE_PATHS
from protocol.messages import Command

GOOD: dict[str, list[dict[str, Any]]] = {
    "set_status": [
        {"status": "full"},
        {
            "status": "active",
            "special_status": "maintenance",
            "capacity": 3,
            "reason": "",
            "until": "2026-11-24T00:00Z",
        },
    ],
    "sync_timezone": [{"trigger": "dashboard_button"}, {"trigger": "schedule", "timezone": "Asia/Jakarta"}],
    "start_remote_access": [
        {"session_id": 1, "admin_ip": "192.168.1.9", "ports": [5001], "duration": 3600, "ticket": "t"},
        {
            "session_id": 1,
            "admin_ip": "",
            "ports": [],
            "duration": 1,
            "ticket": "",
            "allow": ["terminal", "files"],
            "admin": "Siti",
            "reason": "door jams",
            "site": True,
        },
    ],
    "extend_remote_access": [{"session_id": 1, "duration": 600.5}],
    "stop_remote_access": [{"session_id": 1, "reason": "session_completed"}],
    "start_backup": [{"backup_id": 1, "backup_type": "full", "include_images": True, "include_logs": False}],
    "restore_backup": [
        {"backup_id": 1, "dry_run": True},
        {"backup_id": 1, "dry_run": False, "classes": ["data", "logs"], "paths": ["app/config.json", "app/photos"]},
    ],
    "verify_backup": [{"backup_id": 1}],
    "restart_service": [{"service": "myrvm-app"}],
    "reboot": [{"delay": 5}, {}],
    "ping": [{}, {"unknown": "members are ignored"}],
    "renew_key": [{}],
}
BAD: list[tuple[str, dict[str, Any]]] = [
    ("set_status", {}),
    ("set_status", {"status": "sleepy"}),
    ("set_status", {"status": "full", "capacity": 101}),
    ("set_status", {"status": "full", "reason": "x" * 501}),
    ("set_status", {"status": "full", "special_status": "full"}),
    ("start_remote_access", {"session_id": 1, "admin_ip": "x", "ports": [0], "duration": 1, "ticket": "t"}),
    ("start_remote_access", {"session_id": 1, "admin_ip": "x", "ports": [70000], "duration": 1, "ticket": "t"}),
    (
        "start_remote_access",
        {"session_id": 1, "admin_ip": "x", "ports": [], "duration": 1, "ticket": "t", "allow": ["everything"]},
    ),
    ("extend_remote_access", {"session_id": 1, "duration": -1}),
    ("start_backup", {"backup_id": 1, "backup_type": "half", "include_images": True, "include_logs": True}),
    ("start_backup", {"backup_id": -1, "backup_type": "full", "include_images": True, "include_logs": True}),
    ("restore_backup", {"backup_id": 1, "dry_run": True, "classes": []}),
    ("restore_backup", {"backup_id": 1, "dry_run": True, "classes": ["secrets"]}),
    ("restore_backup", {"backup_id": 1, "dry_run": True, "paths": ["a\nb"]}),
    ("restore_backup", {"backup_id": 1, "dry_run": True, "paths": ["a"] * (MAX_RESTORE_PATHS + 1)}),
    ("verify_backup", {}),
    ("reboot", {"delay": -1}),
]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_good_arguments_convert(name: str) -> None:
    assert GOOD[name]
    for args in GOOD[name]:
        assert isinstance(msgspec.convert(args, ARGUMENTS[name]), ARGUMENTS[name])


@pytest.mark.parametrize(("name", "args"), BAD)
def test_bad_arguments_are_refused(name: str, args: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(args, ARGUMENTS[name])


def test_only_desired_state_waits_for_an_offline_machine() -> None:
    assert frozenset(ARGUMENTS) > DESIRED_STATE == {"set_status", "sync_timezone", "start_backup"}


@pytest.mark.parametrize("letter", ["a", '"', "\U0001f9f4"])
def test_the_longest_list_of_paths_fits_into_one_frame(letter: str) -> None:
    args = {"backup_id": 1, "dry_run": False, "paths": [letter * MAX_FILE_PATH] * MAX_RESTORE_PATHS}
    assert msgspec.convert(args, ARGUMENTS["restore_backup"])
    frame = encode(Command(id="c" * 100, name="restore_backup", args=args, issued_at="t" * 64, expires_at="t" * 64))
    assert len(frame.encode()) <= MAX_MESSAGE_BYTES
