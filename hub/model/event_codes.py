"""Every code the record of events can hold, and what an event of it has at least: the sentences build on that.

A test finds all codes in the source and holds them to this table, and this table to the texts of both languages
(dashboard/record.py). What stands before the dot is the event's kind, by which people filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Has(NamedTuple):
    """Parameters by name; `before` and `after` are the event's own members of that name."""

    params: tuple[str, ...] = ()
    before: bool = False
    after: bool = False


_JOB = ("command_id", "name")

CODES: Final[Mapping[str, Has]] = {
    "status.changed": Has(before=True, after=True),
    "connection.changed": Has(("connection", "was")),
    "command.issued": Has((*_JOB, "args")),
    "command.finished": Has((*_JOB, "state")),
    "command.cancel_asked": Has(_JOB),
    "command.late": Has((*_JOB, "state")),
    "config.changed": Has(("scope", "version"), before=True, after=True),
    "config.applied": Has(("version",)),
    "config.refused": Has(("version", "errors")),
    "timezone.synced": Has(("timezone", "method"), after=True),
    "timezone.failed": Has(("timezone", "method", "error")),
    "timezone.kept": Has(("guess", "pinned")),
    "machine.added": Has(("name", "device_id")),
    "machine.edited": Has(before=True, after=True),
    "machine.removed": Has(("name", "device_id")),
    "machine.key_rotated": Has(after=True),
    "machine.introduced": Has(("agent_version",)),
    "machine.quarantined": Has(("takeovers", "addresses")),
    "machine.released": Has(),
    "machine.event": Has(("code", "params")),
    "machine.events_dropped": Has(("count",)),
    "machine.share_used_up": Has(("mib_per_day",)),
    "remote.requested": Has(("reason", "duration_s")),
    "remote.approved": Has(("session_id",)),
    "remote.declined": Has(("session_id",)),
    "remote.started": Has(("session_id",)),
    "remote.extended": Has(("session_id", "expires_at")),
    "remote.ended": Has(("session_id", "reason")),
    "remote.refused": Has(("code",)),
    "remote.page_opened": Has(("session_id", "port")),
    "remote.file_downloaded": Has(("session_id", "path", "size")),
    "remote.file_uploaded": Has(("session_id", "path", "size")),
    "remote.intruder": Has(("session_id", "user_id")),
    "remote.terminal_opened": Has(("session_id",)),
    "recording.played": Has(("recording_id", "session_id")),
    "recording.downloaded": Has(("recording_id", "session_id")),
    "recording.deleted": Has(("recording_id", "session_id")),
    "recording.lost": Has(("recording_id", "session_id")),
    "user.added": Has(("email",)),
    "user.edited": Has(("user_id",)),
    "user.removed": Has(("user_id", "email")),
    "token.created": Has(("name", "prefix")),
    "token.revoked": Has(("name", "prefix")),
    "sign_in.succeeded": Has(("by",)),
    "sign_in.failed": Has(("email", "failures")),
    "sign_in.locked": Has(("email", "failures")),
    "sign_in.signed_out": Has(),
    "sign_in.link_made": Has(("user_id", "email")),
}
OF_MACHINES: Final = ("status", "connection", "command", "config", "timezone", "machine", "remote", "recording")
"""Kinds of events that concern machines; the others concern people and are for administrators."""
KINDS: Final = tuple(dict.fromkeys(code.partition(".")[0] for code in CODES))


def lacking(code: str, params: Mapping[str, object], before: object, after: object) -> list[str]:
    """What an event of that code should have and has not. An unknown code lacks itself."""
    has = CODES.get(code)
    if has is None:
        return ["code"]
    missing = [name for name in has.params if name not in params]
    missing += ["before"] if has.before and before is None else []
    return missing + (["after"] if has.after and after is None else [])
