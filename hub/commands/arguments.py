"""The arguments of a command as a person writes them: checked member by member, completed, as the machine hears them.

Machines ignore what they do not know (a newer hub may say more); a person's typing error is named instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from hub.web.api.headers import ahead
from hub.web.api.operation import Call
from hub.web.http.problems import Problem, Text, invalid, one_wrong
from hub.web.http.validation import validate
from protocol.commands import ARGUMENTS
from protocol.zones import is_zone

CommandName = Literal["ping", "set_status", "sync_timezone", "restart_service", "reboot"]
"""What may be asked by hand; backups and remote access have routes of their own."""

_EXPECTED: Final[Mapping[str, str]] = {"until": "expect.time", "timezone": "expect.zone", "service": "expect.service"}
"""Members whose type says less than a sentence can."""
_CLEAR_ALREADY: Final = ("missing", "unknown", "wrong_character")
"""Beginnings of keys that say more still."""


def read_arguments(call: Call, name: CommandName, given: Mapping[str, Any], zone: str | None = None) -> dict[str, Any]:
    """The arguments as they are recorded. `zone` reads a naive time. Raises the 422 that names each wrong member."""
    said = {"trigger": "manual", **given} if name == "sync_timezone" else dict(given)
    try:
        wanted = validate(ARGUMENTS[name], said)
    except Problem as problem:
        raise problem_below("args", problem) from problem
    found: dict[str, Any] = msgspec.to_builtins(wanted)
    if found.get("until") is not None:
        found["until"] = ahead(call, "args.until", found["until"], zone)
    if found.get("timezone") is not None and not is_zone(found["timezone"]):
        raise one_wrong("args.timezone", "expect.zone")
    return found


def problem_below(place: str, problem: Problem) -> Problem:
    """The same refusal, its members named as members of `place`."""
    if not problem.errors:
        return problem
    return invalid({f"{place}.{name}": _clearer(name, whys) for name, whys in problem.errors.items()})


def _clearer(name: str, whys: Any) -> Any:
    known = _EXPECTED.get(name)
    return whys if known is None or whys[0].key.startswith(_CLEAR_ALREADY) else [Text(known)]
