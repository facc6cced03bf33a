"""Folds events into happenings: one for each job, job of many machines and remote session, one an hour for what
repeats. Pure.

A happening stands where its newest event stands. How full a bin is is history; only crossed limits are events here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from dashboard.event_reading import REMOTE as REMOTE_REASON
from dashboard.event_reading import Event, mapping

CLOCK: Final = "clock"
"""The actor of what nobody asked for."""

LIMITS: Final = (80, 95)
"""Percent of a bin: nearly full, full."""
HOUR_MS: Final = 3_600_000
DENSE: Final = 3
"""Of a kind within an hour are one line."""
REMOTE: Final = frozenset({"start_remote_access", "stop_remote_access", "extend_remote_access"})
"""Jobs that a remote session's own events report."""
OF_BACKUP: Final[Mapping[str, str]] = {
    "backup.completed": "start_backup", "backup.failed": "start_backup", "backup.verified": "verify_backup",
    "backup.drill_failed": "verify_backup", "backup.restore_asked": "restore_backup",
    "backup.restored": "restore_backup", "backup.restore_failed": "restore_backup",
}  # fmt: skip
"""What became of a backup, and the job that it became so by."""
VERIFY_ASKED: Final = "backup.verify_asked"
BY_THE_WAY: Final = frozenset(
    {"backup.completed", "backup.uploaded", "backup.deleted", VERIFY_ASKED, "backup.verified"}
)
"""Of what goes on every night, on every machine, when all is well."""
BY_HAND: Final = frozenset({"machine.added", "machine.edited", "trouble.taken", "trouble.released", "trouble.snoozed"})
"""What one person does to many machines at once."""


@dataclass(slots=True)
class Happening:
    """`events` newest first; `kind`: job, jobs, session, many, or "" for one event."""

    key: str
    kind: str
    events: list[Event] = field(default_factory=list)  # Bound: those of one page

    @property
    def newest(self) -> Event:
        return self.events[0]


class _Known(NamedTuple):
    """Groups by their jobs, jobs that only relay, jobs by the instant they ended at; when which job of a backup was
    asked for, newest first."""

    groups: Mapping[str, str]
    relayed: frozenset[str]
    ended_at: Mapping[tuple[int | None, int], str]
    of_backup: Mapping[tuple[str, Any], Sequence[tuple[int, str]]]


def fold(events: Sequence[Event], kinds: Sequence[str] = ()) -> list[Happening]:
    """`events` newest first, in their view. `kinds`: asked for, empty: all."""
    known = _known(events)
    found: dict[str, Happening] = {}
    for event in events:
        if not _is_shown(event, known, kinds):
            continue
        key, kind = _place(event, known, found)
        found.setdefault(key, Happening(key, kind)).events.append(event)
    return sorted(_spread(found.values()), key=_order, reverse=True)


def _order(happening: Happening) -> tuple[int, int]:
    return int(happening.newest["at"]), int(happening.newest["id"])


def _spread(happenings: Iterable[Happening]) -> list[Happening]:
    """What happens seldom stands for itself."""
    spread: list[Happening] = []
    for one in happenings:
        if one.kind == "many" and len(one.events) < DENSE:
            spread += [Happening("", "", [event]) for event in one.events]
        else:
            spread.append(one)
    return spread


def crossed(event: Event) -> int | None:
    """The highest that a bin crossed, up or down."""
    was, now = (mapping(event[name]).get("capacity") for name in ("before", "after"))
    if not isinstance(was, (int, float)) or not isinstance(now, (int, float)):
        return None
    return next((limit for limit in reversed(LIMITS) if (was < limit) != (now < limit)), None)


def _known(events: Sequence[Event]) -> _Known:
    groups, relayed, ended_at = _by_the_clock(events), set[str](), dict[tuple[int | None, int], str]()
    of_backup: dict[tuple[str, Any], list[tuple[int, str]]] = {}
    for event in events:
        params, job = mapping(event["params"]), _job_of(event)
        if event["code"] == VERIFY_ASKED:
            of_backup.setdefault(("verify_backup", _backup_of(event)), []).append((event["at"], job))
        if not job:
            continue
        if isinstance(params.get("group_id"), str):
            groups[job] = params["group_id"]
        if event["code"] == "command.issued":
            if params.get("name") == "set_status" and _actor_kind(event) in ("machine", "clock"):
                relayed.add(job)
            args = mapping(params.get("args"))
            if not args.get("dry_run") and isinstance(args.get("backup_id"), int):
                of_backup.setdefault((str(params.get("name")), args["backup_id"]), []).append((event["at"], job))
        elif event["code"] == "command.finished" and params.get("name") == "set_status":
            ended_at[event["rvm_id"], event["at"]] = job
    return _Known(groups, frozenset(relayed), ended_at, of_backup)


def _by_the_clock(events: Sequence[Event]) -> dict[str, str]:
    """Jobs of an hour that nobody asked for, where they are many: a night's backups."""
    found = dict[str, str]()
    for event in events:
        if event["code"] == "command.issued" and event["actor"] == CLOCK and (job := _job_of(event)):
            params = mapping(event["params"])
            kind = mapping(params.get("args")).get("backup_type")
            found[job] = f"{CLOCK}|{event['at'] // HOUR_MS}|{params.get('name')}|{kind}"
    many = {key for key, jobs in Counter(found.values()).items() if jobs >= DENSE}
    return {job: key for job, key in found.items() if key in many}


