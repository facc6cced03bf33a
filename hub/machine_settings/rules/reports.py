"""How much of a machine's complaints about its settings is kept, and how much of that one line of the record tells.

A machine chooses the keys and the words. Pure; what they mean is `hub.machine_settings.rules.reports`' business.

What a machine says of its settings: which version it runs, what of it it could not take, what its own file sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

from hub.machine_settings.rules.writes import RESERVED
from hub.model import actors
from hub.model.budgets import too_large
from hub.model.changes import Change, EventHappened
from hub.model.machine import Machine
from hub.model.service_changes import ConfigApplied
from protocol import configuration as table
from protocol.configuration import Value, WrongValueError

MOST_KEYS: Final = 64
MOST_TEXT: Final = 200
"""Characters of one reason."""


def kept(errors: Mapping[str, str]) -> dict[str, str]:
    """The first of them, each cut to a length that can be shown."""
    return {key: _cut(why) for key, why in islice(errors.items(), MOST_KEYS)}


def told(params: Mapping[str, Any], errors: Mapping[str, str], beyond: int) -> dict[str, Any]:
    """The parameters of an event with as many errors as fit into one, and how many `more` there are with those `beyond`
    what is kept."""
    shown: dict[str, str] = {}
    for key, why in errors.items():
        if too_large({**params, "errors": {**shown, key: why}, "more": len(errors) + beyond}):
            break
        shown[key] = why
    more = len(errors) - len(shown) + beyond
    return {**params, "errors": shown} | ({"more": more} if more else {})


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def readable(own: Mapping[str, Any] | None) -> tuple[dict[str, Value], int]:
    """What of its own settings a machine may say, by its real keys, and how many it said in vain: a wrong value, a key
    that is none or only its owner's business, or too many of no product's."""
    found: dict[str, Value] = {}
    for name, value in (own or {}).items():
        try:
            key = table.key_of(name)
            taken = table.checked(key, value)
        except WrongValueError:
            continue
        if table.is_free(key) and (key in RESERVED or sum(map(table.is_free, found)) >= table.MAX_FREE_KEYS):
            continue
        found[key] = taken
    return found, len(own or ()) - len(found)


def was_given(machine: Machine, version: int) -> bool:
    """Whether the hub ever gave the machine that version: versions only grow. What is said of another is not true."""
    return version <= machine.effective_settings.version


def applied(
    machine: Machine,
    version: int,
    errors: Mapping[str, str] | None,
    now: datetime,
    own: Mapping[str, Any] | None = None,
) -> list[Change]:
    """[] when it is known already: a machine says it after every `welcome`. `errors`, `own` None: nothing was said of
    them, as in a hello.

    Version 0 is a machine that runs by its own file; that it does, and what stands there, is no event. Nor is an error
    that was told before: `config.refused` names what is new.
    """
    refused = machine.config_errors or {}
    if errors is None:
        errors = refused if version else {}
    beyond, errors = max(0, len(errors) - MOST_KEYS), kept(errors)
    held = machine.config_own or {}
    local = held if own is None else dict(own)
    is_run = (version, dict(errors)) == (machine.config_version, refused)
    if is_run and local == held:
        return []
    change = ConfigApplied(rvm_id=machine.id, version=version, errors=dict(errors), at=now, own=local)
    if is_run or version == 0:
        return [change]
    news = {key: why for key, why in errors.items() if refused.get(key) != why}
    event = EventHappened(
        at=now,
        code="config.refused" if news else "config.applied",
        actor=actors.machine(machine.id),
        rvm_id=machine.id,
        params=told({"version": version}, news, beyond) if news else {"version": version},
        before={"version": machine.config_version},
        after={"version": version},
    )
    return [change, event]
