"""Decides what is sent to whom and when, what becomes of a message that failed, and which addresses are taken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from db.notification_records import DestinationRow, NotificationRow
from hub.attention.rules import GROUPS, KIND_OF
from hub.model.changes import Change, Drop, Patch, Put
from hub.model.views import epoch_ms

# --- addresses --------------------------------------------------------------------------------------------------------

SERVICES: Final[Mapping[str, frozenset[str]]] = {
    "tgram": frozenset({"silent", "preview", "topic", "thread", "to"}),
    "mailto": frozenset({"to", "from", "cc", "bcc", "reply", "name", "smtp", "mode", "user", "pass"}),
    "ntfy": frozenset({"to", "token", "auth", "mode", "priority", "xtags"}),
    "json": frozenset(),
    "gotify": frozenset({"priority"}),
    "mmost": frozenset({"to", "channel", "channels", "botname"}),
    "signal": frozenset({"to", "from"}),
    "slack": frozenset({"to"}),
    "discord": frozenset({"thread"}),
    "workflow": frozenset({"ver", "api-version", "sig", "pa"}),
    "gchat": frozenset({"key", "token", "workspace", "thread"}),
    "pover": frozenset({"to", "priority", "sound"}),
    "whatsapp": frozenset({"to", "from", "template", "lang"}),
}
"""Services that are let through, by apprise's scheme without the `s` of TLS, with the parameters that are harmless.
The others read files (`template`, `pgppub`), switch off TLS's checks (`verify`), follow elsewhere (`redirect`), or wait
(`retry`, `rto`)."""
WITH_TLS: Final = frozenset({"mailto", "ntfy", "json", "gotify", "mmost", "signal", "workflow"})
"""Also with an `s` behind."""
SECRET_HOST: Final = frozenset({"tgram", "slack", "discord", "gchat", "pover", "whatsapp"})
"""What stands where a host would is the secret."""
MAX_ADDRESS: Final = 2000
# Not USER:PASS/WORD@HOST: half of that password would stand where a host does.
_ADDRESS: Final = re.compile(r"([A-Za-z0-9]+)://(?![^@/?]*:[^@/?]*/[^?]*[^/?]@)([^/?]+)([^?]*)(?:\?(.*))?")
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")
_PARAMETER: Final = re.compile(r"\+?[A-Za-z0-9_-]+")


class AddressError(ValueError):
    """`code`: shape, service, parameter (which is `named`)."""

    def __init__(self, code: str, named: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.named = named


def place_of(address: str) -> str:
    """What of it may be shown: the service, and the host where that is no secret. Raises AddressError."""
    found = _ADDRESS.fullmatch(address) if len(address) <= MAX_ADDRESS else None
    if found is None or not _PLAIN.fullmatch(address) or set("#\\") & set(address):
        raise AddressError("shape")
    scheme, authority, path, query = found[1].lower(), found[2], found[3], found[4] or ""
    service = scheme if scheme in SERVICES else scheme.removesuffix("s")
    if service not in SERVICES or (scheme != service and service not in WITH_TLS):
        raise AddressError("service", scheme)
    for part in re.split("[&;]", query) if query else ():
        name = part.partition("=")[0]
        of_a_header = service == "json" and name.startswith("+")
        if not _PARAMETER.fullmatch(name) or not (of_a_header or name.lower() in SERVICES[service]):
            raise AddressError("parameter", name[:40])
    if service in SECRET_HOST:
        return f"{scheme}://…"
    host = authority.rpartition("@")[2]
    return f"{scheme}://ntfy.sh" if service == "ntfy" and not path.strip("/") else f"{scheme}://{host}"


def scheme_of(address: str) -> str:
    return address.partition("://")[0].lower()


# --- what there is ----------------------------------------------------------------------------------------------------

AWAY: Final = frozenset({"offline"})
"""What one message about many machines has in it."""
OUTAGE_SETTLES: Final = timedelta(seconds=20)
"""From the first machine that went: the message counts those that follow."""


class Trouble(NamedTuple):
    """`key`: of one beginning; a later one of the same cause has another. `noticed`: by the hub. `owner`: who is on it,
    "" nobody."""

    key: str
    rvm_id: int
    cause: str
    value: float | None
    since: datetime
    noticed: datetime
    owner: str = ""
    snoozed: bool = False


class Lost(NamedTuple):
    """Machines that went together; `site` "" when they are of several; `total`: machines there."""

    ids: tuple[int, ...]
    total: int
    site: str
    since: datetime


class AskedAccess(NamedTuple):
    """Remote access that waits for a second person."""

    session_id: int
    rvm_id: int
    who: str
    reason: str
    since: datetime


class WatchedMachine(NamedTuple):
    """Of a machine."""

    name: str
    device_id: str
    site: str
    tags: frozenset[str]
    connected: bool = True


class Situation(NamedTuple):
    troubles: Sequence[Trouble]
    outages: Sequence[Lost]
    asked: Sequence[AskedAccess]
    machines: Mapping[int, WatchedMachine]


def covers(to: DestinationRow, place: WatchedMachine) -> bool:
    is_named = not place.tags.isdisjoint(to.tags or ()) or place.site in (to.sites or ())
    return is_named or (to.tags is None and to.sites is None)


def wants(to: DestinationRow, cause: str) -> bool:
    """Its whole kind was chosen, or it by itself."""
    is_chosen = cause in (to.causes or ()) or KIND_OF.get(cause, "machine") in (to.kinds or ())
    return is_chosen or (to.kinds is None and to.causes is None)


# --- what is to be sent -----------------------------------------------------------------------------------------------

WAITS_AT_MOST: Final = timedelta(hours=24)
"""Later a message is no news."""
MOST_WAITING: Final = 200
"""A destination; what does not fit stays with the trouble itself, and is looked at again."""
OVER: Final = "over"
_WAITING: Final = (("state", "=", "waiting"),)


def decide(to: DestinationRow, rows: Iterable[NotificationRow], now_there: Situation, now: datetime) -> list[Change]:
    """For one destination; `rows`: its own that wait or are open."""
    own = list(rows)
    there = _of_destination(to, now_there)
    wanted, everywhere = _keys(there), _keys(now_there)
    changes = [change for row in own if row.open for change in _ended(to, row, wanted, everywhere, now)]
    changes += [change for row in own for change in _late(row, now)]
    if to.disabled_at is not None:
        return changes
    known = {row.key for row in own if row.open}
    changes += [change for row in own for change in _repeated(to, row, wanted.begun.get(row.key), now)]
    room = MOST_WAITING - sum(row.state in ("waiting", "sending") for row in own)
    new = [row for row in _begun(to, own, there, now) if row.key not in known]
    return changes + [Put(row, once=True) for row in new[: max(0, room)]]


def _of_destination(to: DestinationRow, found: Situation) -> Situation:
    """What of it is its own."""
    own = {rvm_id: place for rvm_id, place in found.machines.items() if covers(to, place)}
    troubles = [one for one in found.troubles if one.rvm_id in own and wants(to, one.cause)]
    outages = [
        one._replace(ids=ids)
        for one in found.outages
        if wants(to, "offline") and (ids := tuple(rvm_id for rvm_id in one.ids if rvm_id in own))
    ]
    asked = [one for one in found.asked if one.rvm_id in own and wants(to, "approval")]
    return Situation(troubles, outages, asked, found.machines)


def _begun(
    to: DestinationRow, own: Sequence[NotificationRow], there: Situation, now: datetime
) -> Iterable[NotificationRow]:
    sent_together = {rvm_id for row in own if row.open and row.kind == "outage" for rvm_id in row.params["ids"]}
    together = sent_together | {rvm_id for one in there.outages for rvm_id in one.ids}
    for lost in there.outages:
        if not _within(lost.since, OUTAGE_SETTLES, now) and sent_together.isdisjoint(lost.ids):
            yield _row(to, "outage", f"outage {lost.since.isoformat()} {lost.ids[0]}", None, now, {
                "ids": list(lost.ids), "n": len(lost.ids), "total": lost.total, "site": lost.site,
                "since": epoch_ms(lost.since),
            })  # fmt: skip
    for asked in there.asked:
        yield _row(to, "approval", f"approval {asked.session_id}", asked.rvm_id, now, {
            "machine": there.machines[asked.rvm_id].name, "who": asked.who, "reason": asked.reason,
            "since": epoch_ms(asked.since),
        })  # fmt: skip
    for one in there.troubles:
        in_outage = one.cause in AWAY and one.rvm_id in together
        # What stood before the destination was made is on the page: nobody wants twenty old messages at once.
        is_old = one.noticed < to.created_at <= now
        lasts = not _within(one.since, timedelta(seconds=to.after_s), now)
        if in_outage or is_old or one.owner or one.snoozed or not lasts:
            continue
        yield _row(to, "began", f"began {one.key}", one.rvm_id, now, {
            "machine": there.machines[one.rvm_id].name, "device": there.machines[one.rvm_id].device_id,
            "cause": one.cause, "value": one.value, "since": epoch_ms(one.since),
        })  # fmt: skip


def _row(
    to: DestinationRow, kind: str, key: str, rvm_id: int | None, now: datetime, params: dict[str, Any]
) -> NotificationRow:
    return NotificationRow(
        destination_id=to.id, key=key, kind=kind, rvm_id=rvm_id, params=params,
        open=kind in ("began", "outage", "approval"), created_at=now, next_at=now,
    )  # fmt: skip


class _Keys(NamedTuple):
    """What goes on, to look it up: `begun` by the key of its message; `away`: machines that are gone."""

    begun: Mapping[str, Trouble]
    asked: frozenset[str]
    away: frozenset[int]
    machines: Mapping[int, WatchedMachine]


def _keys(found: Situation) -> _Keys:
    begun = {f"began {one.key}": one for one in found.troubles}
    asked = frozenset(f"approval {one.session_id}" for one in found.asked)
    away = frozenset(one.rvm_id for one in found.troubles if one.cause in AWAY)
    return _Keys(begun, asked, away.union(*(one.ids for one in found.outages)), found.machines)


def _goes_on(row: NotificationRow, there: _Keys) -> bool:
    if row.kind == "outage":
        return not there.away.isdisjoint(row.params["ids"])
    return row.key in (there.asked if row.kind == "approval" else there.begun)


def _ended(to: DestinationRow, row: NotificationRow, wanted: _Keys, everywhere: _Keys, now: datetime) -> list[Change]:
    """What began is over: unsent, it is not sent any more; sent, its end may be, also where the destination would no
    longer be told of the beginning."""
    if row.state == "sending" or _goes_on(row, wanted if row.state == "waiting" else everywhere):
        return []
    if row.state == "waiting":
        values = {"state": "dropped", "open": False, "error": {"code": "over"}}
        return [Patch(NotificationRow, row.id, values, where=_WAITING)]
    closed = Patch(NotificationRow, row.id, {"open": False}, where=(("open", "=", True),), must="open")
    is_told = row.state == "sent" and row.kind != "approval" and to.also_over and to.disabled_at is None
    if not is_told or not _is_back(row, everywhere):
        return [closed]
    params = {**row.params, "until": epoch_ms(now), "of": row.kind}
    return [closed, Put(_row(to, OVER, f"{OVER} {row.key}"[:200], row.rvm_id, now, params), once=True)]


def _is_back(row: NotificationRow, everywhere: _Keys) -> bool:
    """A machine that was removed, or taken out of service while it was away, is not: nobody is told that it is."""
    is_away = row.kind == "outage" or row.params["cause"] in GROUPS["away"]
    known = (everywhere.machines.get(rvm_id) for rvm_id in row.params.get("ids", (row.rvm_id,)))
    return any(machine is not None and (machine.connected or not is_away) for machine in known)


def _late(row: NotificationRow, now: datetime) -> list[Change]:
    if row.state != "waiting" or abs(now - row.created_at) < WAITS_AT_MOST:
        return []
    return [Patch(NotificationRow, row.id, {"state": "given_up", "error": row.error or {"code": "late"}}, _WAITING)]


def _repeated(to: DestinationRow, row: NotificationRow, trouble: Trouble | None, now: datetime) -> list[Change]:
    """Snoozed or taken before it went out: not sent, and looked at anew later. Sent long ago: a reminder."""
    if row.kind != "began" or not row.open or trouble is None:
        return []
    if trouble.owner or trouble.snoozed:
        return [Drop(NotificationRow, row.id, where=_WAITING)] if row.state == "waiting" else []
    last = row.reminded_at or row.sent_at
    if to.remind_h is None or row.state != "sent" or last is None or _within(last, timedelta(hours=to.remind_h), now):
        return []
    again = _row(to, "reminder", f"reminder {now.isoformat()} {row.key}"[:200], row.rvm_id, now, row.params)
    noted = Patch(NotificationRow, row.id, {"reminded_at": now}, where=(("open", "=", True),), must="open")
    return [noted, Put(again, once=True)]


# --- what is sent now -------------------------------------------------------------------------------------------------

HOUR: Final = timedelta(hours=1)
SUMMARY_EVERY: Final = timedelta(minutes=15)
"""So often, at most, when more wants to be sent than a destination takes an hour."""
AT_ONCE: Final = frozenset({"outage", "approval"})
"""Also in quiet hours."""
NAMED: Final = 10


class NextMessage(NamedTuple):
    """One message, or many that become a summary."""

    row: NotificationRow | None
    summarised: tuple[NotificationRow, ...] = ()


def next_step(
    to: DestinationRow, rows: Iterable[NotificationRow], sent: Iterable[tuple[str, datetime]], now: datetime
) -> NextMessage | None:
    """`sent`: kind and time of its messages of the last hour."""
    waiting = [row for row in rows if row.state == "waiting"]
    if to.disabled_at is not None or not waiting or now < waiting[0].next_at <= now + LONGEST_PAUSE:
        return None  # in order: one that failed holds up what follows, as the same address would refuse it too
    if is_quiet(to, now):
        waiting = [row for row in waiting if row.kind in AT_ONCE or row.params.get("at_once")]
    recent = [(kind, at) for kind, at in sent if _within(at, HOUR, now)]
    if sum(kind != "summary" for kind, _ in recent) < to.per_hour or (waiting and waiting[0].kind == "summary"):
        return NextMessage(waiting[0]) if waiting else None
    last = max((at for kind, at in recent if kind == "summary"), default=None)
    if not waiting or (last is not None and now - last < SUMMARY_EVERY):
        return None
    return NextMessage(None, tuple(waiting))


def summary(to: DestinationRow, rows: Sequence[NotificationRow], now: datetime) -> list[Change]:
    """One message in place of these."""
    named = list(dict.fromkeys(str(row.params["machine"]) for row in rows if "machine" in row.params))
    params = {"n": len(rows), "machines": named[:NAMED], "more": max(0, len(named) - NAMED), "since": epoch_ms(now)}
    params["at_once"] = any(row.kind in AT_ONCE for row in rows)
    made = _row(to, "summary", f"summary {rows[0].id}", None, now, params)
    dropped = {"state": "dropped", "error": {"code": "summarised"}}
    return [Put(made, once=True), *(Patch(NotificationRow, row.id, dropped, where=_WAITING) for row in rows)]


def _within(at: datetime, span: timedelta, now: datetime) -> bool:
    """What lies ahead was written by a clock that was wrong then, and holds nothing up."""
    return timedelta(0) <= now - at < span


def is_quiet(to: DestinationRow, now: datetime) -> bool:
    if to.quiet_from is None or to.quiet_to is None or to.quiet_from == to.quiet_to:
        return False
    there = now.astimezone(ZoneInfo(to.timezone))
    length = (to.quiet_to - to.quiet_from) % 1440
    return (there.hour * 60 + there.minute - to.quiet_from) % 1440 < length


# --- what became of it ------------------------------------------------------------------------------------------------

FIRST_PAUSE_S: Final = 30.0
MOST_PAUSE_S: Final = 3600.0
LONGEST_PAUSE: Final = timedelta(seconds=MOST_PAUSE_S)
MOST_ATTEMPTS: Final = 10
"""Over four and a half hours."""
WRONG: Final = frozenset({"address", "address_refused", "sealed", "redirect"})
"""Somebody has to change the address first."""
ATTEMPTS_WHEN_WRONG: Final = 3


class SendOutcome(NamedTuple):
    """`code` "": it was taken. Else: address, address_refused, sealed, name, connection, tls, timeout, http, smtp,
    redirect, unknown; `status`: the far side's number."""

    code: str
    status: int | None = None
    retry_after_s: float | None = None


