"""The time zone card as decisions: what is wrong, and how far a sync is. Pure. Takes the answer of GET
/timezone/status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dashboard.trouble import CLOCK_OFF_S

MARKS = {
    "ok": "active", "off": "warn", "never": "unknown", "unknown": "unknown", "not_permitted": "error",
    "lookup_failed": "error", "failed": "error", "clock": "warn",
}  # fmt: skip
QUIET = ("ok", "clock")
"""A look-up would not mend these: the button only checks again."""
STEPS = ("sent", "applied", "verified")
_OWN_WORDS = ("lookup_failed", "not_permitted")
_LEFT = frozenset({"sent", "accepted", "running"})
_FAILED = frozenset({"failed", "rejected", "expired"})
_SET = frozenset({"verifying"})
_UNVERIFIED = "not_verified"
"""The end of a command has no progress: its error tells how far it came."""


def state_of(view: Mapping[str, Any]) -> str:
    """never, lookup_failed, not_permitted, failed, off, unknown (the system's zone is unknown), clock (right zone,
    wrong clock) or ok."""
    if view["last_sync"] is None and view["system_timezone"] is None:
        return "never"
    if view["error"]:
        code = view["error"].get("code")
        return code if code in _OWN_WORDS else "failed"
    if view["in_step"] is None:
        return "unknown"
    if not view["in_step"]:
        return "off"
    return "clock" if abs(view["clock_offset_s"] or 0) > CLOCK_OFF_S else "ok"


def wanted_of(view: Mapping[str, Any]) -> str | None:
    wanted: str | None = view["pinned_timezone"] or (view["error"] or {}).get("timezone") or view["current_timezone"]
    return wanted


def reached(command: Mapping[str, Any]) -> int:
    if command["state"] == "succeeded":
        return 3
    if command["state"] in _LEFT:
        return 2 if (command["progress"] or {}).get("phase") in _SET else 1
    if command["sent_at"] is None:
        return 0
    return 2 if (command["error"] or {}).get("code") == _UNVERIFIED else 1


def failed(command: Mapping[str, Any]) -> int | None:
    """Which of STEPS, counted from 0, did not work."""
    return min(reached(command), len(STEPS) - 1) if command["state"] in _FAILED else None
