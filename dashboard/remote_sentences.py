"""Sentences of remote sessions in the audit log. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dashboard.event_reading import NOTHING, EventReading, Parts, Sentence, moment, value
from dashboard.foreign_text import plain


def _reason(e: EventReading) -> str:
    reason = e.params.get("reason")
    return e.words("reason", reason=value(e.r, reason)) if reason else ""


def _minutes(e: EventReading) -> str:
    seconds = e.params.get("duration_s")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= 1e9:
        return NOTHING
    return e.r.number(round(seconds / 60, 1), 0 if seconds % 60 == 0 else 1)


def _holder(e: EventReading) -> str:
    return e.words("remote.for", name=e.param("holder", 100)) if e.params.get("holder") else ""


def _claimed(e: EventReading) -> str:
    """Whom a machine claims to be there, unproven."""
    claimed = e.params.get("claimed")
    if claimed is None:
        return ""
    known = e.names.people.get(str(claimed))
    return e.words("remote.claimed", name=plain(known) if known else e.r.t("who.user", id=value(e.r, claimed, 20)))


def _requested(e: EventReading) -> Parts:
    site = e.words("remote.site") if e.params.get("origin") == "site" else ""
    return e.words("remote.requested", minutes=_minutes(e)), [_holder(e), site, _claimed(e), _reason(e)]


def _of_the_holder(e: EventReading) -> Parts:
    return e.words(e.code), [_holder(e)]


def _extended(e: EventReading) -> Parts:
    return e.words("remote.extended", when=moment(e.r, e.params.get("expires_at"))), [_holder(e)]


def _ended(e: EventReading) -> Parts:
    why = e.r.text_of("lease.end_reason", plain(str(e.params.get("reason") or NOTHING), 100))
    note = e.params.get("note")
    reason = e.words("reason", reason=value(e.r, note)) if note else ""
    return e.words("remote.ended", why=why), [_holder(e), reason]


def _refused(e: EventReading) -> Parts:
    why = e.r.text_of("remote_refusal", plain(str(e.params.get("code") or NOTHING), 100))
    return e.words("remote.refused", why=why), [_holder(e)]


def _recording(e: EventReading) -> Parts:
    return e.words(e.code, id=e.param("recording_id", 20)), []


def _recording_deleted(e: EventReading) -> Parts:
    retention = e.words("recording.retention") if e.params.get("why") == "retention" else ""
    return e.words("recording.deleted", id=e.param("recording_id", 20)), [retention]


def _page(e: EventReading) -> Parts:
    return e.words("remote.page_opened", port=e.param("port", 10)), []


def _file(e: EventReading) -> Parts:
    size, unconfirmed = e.params.get("size"), e.params.get("confirmed") is False
    known = isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= 2**53
    shown = e.r.number(size, 0) if isinstance(size, int) and known else NOTHING
    parts = [e.words("remote.bytes", size=shown), e.words("remote.unconfirmed") if unconfirmed else ""]
    return e.words(e.code, path=e.param("path", 300)), parts


SENTENCES: Final[Mapping[str, Sentence]] = {
    "remote.requested": _requested,
    "remote.approved": _of_the_holder,
    "remote.declined": _of_the_holder,
    "remote.started": _of_the_holder,
    "remote.extended": _extended,
    "remote.ended": _ended,
    "remote.refused": _refused,
    "remote.terminal_opened": lambda e: (e.words("remote.terminal_opened"), []),
    "remote.page_opened": _page,
    "remote.file_downloaded": _file,
    "remote.file_uploaded": _file,
    "recording.played": _recording,
    "recording.downloaded": _recording,
    "recording.deleted": _recording_deleted,
    "recording.lost": _recording,
    "remote.intruder": lambda e: (e.words("remote.intruder", who=e.person()), []),
}
