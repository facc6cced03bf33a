"""Renders an event of the audit log as a sentence with a shape. Pure.

Instants in epoch ms. Nothing in an event is trusted. A missing member is a dash, an unknown code stands for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from dashboard import backup_sentences, jobs, notifications, refusals, remote_sentences
from dashboard.event_reading import (
    NOTHING,
    Event,
    EventReading,
    Names,
    as_chosen,
    command_reason,
    differences,
    mapping,
    members,
    moment,
    reason_words,
    unchosen,
    value,
)
from dashboard.foreign_text import MOST, plain
from dashboard.reader import Reader
from dashboard.settings import UNITS
from dashboard.trouble import cause_name

MOST_PARTS: Final = 12
"""Changed members that a sentence names; the rest is counted."""
TROUBLE_CODES: Final = tuple(
    f"trouble.{what}" for what in ("taken", "released", "snoozed", "unsnoozed", "noted", "undone")
)
OF_PERSON: Final = tuple(
    f"sign_in.{what}"
    for what in ("link_made", "unlocked", "two_step_on", "two_step_off", "two_step_reset", "recovery_codes_made")
)
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
_WARNING: Final = frozenset(
    {"machine.events_dropped", "machine.share_used_up", "sign_in.failed", "command.late", "remote.refused"}
)


class EventText(NamedTuple):
    """`shape`: of the sprite; `look`: its colour's class."""

    sentence: str
    shape: str
    look: str


def describe(r: Reader, event: Event, names: Names) -> EventText:
    code = str(event["code"])
    params, before, after = mapping(event["params"]), mapping(event["before"]), mapping(event["after"])
    reading = EventReading(r, code, params, before, after, names, str(event.get("actor")))
    make = _SENTENCES.get(code)
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
        status = _status(e.after)
        return (status, status) if status in _STATUSES else ("unknown", "unknown")
    if e.code == "connection.changed":
        mark = str(e.params.get("connection"))
        return (mark, mark) if mark in ("live", "late", "offline", "never") else ("live", "quiet")
    if e.code in ("command.finished", "command.late"):
        mark = jobs.MARKS.get(str(e.params.get("state")), "unknown")
        return mark, mark
    return SHAPES.get(kind(e.code), "live"), "quiet"


# --- sentences: the head, and what follows it -----------------------------------------------------------------------

_Parts = tuple[str, list[str]]
_STATUSES: Final = ("active", "inactive", "maintenance", "full", "error", "unknown")


def _status(of: Mapping[str, Any]) -> str:
    return str(of.get("special_status") or of.get("status") or "")


def _status_changed(e: EventReading) -> _Parts:
    was, now = (plain(e.r.text_of("status", _status(of))) for of in (e.before, e.after))
    filled = e.before.get("capacity") != e.after.get("capacity")
    if was != now:
        head = e.words("status.changed", before=was, after=now)
    else:
        head = _bin(e, "bin") if filled else e.words("status.stays", status=now)
    parts = [e.words("status.returned")] if e.params.get("returned") else []
    if filled and was != now:
        parts.append(_bin(e, "capacity"))
    under = [plain(e.r.text_of("status", str(of.get("status") or ""))) for of in (e.before, e.after)]
    if was == now and under[0] != under[1]:
        parts.append(e.words("underneath", before=under[0], after=under[1]))
    reason = e.params.get("reason")
    if reason is None and e.after.get("reason") != e.before.get("reason"):
        reason = e.after.get("reason")
    if reason:
        parts.append(e.words("reason", reason=reason_words(e.r, reason)))
    if e.after.get("until"):
        parts.append(e.words("until", when=moment(e.r, e.after["until"])))
    return head, parts


def _bin(e: EventReading, name: str) -> str:
    """How full it was and is: `58 → 60 %`."""
    was, now = (of.get("capacity") for of in (e.before, e.after))
    return e.words(
        name,
        before=e.r.number(was) if isinstance(was, (int, float)) else NOTHING,
        after=e.r.percent(now) if isinstance(now, (int, float)) else NOTHING,
    )


