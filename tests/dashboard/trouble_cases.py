"""Machines, and what is wrong with each."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

NOW: Final = 1795413731000
MACHINE: Final[dict[str, Any]] = {
    "name": "RVM",
    "device_id": "d",
    "location_description": None,
    "simulated": False,
    "status": "active",
    "special_status": None,
    "effective_status": "active",
    "capacity": 10,
    "status_since": NOW - 1000,
    "status_by": "machine:1",
    "status_reason": None,
    "status_until": None,
    "connection": "live",
    "connection_since": NOW - 1000,
    "connection_reason": None,
    "last_seen_at": NOW - 1000,
    "expected_interval_s": 300,
    "health": "ok",
    "health_reasons": [],
    "lasting": [],
    "error_since": None,
    "config_refused": 0,
    "config_applied_at": None,
    "zone_wrong": None,
    "board_other_at": None,
    "disk_worn": None,
    "certificate": None,
    "board_question": None,
    "readings": None,
    "pending": [],
    "created_at": NOW - 1000000000,
    "id": 1,
}


class Case(NamedTuple):
    """`machine`: what differs from MACHINE, which is fine; `trouble`: cause, value and since when, or None."""

    about: str
    machine: dict[str, Any]
    trouble: tuple[str, float | None, int | None] | None
    whys: list[str]


LATE: Final = {"good_at": NOW - 400_000_000, "drill_failed_at": None, "late_at": NOW - 10_000_000}

CASES: Final = [
    Case("fine", {}, None, []),
    Case(
        "error",
        {"effective_status": "error", "status_since": NOW - 300000, "id": 2},
        ("error", None, NOW - 300000),
        ["error"],
    ),
    Case("full", {"effective_status": "full", "capacity": 100, "id": 3}, ("full", 100, NOW - 1000), ["full"]),
    Case(
        "error while offline stays error",
        {"effective_status": "error", "connection": "offline", "connection_since": NOW - 3600000, "id": 4},
        ("error", None, NOW - 1000),
        ["offline", "error"],
    ),
    Case(
        "offline for a moment", {"connection": "offline", "connection_since": NOW - 50000, "id": 5}, None, ["offline"]
    ),
    Case(
        "offline for long",
        {"connection": "offline", "connection_since": NOW - 960000, "id": 6},
        ("offline", None, NOW - 960000),
        ["offline"],
    ),
    Case(
        "offline in maintenance",
        {"effective_status": "maintenance", "connection": "offline", "connection_since": NOW - 5400000, "id": 7},
        None,
        ["offline", "maintenance"],
    ),
    Case(
        "rebooting",
        {"connection": "offline", "connection_since": NOW - 120000, "connection_reason": "reboot", "id": 8},
        None,
        ["reboot"],
    ),
    Case(
        "not back from its reboot",
        {"connection": "offline", "connection_since": NOW - 1200000, "connection_reason": "reboot", "id": 9},
        ("not_back", None, NOW - 1200000),
        ["not_back"],
    ),
    Case(
        "shut down",
        {"connection": "offline", "connection_since": NOW - 120000, "connection_reason": "shutdown", "id": 10},
        ("shutdown", None, NOW - 120000),
        ["shutdown"],
    ),
    Case(
        "hot",
        {
            "lasting": [{"code": "cpu_usage", "since": NOW - 90000}, {"code": "temperature", "since": NOW - 70000}],
            "readings": {"cpu_usage": 95.0, "temperature": 86.4},
            "id": 11,
        },
        ("hot", 86.4, NOW - 70000),
        ["hot", "cpu"],
    ),
    Case(
        "hot last time it was heard",
        {
            "connection": "offline",
            "connection_since": NOW - 60000,
            "lasting": [{"code": "temperature", "since": NOW - 90000}],
            "id": 12,
        },
        None,
        ["offline"],
    ),
    Case("late", {"connection": "late", "last_seen_at": NOW - 12000, "id": 13}, None, ["late"]),
    Case("nearly full", {"capacity": 96, "id": 14}, ("nearly_full", 96, None), ["nearly_full"]),
    Case(
        "never connected",
        {"connection": "never", "connection_since": None, "last_seen_at": None, "id": 15},
        ("never", None, NOW - 1000000000),
        ["never"],
    ),
    Case("cannot tell", {"effective_status": "unknown", "id": 16}, ("unknown", None, NOW - 1000), ["unknown"]),
    Case("a reason nobody knows yet", {"lasting": [{"code": "novel", "since": NOW}], "id": 17}, None, []),
    Case(
        "two machines on one key",
        {
            "connection": "offline",
            "connection_since": NOW - 60000,
            "id": 18,
            "quarantined_until": NOW + 240000,
            "clock_offset_s": 0.1,
        },
        ("quarantined", None, NOW - 60000),
        ["quarantined"],
    ),
    Case(
        "two machines on one key, in maintenance",
        {
            "effective_status": "maintenance",
            "connection": "offline",
            "connection_since": NOW - 50000,
            "id": 19,
            "quarantined_until": NOW + 1,
        },
        ("quarantined", None, NOW - 50000),
        ["quarantined", "maintenance"],
    ),
    Case("the quarantine is over", {"id": 20, "quarantined_until": NOW, "clock_offset_s": -299.9}, None, []),
    Case(
        "the clock is wrong",
        {"id": 21, "clock_offset_s": 301.0, "quarantined_until": None},
        ("clock", 301.0, None),
        ["clock"],
    ),
    Case(
        "booted in 1970", {"id": 22, "clock_offset_s": -1795413000.5}, ("clock", -1795413000.5, None), ["clock_unset"]
    ),
    Case(
        "the clock was wrong when it was last heard",
        {"connection": "offline", "id": 23, "clock_offset_s": -4000},
        None,
        ["offline"],
    ),
    Case(
        "no good backup for long",
        {"id": 24, "backup": LATE},
        ("backup_late", NOW - 400_000_000, NOW - 400_000_000),
        ["backup_late"],
    ),
    Case(
        "never a good backup",
        {"id": 25, "backup": {**LATE, "good_at": None}},
        ("backup_late", NOW - 1_000_000_000, NOW - 1_000_000_000),
        ["backup_late"],
    ),
    Case(
        "no backup was tested for long",
        {"id": 47, "backup": {**LATE, "late_at": NOW + 10_000, "unverified_at": NOW - 5000}},
        ("backup_unverified", None, NOW - 5000),
        ["backup_unverified"],
    ),
    Case(
        "nothing to restore is in its backup",
        {"id": 46, "backup": {**LATE, "late_at": None, "only_agent": True}},
        ("backup_empty", None, NOW - 400_000_000),
        ["backup_empty"],
    ),
    Case("a backup that will be late", {"id": 26, "backup": {**LATE, "late_at": NOW + 10_000}}, None, []),
    Case(
        "late in maintenance",
        {"id": 27, "backup": LATE, "effective_status": "maintenance"},
        None,
        ["maintenance", "backup_late"],
    ),
    Case(
        "a drill failed, and none is good",
        {"id": 28, "backup": {**LATE, "drill_failed_at": NOW - 5000}},
        ("backup_drill", None, NOW - 5000),
        ["backup_drill", "backup_late"],
    ),
    Case(
        "late, and away for long",
        {"id": 29, "backup": LATE, "connection": "offline", "connection_since": NOW - 960_001},
        ("offline", None, NOW - 960_001),
        ["offline", "backup_late"],
    ),
    Case(
        "its backups will be too much soon",
        {"id": 31, "backup": {**LATE, "late_at": None, "full_at": NOW + 3 * 86_400_000}},
        ("backup_quota", NOW + 3 * 86_400_000, None),
        ["backup_quota"],
    ),
    Case(
        "its backups are too much",
        {"id": 32, "backup": {**LATE, "late_at": None, "full_at": NOW - 5000}},
        ("backup_full", None, None),
        ["backup_full"],
    ),
    Case(
        "an error goes on in maintenance",
        {"id": 33, "effective_status": "maintenance", "error_since": NOW - 700000},
        ("error", None, NOW - 700000),
        ["maintenance", "error"],
    ),
    Case(
        "hot in maintenance",
        {
            "id": 34,
            "effective_status": "maintenance",
            "lasting": [{"code": "cpu_usage", "since": NOW - 90000}, {"code": "temperature", "since": NOW - 3000}],
            "readings": {"cpu_usage": 95.0, "temperature": 90.0},
        },
        ("hot", 90.0, NOW - 3000),
        ["maintenance", "hot", "cpu"],
    ),
    Case(
        "busy in maintenance",
        {"id": 35, "effective_status": "inactive", "lasting": [{"code": "cpu_usage", "since": NOW - 90000}]},
        None,
        ["inactive", "cpu"],
    ),
    Case(
        "busy since before its maintenance",
        {
            "id": 49,
            "effective_status": "maintenance",
            "lasting": [{"code": "cpu_usage", "since": NOW - 90000}],
            "readings": {"cpu_usage": 95.0},
            "troubles": [{"cause": "cpu", "began_at": NOW - 90000, "snoozed_until": None}],
        },
        ("cpu", 95.0, NOW - 90000),
        ["maintenance", "cpu"],
    ),
    Case(
        "full since before its maintenance",
        {
            "id": 50,
            "effective_status": "maintenance",
            "capacity": 100,
            "troubles": [{"cause": "full", "began_at": NOW - 90000, "snoozed_until": None}],
        },
        ("full", 100, NOW - 90000),
        ["maintenance", "full"],
    ),
    Case(
        "emptied in maintenance",
        {
            "id": 51,
            "effective_status": "maintenance",
            "capacity": 0,
            "troubles": [{"cause": "full", "began_at": NOW - 90000, "snoozed_until": None}],
        },
        None,
        ["maintenance"],
    ),
    Case(
        "filled in maintenance",
        {"id": 52, "effective_status": "maintenance", "capacity": 97},
        None,
        ["maintenance", "nearly_full"],
    ),
    Case(
        "full and hot",
        {"id": 36, "effective_status": "full", "capacity": 99, "lasting": [{"code": "temperature", "since": NOW}]},
        ("full", 99, NOW - 1000),
        ["full", "hot"],
    ),
    Case(
        "it refuses settings, also out of service",
        {"id": 37, "effective_status": "inactive", "config_refused": 2, "config_applied_at": NOW - 5000},
        ("refused", 2, NOW - 5000),
        ["inactive", "refused"],
    ),
    Case(
        "it refuses settings since longer than it is connected",
        {
            "id": 48,
            "config_refused": 1,
            "config_applied_at": NOW - 5000,
            "troubles": [{"cause": "refused", "began_at": NOW - 9000, "snoozed_until": None}],
        },
        ("refused", 1, NOW - 9000),
        ["refused"],
    ),
    Case("in a wrong time zone", {"id": 38, "zone_wrong": NOW - 8000}, ("zone", None, NOW - 8000), ["zone"]),
    Case(
        "cannot tell, and is away",
        {"id": 39, "effective_status": "unknown", "connection": "offline", "connection_since": NOW - 900},
        None,
        ["offline", "unknown"],
    ),
    Case(
        "its certificate ends soon",
        {"id": 40, "certificate": {"soon_at": NOW - 5, "very_soon_at": NOW + 5, "ends_at": NOW + 10}},
        ("certificate_soon", NOW + 10, NOW - 5),
        ["certificate_soon"],
    ),
    Case(
        "its certificate ends very soon",
        {"id": 41, "certificate": {"soon_at": NOW - 9, "very_soon_at": NOW - 5, "ends_at": NOW + 10}},
        ("certificate_very_soon", NOW + 10, NOW - 5),
        ["certificate_very_soon"],
    ),
    Case(
        "its certificate has expired, and it is away for it",
        {
            "id": 42,
            "connection": "offline",
            "connection_since": NOW - 70000,
            "certificate": {"soon_at": NOW - 90, "very_soon_at": NOW - 50, "ends_at": NOW},
        },
        ("certificate_expired", NOW, NOW),
        ["offline", "certificate_expired"],
    ),
    Case(
        "its certificate counts for long",
        {"id": 43, "certificate": {"soon_at": NOW + 1, "very_soon_at": NOW + 5, "ends_at": NOW + 10}},
        None,
        [],
    ),
    Case("its disk wears out", {"id": 44, "disk_worn": 90.0}, ("worn", 90.0, None), ["worn"]),
    Case("its disk will do", {"id": 45, "disk_worn": 80.0}, None, []),
    Case("backups by nobody", {"id": 30, "backup": {**LATE, "late_at": None}}, None, []),
]
ORDER: Final = [
    18, 19, 33, 2, 4, 41, 42, 50, 3, 36, 29, 6, 9, 10, 11, 34, 28, 25, 24, 46, 47, 32, 31, 40, 14, 44, 21, 22, 38, 48,
    37, 49, 15, 16,
]  # fmt: skip
