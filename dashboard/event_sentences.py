"""Renders an event of the audit log as a sentence with a shape. Pure.

Instants in epoch ms. Nothing in an event is trusted. A missing member is a dash, an unknown code stands for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from dashboard import (
    backup_sentences,
    jobs,
    machine_sentences,
    notifications,
    people_sentences,
    remote_sentences,
)
from dashboard.event_reading import Event, EventReading, Names, Sentence, mapping, members, plainly
from dashboard.foreign_text import plain
from dashboard.reader import Reader

MOST_PARTS: Final = 12
"""Changed members that a sentence names; the rest is counted."""
SHAPES: Final = {
    "connection": "live", "command": "job", "config": "gear", "timezone": "late", "machine": "machine",
    "remote": "remote", "recording": "remote", "backup": "folder",
    "enrolment": "machine", "user": "person", "view": "machine", "trouble": "person",
    "notification": "live", "token": "lock", "sign_in": "person", "hub": "folder",
}  # fmt: skip
_TROUBLE: Final = frozenset({
    "machine.board_changed", "machine.board_held", "machine.board_cloned", "machine.quarantined",
    "machine.certificate_refused", "timezone.failed", "config.refused", "sign_in.locked", "remote.intruder",
    "recording.lost", "backup.failed", "backup.drill_failed",
})  # fmt: skip
_WARNING: Final = frozenset({
    "machine.events_dropped", "machine.share_used_up", "sign_in.failed", "sign_in.code_missing", "command.late",
    "remote.refused",
})  # fmt: skip
_STATUSES: Final = frozenset({"active", "inactive", "maintenance", "full", "error"})
SENTENCES: Final[Mapping[str, Sentence]] = {
    **machine_sentences.SENTENCES,
    **remote_sentences.SENTENCES,
    **backup_sentences.SENTENCES,
    **people_sentences.SENTENCES,
    **notifications.SENTENCES,
    "hub.backed_up": plainly("rows", "size"),
    "hub.restored": plainly("rows", "made_at", most=60),
}
"""By code; another one stands for itself."""


class EventText(NamedTuple):
    """`shape`: of the sprite; `look`: its colour's class."""

    sentence: str
    shape: str
    look: str


def describe(r: Reader, event: Event, names: Names) -> EventText:
    code = str(event["code"])
    params, before, after = mapping(event["params"]), mapping(event["before"]), mapping(event["after"])
    reading = EventReading(r, code, params, before, after, names, str(event.get("actor")))
    make = SENTENCES.get(code)
    head, parts = make(reading) if make is not None else (plain(code), members(reading.params, r))
    shape, look = _shape(reading)
    return EventText(_joined(reading, head, [part for part in parts if part]), shape, look)


def kind(code: str) -> str:
    return code.partition(".")[0]


def _joined(e: EventReading, head: str, parts: list[str]) -> str:
    more = len(parts) - MOST_PARTS
    if more > 0:
        parts = [*parts[:MOST_PARTS], e.words("more", n=more)]
    return ", ".join([head, *parts])


def _shape(e: EventReading) -> tuple[str, str]:
    if e.code in _TROUBLE:
        return "error", "error"
    if e.code in _WARNING:
        return "warn", "warn"
    if e.code == "status.changed":
        status = machine_sentences.status_in(e.after)
        return (status, status) if status in _STATUSES else ("unknown", "unknown")
    if e.code == "connection.changed":
        mark = str(e.params.get("connection"))
        return (mark, mark) if mark in ("live", "late", "offline", "never") else ("live", "quiet")
    if e.code in ("command.finished", "command.late"):
        mark = jobs.MARKS.get(str(e.params.get("state")), "unknown")
        return mark, mark
    return SHAPES.get(kind(e.code), "live"), "quiet"