def _connection_changed(e: EventReading) -> _Parts:
    was, now = (plain(e.r.text_of("connection", str(e.params.get(name)))) for name in ("was", "connection"))
    reason = e.params.get("reason")
    gone = e.r.text_of("event.gone", plain(str(reason), 60)) if reason else ""
    return e.words("connection.changed", before=was, after=now), [gone]


def _job(e: EventReading) -> str:
    name, args = str(e.params.get("name")), e.params.get("args")
    if isinstance(args, Mapping):
        kept = {key: plain(each, 100) if isinstance(each, str) else each for key, each in args.items()}
        return plain(jobs.what(e.r, {"name": name, "args": kept, "issued_by": e.actor}))
    return e.words(f"job.{name}") if f"event.job.{name}" in e.r.t else plain(name, 60)


def _issued(e: EventReading) -> _Parts:
    args = mapping(e.params.get("args"))
    reason = e.params.get("reason") or (
        "" if jobs.passed_on({**e.params, "issued_by": e.actor}) else args.get("reason")
    )
    parts = [e.words("reason", reason=command_reason(e.r, e.params.get("name"), reason)) if reason else ""]
    parts.append(e.words("until", when=moment(e.r, args["until"])) if args.get("until") else "")
    parts.append(e.words("one_of_many") if e.params.get("group_id") else "")
    return e.words("command.issued", job=_job(e)), parts


def _finished(e: EventReading) -> _Parts:
    state = plain(jobs.word(e.r, str(e.params.get("state"))))
    error = e.params.get("error")
    why = e.r.text_of("failure", plain(str(error), 60)) if error else ""
    forced = e.words("forced") if e.params.get("forced") else ""
    return e.words("command.finished", job=_job(e), state=state), [why, forced]


def _late(e: EventReading) -> _Parts:
    return e.words("command.late", job=_job(e), state=plain(jobs.word(e.r, str(e.params.get("state"))))), []


def _setting(r: Reader, key: str) -> str:
    """As the settings page calls it; a free one by its key."""
    return r.text_of("set", plain(key, 64))


def _config_changed(e: EventReading) -> _Parts:
    scope = "fleet" if e.params.get("scope") == "fleet" else "machine"
    changes = differences(e, lambda key: _setting(e.r, key), UNITS)
    return e.words(f"config.changed.{scope}", version=e.param("version")), changes


def _and_more(e: EventReading) -> list[str]:
    return [e.words("more", n=e.param("more"))] if e.params.get("more") else []


def _config_refused(e: EventReading) -> _Parts:
    errors = mapping(e.params.get("errors"))
    refused = {
        _setting(e.r, key): refusals.why(e.r, why) if isinstance(why, str) else why for key, why in errors.items()
    }
    return e.words("config.refused", version=e.param("version")), members(refused, e.r) + _and_more(e)


def _zone_synced(e: EventReading) -> _Parts:
    was, now = (value(e.r, of.get("timezone")) for of in (e.before, e.after))
    head = (
        e.words("timezone.synced", before=was, after=now)
        if was not in (NOTHING, now)
        else e.words("timezone.same", zone=now)
    )
    method, source, guess = (e.params.get(name) for name in ("method", "source", "guess"))
    return head, [
        e.r.text_of("event.method", plain(str(method), 40)) if method else "",
        e.r.text_of("event.source", plain(str(source), 40)) if source else "",
        e.words("guess", zone=plain(str(guess), 60)) if guess else "",
    ]


def _zone_failed(e: EventReading) -> _Parts:
    code, wanted = e.params.get("error"), e.params.get("timezone")
    known = bool(code) and f"failure.{code}" in e.r.t
    why = e.r.t(f"failure.{code}") if known else value(e.r, e.params.get("message") or code)
    return e.words("timezone.failed", why=why), [value(e.r, wanted)] if wanted else []