def begins(row: NotificationRow) -> Change:
    """Committed before it is sent: who is killed meanwhile repeats it once and loses nothing."""
    values = {"state": "sending", "attempts": row.attempts + 1}
    return Patch(NotificationRow, row.id, values, where=_WAITING, must="state")


def settled(to: DestinationRow, row: NotificationRow, outcome: SendOutcome, now: datetime) -> list[Change]:
    """After the attempt that `begins` counted."""
    if not outcome.code:
        done = {"state": "sent", "sent_at": now, "error": None}
        fine = {"last_sent_at": now, "failing_since": None, "fault": None}
        return [Patch(NotificationRow, row.id, done), Patch(DestinationRow, to.id, fine)]
    attempts, fault = row.attempts + 1, {"code": outcome.code, "status": outcome.status}
    given_up = attempts >= (ATTEMPTS_WHEN_WRONG if outcome.code in WRONG else MOST_ATTEMPTS)
    values = {"state": "given_up" if given_up else "waiting", "next_at": now + pause(attempts, outcome), "error": fault}
    failing = {"failing_since": to.failing_since or now, "fault": fault}
    return [Patch(NotificationRow, row.id, values), Patch(DestinationRow, to.id, failing)]


def pause(attempts: int, outcome: SendOutcome) -> timedelta:
    """Until the next attempt: doubled, and no shorter than the far side asks for."""
    grown = min(MOST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempts - 1))
    return timedelta(seconds=max(grown, min(MOST_PAUSE_S, outcome.retry_after_s or 0.0)))
