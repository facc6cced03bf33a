"""Decides which zone a machine should have, what a look-up's answer is worth, and when the next is due. Takes monotonic
`now`.

A pin beats every guess. A look-up is strangers' input over plain HTTP: a name of the zone database, or nothing. A
failed one never undoes a zone found before; only a machine that has found none takes the default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from protocol.addresses import normalise_address
from protocol.kinds import SyncMethod, ZoneSource
from protocol.limits import MAX_NAME, MAX_TEXT
from protocol.messages import Failure, TimezoneReport
from protocol.zones import is_zone

MAX_ANSWER_BYTES: Final = 64 * 1024
SUCCESS: Final = "success"
_REASONS: Final = 300
"""Characters that all addresses' reasons share in a report; the log has them whole."""


class NoAnswerError(Exception):
    """One reason for each address asked."""

    def __str__(self) -> str:
        return "; ".join(map(str, self.args))


class FoundZone(msgspec.Struct, frozen=True, kw_only=True):
    timezone: str
    country: str | None = None
    city: str | None = None
    ip: str | None = None


class ZoneChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The zone to set, its source, and a look-up's other opinion."""

    timezone: str
    source: ZoneSource
    guess: str | None = None


class SyncTrouble(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the look-up (`lookup`: why, and what holds instead), of setting the zone, or both."""

    lookup: str = ""
    setting: Failure | None = None

    def failure(self, *, done: bool) -> Failure | None:
        """`done`: the zone is set, and a failure to set it is dropped."""
        setting = None if done else self.setting
        if not self.lookup:
            return setting
        also = "" if setting is None else f"; {setting.message}"
        return Failure(code="lookup_failed", message=f"{self.lookup}{also}"[:MAX_TEXT])


class _Answer(msgspec.Struct):
    status: str
    timezone: str | None = None
    country: str | None = None
    city: str | None = None
    query: str | None = None
    message: str | None = None


def read_answer(payload: bytes) -> FoundZone:
    """In ip-api's JSON; raises NoAnswerError for everything else."""
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
    return FoundZone(
        timezone=answer.timezone,
        country=answer.country or None,
        city=answer.city or None,
        ip=_address(answer.query),
    )


def choose(pin: str, found: FoundZone | None, before: FoundZone | None, default: str) -> ZoneChoice:
    """`pin` "" and `found` None: none; `before`: an earlier look-up's newest answer."""
    guess = None if found is None else found.timezone
    if pin:
        return ZoneChoice(timezone=pin, source="pinned", guess=guess if guess != pin else None)
    if guess is not None:
        return ZoneChoice(timezone=guess, source="lookup")
    if before is not None and is_zone(before.timezone):
        return ZoneChoice(timezone=before.timezone, source="kept")
    return ZoneChoice(timezone=default, source="default")


def lost(choice: ZoneChoice, why: NoAnswerError) -> str:
    each = _REASONS // max(1, len(why.args))
    reasons = "; ".join(_clipped(str(reason), each) for reason in why.args)
    origin = "the default" if choice.source == "default" else "which was found before"
    return f"no look-up answered ({reasons}); {choice.timezone}, {origin}, is wanted"


def described(
    choice: ZoneChoice, found: FoundZone | None, before: FoundZone | None, timestamp: str, method: SyncMethod
) -> TimezoneReport:
    """Without the machine's own facts. An earlier place stays until a newer one answers."""
    place = found or before
    return TimezoneReport(
        timezone=choice.timezone,
        timestamp=timestamp,
        sync_method=method,
        source=choice.source,
        guess=choice.guess,
        country=None if place is None else place.country,
        city=None if place is None else place.city,
        ip=None if place is None else place.ip,
    )


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _is_plain(text: str) -> bool:
    return len(text) <= MAX_NAME and text.isprintable()


def _address(text: str | None) -> str | None:
    return None if text is None else normalise_address(text)


JITTER: Final = 0.1
"""A fleet started together does not look up together."""
FIRST_RETRY_S: Final = 60.0


class SyncRhythm:
    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._enabled = True
        self._interval = float("inf")
        self._last: float | None = None
        self._spread = 1.0
        self._failures = 0

    def set_interval(self, enabled: bool, interval: float) -> None:
        self._enabled, self._interval = enabled, interval

    def at_once(self) -> None:
        self._last = None

    def attempted(self, now: float, *, found: bool) -> None:
        self._last = now
        self._spread = 1.0 + JITTER * (2 * self._random() - 1)
        self._failures = 0 if found else self._failures + 1

    def due(self) -> float:
        """Past: at once; infinite: never."""
        if not self._enabled:
            return float("inf")
        if self._last is None:
            return float("-inf")
        delay = self._interval
        if self._failures:
            delay = min(delay, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 20))
        return self._last + delay * self._spread