def _edited(e: EventReading) -> _Parts:
    return e.words("machine.edited"), differences(e, lambda name: e.r.text_of("event.member", plain(name, 60)))


def _quarantined(e: EventReading) -> _Parts:
    addresses = e.params.get("addresses")
    return e.words("machine.quarantined", n=e.param("takeovers")), [
        e.words("from", address=value(e.r, addresses)) if addresses else ""
    ]


def _certificate_refused(e: EventReading) -> _Parts:
    other = e.params.get("fault") == "certificate_other"
    words = e.words("machine.certificate_other" if other else "machine.certificate_refused")
    return words, [e.words("from", address=e.param("address"))]


def _reported(e: EventReading) -> _Parts:
    return e.words("machine.event", code=e.param("code", 100)), members(mapping(e.params.get("params")), e.r)


def _user_added(e: EventReading) -> _Parts:
    role = e.after.get("role")
    return e.words("user.added", who=e.person()), [e.r.text_of("role", plain(str(role), 40)) if role else ""]


def _user_edited(e: EventReading) -> _Parts:
    if e.params.get("link"):
        return e.words("sign_in.link_made", who=e.person()), []
    if set(e.after) == {"password"}:
        return e.words("user.password", who=e.person()), []
    changes = differences(as_chosen(e), lambda name: e.r.text_of("event.member", plain(name, 60)))
    return e.words("user.edited", who=e.person()), [*changes, *unchosen(e)]


def _trouble(e: EventReading) -> _Parts:
    cause, until = cause_name(e.r, e.param("cause", 40)), e.params.get("until")
    person = [e.words("trouble.person", name=e.param("person", 100))] if e.params.get("person") else []
    if e.code == "trouble.taken" and e.params.get("from"):
        return e.words("trouble.taken_over", name=e.param("from", 100), cause=cause), person
    if e.code == "trouble.released" and e.params.get("left"):
        return e.words("trouble.left", name=e.param("left", 100), cause=cause), []
    when = moment(e.r, until) if until else ""
    note = e.param("note") if e.code == "trouble.snoozed" and e.params.get("note") else ""
    return e.words(e.code, cause=cause, when=when, note=e.param("note")), [note, *person]


def _view_saved(e: EventReading) -> _Parts:
    return e.words("view.saved", name=e.param("name")), [e.words("view.shared") if e.after.get("shared") else ""]


def _address(e: EventReading) -> str:
    return e.words("from", address=e.param("ip", 64)) if e.params.get("ip") else ""


def _signed_in(e: EventReading) -> _Parts:
    by = "link" if e.params.get("by") == "link" else "password"
    second = e.params.get("second")
    step = e.words(f"sign_in.second.{second}", n=e.param("left")) if second in ("app", "recovery") else ""
    return e.words(f"sign_in.succeeded.{by}"), [step, _address(e)]


def _sign_in_failed(e: EventReading) -> _Parts:
    known = e.params.get("by", "password") == "password"
    wrong = [e.words("sign_in.wrong_code" if known else "sign_in.wrong_code_alone")] if e.params.get("second") else []
    return e.words(e.code, who=e.person()), [*wrong, _address(e), e.words("tries", n=e.param("failures"))]


def _place(e: EventReading) -> list[str]:
    """Which board asks, and from where."""
    board = [e.param(name, 100) for name in ("hostname", "model") if e.params.get(name)]
    return [*board, _address(e)]


def _code_made(e: EventReading) -> _Parts:
    head = e.words(e.code, prefix=e.param("prefix", 20), n=e.param("uses"), count=e.params.get("uses"))
    return head, [
        e.param("name", 100) if e.params.get("name") else "",
        e.r.text_of("enrol.approval", plain(str(e.params.get("approval")), 20)),
        e.words("until", when=moment(e.r, e.params.get("expires_at"))),
    ]


def _enrolled(e: EventReading) -> _Parts:
    names = {name: e.param(name, 100) for name in ("name", "device_id", "fingerprint")}
    return e.words(e.code, **names), _place(e)


