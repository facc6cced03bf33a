"""Every code of an event, with its required members. Before the dot stands its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class EventMembers(NamedTuple):
    """Parameters by name; `before` and `after` are the event's own."""

    params: tuple[str, ...] = ()
    before: bool = False
    after: bool = False


_JOB = ("command_id", "name")

CODES: Final[Mapping[str, EventMembers]] = {
    "status.changed": EventMembers(before=True, after=True),
    "connection.changed": EventMembers(("connection", "was")),
    "command.issued": EventMembers((*_JOB, "args")),
    "command.finished": EventMembers((*_JOB, "state")),
    "command.cancel_asked": EventMembers(_JOB),
    "command.late": EventMembers((*_JOB, "state")),
    "config.changed": EventMembers(("scope", "version"), before=True, after=True),
    "config.applied": EventMembers(("version",)),
    "config.refused": EventMembers(("version", "errors")),
    "timezone.synced": EventMembers(("timezone", "method"), after=True),
    "timezone.failed": EventMembers(("timezone", "method", "error")),
    "timezone.kept": EventMembers(("guess", "pinned")),
    "machine.added": EventMembers(("name", "device_id")),
    "machine.edited": EventMembers(before=True, after=True),
    "machine.removed": EventMembers(("name", "device_id")),
    "machine.key_rotated": EventMembers(after=True),
    "machine.key_offered": EventMembers(after=True),
    "machine.key_renewed": EventMembers(before=True, after=True),
    "machine.key_withdrawn": EventMembers(before=True),
    "machine.enrolled": EventMembers(("name", "device_id", "fingerprint")),
    "machine.introduced": EventMembers(("agent_version",)),
    "machine.board_changed": EventMembers(("board", "was")),
    "machine.board_held": EventMembers(("board", "was")),
    "machine.board_cloned": EventMembers(("board", "was")),
    "machine.board_accepted": EventMembers(("board", "was")),
    "machine.board_refused": EventMembers(("board", "was")),
    "machine.quarantined": EventMembers(("takeovers", "addresses")),
    "machine.certificate_refused": EventMembers(("fault", "address")),
    "machine.released": EventMembers(),
    "machine.event": EventMembers(("code", "params")),
    "machine.events_dropped": EventMembers(("count",)),
    "machine.share_used_up": EventMembers(("mib_per_day",)),
    "remote.requested": EventMembers(("reason", "duration_s")),
    "remote.approved": EventMembers(("session_id",)),
    "remote.declined": EventMembers(("session_id",)),
    "remote.started": EventMembers(("session_id",)),
    "remote.extended": EventMembers(("session_id", "expires_at")),
    "remote.ended": EventMembers(("session_id", "reason")),
    "remote.refused": EventMembers(("code",)),
    "remote.page_opened": EventMembers(("session_id", "port")),
    "remote.file_downloaded": EventMembers(("session_id", "path", "size")),
    "remote.file_uploaded": EventMembers(("session_id", "path", "size")),
    "remote.intruder": EventMembers(("session_id", "user_id")),
    "remote.terminal_opened": EventMembers(("session_id",)),
    "recording.played": EventMembers(("recording_id", "session_id")),
    "recording.downloaded": EventMembers(("recording_id", "session_id")),
    "recording.deleted": EventMembers(("recording_id", "session_id")),
    "recording.lost": EventMembers(("recording_id", "session_id")),
    "backup.completed": EventMembers(("backup_id", "backup_type", "size")),
    "backup.uploaded": EventMembers(("backup_id", "backup_type", "size")),
    "backup.failed": EventMembers(("backup_id", "code")),
    "backup.deleted": EventMembers(("backup_id", "size")),
    "backup.downloaded": EventMembers(("backup_id", "size")),
    "backup.verify_asked": EventMembers(("backup_id",)),
    "backup.verified": EventMembers(("backup_id",)),
    "backup.drill_failed": EventMembers(("backup_id", "code", "message", "damaged_id")),
    "backup.restore_asked": EventMembers(("backup_id",)),
    "backup.restored": EventMembers(("restore_id", "backup_id")),
    "backup.restore_failed": EventMembers(("restore_id", "backup_id", "code")),
    "enrolment.code_made": EventMembers(("prefix", "uses", "approval", "expires_at")),
    "enrolment.code_revoked": EventMembers(("prefix",)),
    "enrolment.requested": EventMembers(("fingerprint",)),
    "enrolment.rejected": EventMembers(("fingerprint",)),
    "trouble.taken": EventMembers(("trouble_id", "cause")),
    "trouble.released": EventMembers(("trouble_id", "cause")),
    "trouble.snoozed": EventMembers(("trouble_id", "cause", "until")),
    "trouble.unsnoozed": EventMembers(("trouble_id", "cause")),
    "trouble.noted": EventMembers(("trouble_id", "cause", "note")),
    "trouble.undone": EventMembers(("trouble_id", "cause")),
    "user.added": EventMembers(("email",)),
    "user.edited": EventMembers(("user_id",)),
    "user.removed": EventMembers(("user_id", "email")),
    "view.saved": EventMembers(("name",)),
    "view.edited": EventMembers(("view_id", "name")),
    "view.removed": EventMembers(("view_id", "name")),
    "notification.destination_added": EventMembers(("name", "place"), after=True),
    "notification.destination_edited": EventMembers(("name", "place"), before=True, after=True),
    "notification.destination_removed": EventMembers(("name", "place")),
    "notification.tested": EventMembers(("name", "place", "sent")),
    "token.created": EventMembers(("name", "prefix")),
    "token.revoked": EventMembers(("name", "prefix")),
    "sign_in.succeeded": EventMembers(("by",)),
    "sign_in.failed": EventMembers(("email", "failures")),
    "sign_in.locked": EventMembers(("email", "failures")),
    "sign_in.code_missing": EventMembers(("email",)),
    "sign_in.signed_out": EventMembers(),
    "sign_in.link_made": EventMembers(("user_id", "email")),
    "sign_in.sessions_ended": EventMembers(("user_id", "email", "count")),
    "sign_in.unlocked": EventMembers(("user_id", "email")),
    "sign_in.two_step_on": EventMembers(("user_id", "email")),
    "sign_in.two_step_off": EventMembers(("user_id", "email")),
    "sign_in.two_step_reset": EventMembers(("user_id", "email")),
    "sign_in.recovery_codes_made": EventMembers(("user_id", "email")),
    "hub.backed_up": EventMembers(("rows", "size")),
    "hub.restored": EventMembers(("rows", "made_at")),
}
OF_MACHINES: Final = (
    "status", "connection", "command", "config", "timezone", "machine", "remote", "recording", "backup",
    "trouble",
)  # fmt: skip
"""Kinds about machines; the others are for administrators."""
KINDS: Final = tuple(dict.fromkeys(code.partition(".")[0] for code in CODES))


def lacking(code: str, params: Mapping[str, object], before: object, after: object) -> list[str]:
    has = CODES.get(code)
    if has is None:
        return ["code"]
    missing = [name for name in has.params if name not in params]
    missing += ["before"] if has.before and before is None else []
    return missing + (["after"] if has.after and after is None else [])