def _actor_kind(event: Event) -> str:
    return str(event["actor"]).partition(":")[0]


def _job_of(event: Event) -> str:
    """ "": it is of none. A verification by the hub that a person asked for is one by itself."""
    if event["code"] == VERIFY_ASKED and _actor_kind(event) == "user":
        return f"v{event['id']}"
    job = mapping(event["params"]).get("command_id") if str(event["code"]).startswith("command.") else None
    return job if isinstance(job, str) else ""


def _is_shown(event: Event, known: _Known, kinds: Sequence[str]) -> bool:
    code, params = event["code"], mapping(event["params"])
    if code == "status.changed":
        if not kinds or "remote" in kinds:
            return not _is_of_session(event) and not _is_only_capacity(event)
        return not _is_only_capacity(event)
    if str(code).startswith("command."):
        whole = not kinds or "remote" in kinds or "command" not in kinds
        return not (_job_of(event) in known.relayed or (whole and str(params.get("name")) in REMOTE))
    return True


def _is_only_capacity(event: Event) -> bool:
    before, after = dict(mapping(event["before"])), dict(mapping(event["after"]))
    same = before.pop("capacity", None) != after.pop("capacity", None) and before == after
    return same and not mapping(event["params"]).get("reason") and crossed(event) is None


def _is_of_session(event: Event) -> bool:
    """Into a remote session's maintenance, or out of it."""
    before, after = mapping(event["before"]), mapping(event["after"])
    if before.get("status") != after.get("status"):
        return False
    reasons = [of.get("reason") for of in (before, after) if of.get("special_status") == "maintenance"]
    return any(isinstance(reason, str) and reason.startswith(REMOTE_REASON) for reason in reasons)


def _place(event: Event, known: _Known, found: dict[str, Happening]) -> tuple[str, str]:
    """Key and kind of the event's happening."""
    code, params, rvm = str(event["code"]), mapping(event["params"]), event["rvm_id"]
    job = _job_of(event) or (known.ended_at.get((rvm, event["at"]), "") if code == "status.changed" else "")
    job = job or _job_of_backup(event, known)
    if job:
        group = known.groups.get(job)
        return (f"g{group}", "jobs") if group else (f"c{job}", "job")
    if code.startswith("remote."):
        session = params.get("session_id")
        if isinstance(session, int):
            return f"s{session}", "session"
        if code == "remote.requested" and (key := _session_asked(event, found)):
            return key, "session"
    routine = _routine(event, code, params)
    if routine:
        return f"h{event['at'] // HOUR_MS}|{code}|{routine}", "many"
    return f"e{event['id']}", ""


def _job_of_backup(event: Event, known: _Known) -> str:
    """The one that was asked for last before this; of a restore that waited for its safety backup, next after it."""
    asked = known.of_backup.get((OF_BACKUP.get(str(event["code"]), ""), _backup_of(event)), ())
    before = next((job for at, job in asked if at <= event["at"]), "")
    if event["code"] != "backup.restore_asked" or before in {job for at, job in asked if at == event["at"]}:
        return before
    return next((job for at, job in reversed(asked) if at > event["at"]), "")


def _backup_of(event: Event) -> int | None:
    found = mapping(event["params"]).get("backup_id")
    return found if isinstance(found, int) else None


def _session_asked(event: Event, found: dict[str, Happening]) -> str:
    """The oldest one of this machine and holder that nobody asked for yet."""
    holder = mapping(event["params"]).get("holder")
    for key in reversed(found):
        one = found[key]
        oldest = one.events[-1]
        same = oldest["rvm_id"] == event["rvm_id"] and mapping(oldest["params"]).get("holder", holder) == holder
        if one.kind == "session" and same and oldest["code"] != "remote.requested":
            return key
    return ""


def _routine(event: Event, code: str, params: Mapping[str, Any]) -> str:
    """A key by which repetitions are one line an hour; "" for all else."""
    if code == "connection.changed":
        return str(params.get("connection"))
    if code == "machine.introduced":
        return str(params.get("agent_version"))
    if code == "config.applied":
        return str(params.get("version"))
    if code == "timezone.synced" and params.get("method") == "automatic":
        before, after = mapping(event["before"]).get("timezone"), mapping(event["after"]).get("timezone")
        return "same" if before in (None, after) else ""
    if code in ("machine.event", "machine.events_dropped"):
        return f"{event['rvm_id']}|{params.get('code')}"
    if code == "status.changed" and _actor_kind(event) == "machine":
        before, after = (mapping(event[name]) for name in ("before", "after"))
        same = all(before.get(name) == after.get(name) for name in ("status", "special_status"))
        return f"{event['rvm_id']}|{crossed(event) if same else 'status'}"
    if code in BY_THE_WAY and _actor_kind(event) != "user":
        return "all"
    if code in ("sign_in.failed", "sign_in.code_missing"):
        return f"{params.get('email')}|{params.get('ip')}|{params.get('second')}"
    if code in BY_HAND:
        return f"{event['actor']}|{params.get('cause')}|{event['after'] if code == 'machine.edited' else ''}"
    return ""