def _key_words(e: EventReading, of: Mapping[str, Any]) -> _Parts:
    return e.words(e.code, prefix=value(e.r, of.get("api_key_prefix"))), []


def _asks_for_place(e: EventReading) -> _Parts:
    return e.words(e.code, fingerprint=e.param("fingerprint", 30)), _place(e)


def _simple(*names: str, most: int = MOST) -> Callable[[EventReading], _Parts]:
    return lambda e: (e.words(e.code, **{name: e.param(name, most) for name in names}), [])


_SENTENCES: Final[Mapping[str, Callable[[EventReading], _Parts]]] = {
    "status.changed": _status_changed,
    "connection.changed": _connection_changed,
    "command.issued": _issued,
    "command.finished": _finished,
    "command.cancel_asked": lambda e: (e.words("command.cancel_asked", job=_job(e)), []),
    "command.late": _late,
    "config.changed": _config_changed,
    "config.applied": _simple("version"),
    "config.refused": _config_refused,
    "timezone.synced": _zone_synced,
    "timezone.failed": _zone_failed,
    "timezone.kept": _simple("guess", "pinned"),
    "machine.added": _simple("name", "device_id"),
    "machine.edited": _edited,
    "machine.removed": _simple("name", "device_id"),
    "machine.key_rotated": lambda e: _key_words(e, e.after),
    "machine.key_offered": lambda e: _key_words(e, e.after),
    "machine.key_renewed": lambda e: _key_words(e, e.after),
    "machine.key_withdrawn": lambda e: _key_words(e, e.before),
    "machine.enrolled": _enrolled,
    "machine.introduced": _simple("agent_version", most=60),
    "machine.board_changed": _simple("board", "was"),
    "machine.board_held": _simple("board", "was"),
    "machine.board_cloned": _simple("board", "was"),
    "machine.board_accepted": _simple("board", "was"),
    "machine.board_refused": _simple("board", "was"),
    "machine.quarantined": _quarantined,
    "machine.certificate_refused": _certificate_refused,
    "machine.released": _simple(),
    "machine.share_used_up": _simple("mib_per_day"),
    "machine.event": _reported,
    "machine.events_dropped": lambda e: (
        e.words("machine.events_dropped", n=e.param("count"), count=e.params.get("count")),
        [],
    ),
    **remote_sentences.SENTENCES,
    **backup_sentences.SENTENCES,
    "enrolment.code_made": _code_made,
    "enrolment.code_revoked": _simple("prefix", most=20),
    "enrolment.requested": _asks_for_place,
    "enrolment.rejected": _asks_for_place,
    **dict.fromkeys(TROUBLE_CODES, _trouble),
    "user.added": _user_added,
    "user.edited": _user_edited,
    "user.removed": lambda e: (e.words("user.removed", who=e.person()), []),
    "view.saved": _view_saved,
    "view.edited": lambda e: (
        e.words("view.edited", name=e.param("name")),
        differences(e, lambda name: e.r.text_of("event.member", plain(name, 60))),
    ),
    "view.removed": _simple("name"),
    **notifications.SENTENCES,
    "token.created": _simple("name", "prefix"),
    "token.revoked": _simple("name", "prefix"),
    "sign_in.succeeded": _signed_in,
    "sign_in.failed": _sign_in_failed,
    "sign_in.locked": _sign_in_failed,
    "sign_in.signed_out": _simple(),
    "sign_in.sessions_ended": lambda e: (
        e.words(e.code, who=e.person(), n=e.param("count"), count=e.params.get("count")),
        [],
    ),
    **dict.fromkeys(OF_PERSON, lambda e: (e.words(e.code, who=e.person()), [])),
    "hub.backed_up": _simple("rows", "size"),
    "hub.restored": _simple("rows", "made_at", most=60),
}
SAID: Final = frozenset(_SENTENCES)
"""Codes with a sentence."""
