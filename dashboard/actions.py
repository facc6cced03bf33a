"""What may be asked of a machine from its page: whether now, if not why, and who would be affected. Pure.

The page's `machine_actions.js` decides the same while the machine comes and goes; one table of cases holds both to it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from dashboard.trouble import View

ACTIONS: Final = ("sync_timezone", "restart_service", "reboot")
WAITING: Final = frozenset({"sync_timezone"})
"""These wait for a machine that is away; the others need it there."""
DISRUPTIVE: Final = frozenset({"restart_service", "reboot"})
"""These ask for a reason, and are confirmed in a dialog."""
COMMANDS: Final = frozenset({"ping", "set_status", *ACTIONS})
MAX_SERVICES: Final = 50


class CommandOffer(NamedTuple):
    """One action. `locked`: why it is not possible now ("" when it is): role, unsupported, online."""

    name: str
    locked: str
    waits: bool
    """Possible, and waits for the machine."""
    affected: str
    """The ending of the text about who is affected; "" when nobody is."""


def offers(view: View, *, may: bool) -> list[CommandOffer]:
    return [offer(name, view, may=may) for name in ACTIONS]


def offer(name: str, view: View, *, may: bool) -> CommandOffer:
    away = view["connection"] in ("offline", "never")
    locked = ""
    if not may:
        locked = "role"
    elif not can(name, view):
        locked = "unsupported"
    elif away and name not in WAITING:
        locked = "online"
    return CommandOffer(name, locked, waits=away and not locked, affected=_affected(name, view, away=away))


def can(name: str, view: View) -> bool:
    """Whether the machine's software has the command; one that names none may be tried."""
    told = COMMANDS.intersection(view["commands"])
    return not told or name in told


def _affected(name: str, view: View, *, away: bool) -> str:
    if name not in DISRUPTIVE:
        return ""
    if away:
        return "unknown"
    return f"busy.{name}" if view["busy"] else "nobody"


def services(view: View) -> list[str]:
    """The services that the machine names for a restart."""
    told: Any = (view["hardware"] or {}).get("services")
    named = [name for name in told if isinstance(name, str) and name] if isinstance(told, list) else []
    return named[:MAX_SERVICES]
