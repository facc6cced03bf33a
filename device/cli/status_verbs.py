"""Shows and declares the machine's status, begins and ends return sessions, with or without a running agent."""

from __future__ import annotations

import argparse
import contextlib
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import msgspec

from device.cli.exit_codes import FAILED, OK, WRONG_USAGE, Complain
from device.journal.keeper import Journal
from device.journal.rules import Memory
from device.kernel.state_file import as_owner
from device.link.rules import parse_time
from device.settings import AgentSettings
from device.status.return_session import NotPlainError, ReturnSession
from device.status.rules import KEEP, IllegalStatusError, Kept
from device.status_mailbox import StatusMailbox, StatusRequest
from texts.catalogue import Texts

NONE: Final = "none"
"""Ends a special status, a reason or a time."""


def add_status_arguments(action: argparse.ArgumentParser, texts: Texts) -> None:
    action.add_argument("status", nargs="?", metavar="STATUS", help=texts("cli_status_new"))
    action.add_argument("--capacity", type=int, metavar="PERCENT", help=texts("cli_capacity"))
    action.add_argument("--special-status", metavar="STATUS", help=texts("cli_special"))
    action.add_argument("--reason", metavar="TEXT", help=texts("cli_reason"))
    action.add_argument("--until", metavar="TIME", help=texts("cli_until"))


def status(settings: AgentSettings, texts: Texts, arguments: argparse.Namespace, complain: Complain) -> int:
    """Show it, or leave a new one for the agent."""
    given = arguments
    if all(m is None for m in (given.status, given.capacity, given.special_status, given.reason, given.until)):
        return _show(settings, texts, arguments, complain)
    wrong_time = _wrong_time(given.until)
    if wrong_time is not None:
        return complain(wrong_time, WRONG_USAGE, texts(wrong_time, value=repr(given.until)))
    request = StatusRequest(
        status=given.status,
        capacity=given.capacity,
        special_status=_named(given.special_status),
        reason=_named(given.reason),
        until=_named(given.until),
    )
    try:
        StatusMailbox(settings.state_dir).post(request)
    except IllegalStatusError as error:
        return complain(error.code, WRONG_USAGE, texts(error.code, why=error, value=repr(given.until)))
    except OSError as error:
        return complain("state_unusable", FAILED, _unusable(settings, texts, error))
    print(json.dumps({"accepted": True}) if arguments.json else texts("status_left"))
    return OK


def busy(
    settings: AgentSettings, session: ReturnSession, texts: Texts, arguments: argparse.Namespace, complain: Complain
) -> int:
    in_state = not Path(settings.text("return_session_file")).is_absolute()
    try:
        with as_owner(settings.state_dir) if in_state else contextlib.nullcontext():
            if arguments.busy == "on":
                session.touch()
            elif arguments.busy == "off":
                session.remove()
    except NotPlainError as error:
        return complain("session_not_plain", FAILED, texts("session_not_plain", file=error.filename))
    except OSError as error:
        return complain("state_unusable", FAILED, _unusable(settings, texts, error))
    is_open = session.is_open()
    print(json.dumps({"busy": is_open}) if arguments.json else texts("busy_yes" if is_open else "busy_no"))
    return OK


def _named(value: str | None) -> str | Kept | None:
    if value is None:
        return KEEP
    return None if value == NONE else value


def _wrong_time(until: str | None) -> str | None:
    """By this machine's clock; the agent checks it by the hub's."""
    if until in (None, NONE):
        return None
    moment = parse_time(until)
    if moment is None:
        return "illegal_until"
    return "past_until" if moment <= datetime.now(timezone.utc) else None


def _show(settings: AgentSettings, texts: Texts, arguments: argparse.Namespace, complain: Complain) -> int:
    memory = Memory()
    try:
        for fact in Journal(settings.state_dir / "journal").load():
            memory.apply(fact)
    except OSError as error:
        return complain("state_unusable", FAILED, _unusable(settings, texts, error))
    state = memory.state
    known = {**msgspec.to_builtins(state), "status": state.status, "effective_status": state.effective_status}
    print(json.dumps(known) if arguments.json else texts("status_is", status=state.effective_status))
    return OK


def _unusable(settings: AgentSettings, texts: Texts, error: OSError) -> str:
    return texts("state_unusable", folder=error.filename or settings.state_dir, why=error.strerror or error)
