"""Which zone a machine should be set to, and what a look-up's answer is worth. Knows no network and no clock.

A pin beats every guess. A look-up by address is input of strangers over plain HTTP: it is a name of the zone database
or it is nothing. A look-up that fails never undoes a zone that was found before; only a machine that knows nothing
takes the default.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

import msgspec

from protocol.limits import MAX_NAME
from protocol.messages import Failure, SyncMethod, TimezoneReport, ZoneSource
from protocol.zones import is_zone

MAX_ANSWER_BYTES: Final = 64 * 1024
SUCCESS: Final = "success"


class NoAnswerError(Exception):
    """A look-up told nothing that can be used; the text says why, for people."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a look-up answered."""

    timezone: str
    country: str | None = None
    city: str | None = None
    ip: str | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The zone to set, where it comes from, and a look-up's other opinion."""

    timezone: str
    source: ZoneSource
    guess: str | None = None


class _Answer(msgspec.Struct):
    """The members of ip-api's JSON that matter; the others are not looked at."""

    status: str
    timezone: str | None = None
    country: str | None = None
    city: str | None = None
    query: str | None = None
    message: str | None = None


def read_answer(payload: bytes) -> Found:
    """What an answer in ip-api's JSON tells; raises NoAnswerError for everything that is not exactly that."""
    if len(payload) > MAX_ANSWER_BYTES:
        raise NoAnswerError(f"the answer is longer than {MAX_ANSWER_BYTES // 1024} KiB")
    try:
        answer = msgspec.json.decode(payload, type=_Answer)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as wrong:
        raise NoAnswerError("the answer is not the expected JSON") from wrong
    if answer.status != SUCCESS:
        why = f": {answer.message}" if answer.message and _is_plain(answer.message) else ""
        raise NoAnswerError(f"the service knows no place for this address{why}")
    if answer.timezone is None or not is_zone(answer.timezone):
        raise NoAnswerError("the answer names no zone of the IANA database")
    if not all(_is_plain(text) for text in (answer.country, answer.city) if text):
        raise NoAnswerError("the answer holds control characters or endless names")
    return Found(
        timezone=answer.timezone,
        country=answer.country or None,
        city=answer.city or None,
        ip=_address(answer.query),
    )


def choose(pin: str, found: Found | None, before: TimezoneReport | None, default: str) -> Choice:
    """`pin` "" and `found` None when there is none; `before` is the last report of this machine."""
    guess = None if found is None else found.timezone
    if pin:
        return Choice(timezone=pin, source="pinned", guess=guess if guess != pin else None)
    if guess is not None:
        return Choice(timezone=guess, source="lookup")
    if before is not None and before.source in ("pinned", "lookup") and is_zone(before.timezone):
        return Choice(timezone=before.timezone, source="lookup" if before.source == "lookup" else "pinned")
    return Choice(timezone=default, source="default")


def described(
    choice: Choice,
    found: Found | None,
    before: TimezoneReport | None,
    timestamp: str,
    method: SyncMethod,
    error: Failure | None,
) -> TimezoneReport:
    """The report of an attempt, without what is looked up on the machine itself. What an earlier look-up told of the
    place stands as long as no newer one answers."""
    place: Any = found or before
    return TimezoneReport(
        timezone=choice.timezone,
        timestamp=timestamp,
        sync_method=method,
        source=choice.source,
        guess=choice.guess,
        country=None if place is None else place.country,
        city=None if place is None else place.city,
        ip=None if place is None else place.ip,
        error=error,
    )


def _is_plain(text: str) -> bool:
    return len(text) <= MAX_NAME and text.isprintable()


def _address(text: str | None) -> str | None:
    """An address in its usual writing; what is none is not an error worth losing the zone for."""
    try:
        return None if text is None else str(ipaddress.ip_address(text))
    except ValueError:
        return None
