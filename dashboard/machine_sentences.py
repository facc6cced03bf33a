"""Sentences of what happens to a machine in the audit log: its status, connection, commands, settings, time zone, key,
enrolment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dashboard import jobs, refusals
from dashboard.event_reading import (
    NOTHING,
    EventReading,
    Parts,
    Sentence,
    command_reason,
    differences,
    from_address,
    mapping,
    members,
    moment,
    plainly,
    reason_words,
    value,
)
from dashboard.foreign_text import plain
from dashboard.reader import Reader
from dashboard.settings import UNITS


def status_in(of: Mapping[str, Any]) -> str:
    return str(of.get("special_status") or of.get("status") or "")


def _status_changed(e: EventReading) -> Parts:
    was, now = (plain(e.r.text_of("status", status_in(of))) for of in (e.before, e.after))
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


def _connection_changed(e: EventReading) -> Parts:
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


def _issued(e: EventReading) -> Parts:
    args = mapping(e.params.get("args"))
    reason = e.params.get("reason") or (
        "" if jobs.passed_on({**e.params, "issued_by": e.actor}) else args.get("reason")
    )
    parts = [e.words("reason", reason=command_reason(e.r, e.params.get("name"), reason)) if reason else ""]
    parts.append(e.words("until", when=moment(e.r, args["until"])) if args.get("until") else "")
    parts.append(e.words("one_of_many") if e.params.get("group_id") else "")
    return e.words("command.issued", job=_job(e)), parts


def _finished(e: EventReading) -> Parts:
    state = plain(jobs.word(e.r, str(e.params.get("state"))))
    error = e.params.get("error")
    why = e.r.text_of("failure", plain(str(error), 60)) if error else ""
    forced = e.words("forced") if e.params.get("forced") else ""
    return e.words("command.finished", job=_job(e), state=state), [why, forced]


def _late(e: EventReading) -> Parts:
    return e.words("command.late", job=_job(e), state=plain(jobs.word(e.r, str(e.params.get("state"))))), []


def _setting(r: Reader, key: str) -> str:
    """As the settings page calls it; a free one by its key."""
    return r.text_of("set", plain(key, 64))


def _config_changed(e: EventReading) -> Parts:
    scope = "fleet" if e.params.get("scope") == "fleet" else "machine"
    changes = differences(e, lambda key: _setting(e.r, key), UNITS)
    return e.words(f"config.changed.{scope}", version=e.param("version")), changes


def _and_more(e: EventReading) -> list[str]:
    return [e.words("more", n=e.param("more"))] if e.params.get("more") else []


def _config_refused(e: EventReading) -> Parts:
    errors = mapping(e.params.get("errors"))
    refused = {
        _setting(e.r, key): refusals.why(e.r, why) if isinstance(why, str) else why for key, why in errors.items()
    }
    return e.words("config.refused", version=e.param("version")), members(refused, e.r) + _and_more(e)


def _zone_synced(e: EventReading) -> Parts:
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


def _zone_failed(e: EventReading) -> Parts:
    code, wanted = e.params.get("error"), e.params.get("timezone")
    known = bool(code) and f"failure.{code}" in e.r.t
    why = e.r.t(f"failure.{code}") if known else value(e.r, e.params.get("message") or code)
    return e.words("timezone.failed", why=why), [value(e.r, wanted)] if wanted else []


def _edited(e: EventReading) -> Parts:
    return e.words("machine.edited"), differences(e, lambda name: e.r.text_of("event.member", plain(name, 60)))


def _quarantined(e: EventReading) -> Parts:
    addresses = e.params.get("addresses")
    return e.words("machine.quarantined", n=e.param("takeovers")), [
        e.words("from", address=value(e.r, addresses)) if addresses else ""
    ]


def _certificate_refused(e: EventReading) -> Parts:
    other = e.params.get("fault") == "certificate_other"
    words = e.words("machine.certificate_other" if other else "machine.certificate_refused")
    return words, [e.words("from", address=e.param("address"))]


def _reported(e: EventReading) -> Parts:
    return e.words("machine.event", code=e.param("code", 100)), members(mapping(e.params.get("params")), e.r)


def _key_words(e: EventReading, of: Mapping[str, Any]) -> Parts:
    return e.words(e.code, prefix=value(e.r, of.get("api_key_prefix"))), []


def _place(e: EventReading) -> list[str]:
    """Which board asks, and from where."""
    board = [e.param(name, 100) for name in ("hostname", "model") if e.params.get(name)]
    return [*board, from_address(e)]


def _code_made(e: EventReading) -> Parts:
    head = e.words(e.code, prefix=e.param("prefix", 20), n=e.param("uses"), count=e.params.get("uses"))
    return head, [
        e.param("name", 100) if e.params.get("name") else "",
        e.r.text_of("enrol.approval", plain(str(e.params.get("approval")), 20)),
        e.words("until", when=moment(e.r, e.params.get("expires_at"))),
    ]


def _enrolled(e: EventReading) -> Parts:
    names = {name: e.param(name, 100) for name in ("name", "device_id", "fingerprint")}
    return e.words(e.code, **names), _place(e)


def _asks_for_place(e: EventReading) -> Parts:
    return e.words(e.code, fingerprint=e.param("fingerprint", 30)), _place(e)


SENTENCES: Final[Mapping[str, Sentence]] = {
    "status.changed": _status_changed,
    "connection.changed": _connection_changed,
    "command.issued": _issued,
    "command.finished": _finished,
    "command.cancel_asked": lambda e: (e.words("command.cancel_asked", job=_job(e)), []),
    "command.late": _late,
    "config.changed": _config_changed,
    "config.applied": plainly("version"),
    "config.refused": _config_refused,
    "timezone.synced": _zone_synced,
    "timezone.failed": _zone_failed,
    "timezone.kept": plainly("guess", "pinned"),
    "machine.added": plainly("name", "device_id"),
    "machine.edited": _edited,
    "machine.removed": plainly("name", "device_id"),
    "machine.key_rotated": lambda e: _key_words(e, e.after),
    "machine.key_offered": lambda e: _key_words(e, e.after),
    "machine.key_renewed": lambda e: _key_words(e, e.after),
    "machine.key_withdrawn": lambda e: _key_words(e, e.before),
    "machine.enrolled": _enrolled,
    "machine.introduced": plainly("agent_version", most=60),
    "machine.board_changed": plainly("board", "was"),
    "machine.board_held": plainly("board", "was"),
    "machine.board_cloned": plainly("board", "was"),
    "machine.board_accepted": plainly("board", "was"),
    "machine.board_refused": plainly("board", "was"),
    "machine.quarantined": _quarantined,
    "machine.certificate_refused": _certificate_refused,
    "machine.released": plainly(),
    "machine.share_used_up": plainly("mib_per_day"),
    "machine.event": _reported,
    "machine.events_dropped": lambda e: (
        e.words("machine.events_dropped", n=e.param("count"), count=e.params.get("count")),
        [],
    ),
    "enrolment.code_made": _code_made,
    "enrolment.code_revoked": plainly("prefix", most=20),
    "enrolment.requested": _asks_for_place,
    "enrolment.rejected": _asks_for_place,
}
