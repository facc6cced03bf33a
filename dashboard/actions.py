"""What may be asked of a machine from its page: whether now, why not, and who is affected. Pure.
`machine_actions.js` decides the same; one table of cases holds both to it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from dashboard.trouble import View

ACTIONS: Final = ("sync_timezone", "restart_service", "reboot")
WAITING: Final = frozenset({"sync_timezone"})
"""Others need the machine online."""
DISRUPTIVE: Final = frozenset({"restart_service", "reboot"})
"""Need a reason and are confirmed in a dialog."""
COMMANDS: Final = frozenset({"ping", "set_status", *ACTIONS})
MAX_SERVICES: Final = 50


class CommandOffer(NamedTuple):
    """`locked`: why not now ("": it is possible): role, unsupported, online."""

    name: str
    locked: str
    waits: bool
    affected: str


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
    named = COMMANDS.intersection(view["commands"])
    return not named or name in named


def _affected(name: str, view: View, *, away: bool) -> str:
    if name not in DISRUPTIVE:
        return ""
    if away:
        return "unknown"
    return f"busy.{name}" if view["busy"] else "nobody"


def services(view: View) -> list[str]:
    given: Any = (view["hardware"] or {}).get("services")
    named = [name for name in given if isinstance(name, str) and name] if isinstance(given, list) else []
    return named[:MAX_SERVICES]
