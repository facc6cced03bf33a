"""What may be asked of a machine, from its page and from its row: whether now, why not, and who is affected. Pure.
`machine_actions.js` decides the same of commands; one table of cases holds both to it."""

from __future__ import annotations

from collections.abc import Callable
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


class PlaceOffer(NamedTuple):
    """To where a machine's status, terminal and backups are asked for. `name`: its text; `ending` of the address;
    `locked`: as of a command's offer, role or online; `action`: what it needs."""

    name: str
    ending: str
    locked: str
    action: str


WAYS: Final = (
    ("status.change", "#control", "status.write"), ("terminal.open", "/terminal", "remote.start"),
    ("backup.now", "/backups#now", "backup.start"),
)  # fmt: skip


def ways(view: View, may: Callable[[str], bool]) -> list[PlaceOffer]:
    """A terminal needs the machine online; the others wait for it."""
    away = view["connection"] in ("offline", "never")
    return [
        PlaceOffer(
            name, ending, "role" if not may(action) else "online" if away and name == "terminal.open" else "", action
        )
        for name, ending, action in WAYS
    ]


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
