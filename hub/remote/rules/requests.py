"""Decides who may begin a remote session; begins, approves, extends and stops one. No Change holds the tunnel's
ticket."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from db.records import SESSION_PARTS, CommandRow, RemoteSessionRow
from hub.commands import rules as command_rules
from hub.model import actors
from hub.model.access import Principal
from hub.model.changes import Change, EventHappened, Move, Put, move, put_rows
from hub.model.machine import Machine
from hub.remote.rules import life
from hub.remote.rules.life import EXTEND, START, STOP
from hub.status import rules as status_rules
from protocol import configuration
from protocol.addresses import is_within, normalise_address
from protocol.limits import MAX_PAGE_NAME

DEFAULT_S: Final = 1800.0
APPROVAL_S: Final = 900.0  # How long a session waits for somebody to agree
MOST_OF_A_PERSON: Final = 20
MOST_OF_A_MACHINE: Final = 2
CAMERA_PORT: Final = 5000  # What a machine shows where, unless it says otherwise (requirements.md, section 6)
CONTROL_PORT: Final = 5001
USUAL_PORTS: Final = (CAMERA_PORT, CONTROL_PORT)
PageKind = Literal["camera", "control"]
_PAGE_KINDS: Final[dict[int, PageKind]] = {CAMERA_PORT: "camera"}


class SessionRefused(Exception):  # noqa: N818 - an answer, not a fault
    """`code` for programs, `status` for HTTP, `params` for the sentence."""

    def __init__(self, code: str, status: int, **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.params = params


class MachinePage(NamedTuple):
    """`name` is the machine's own; `kind` what an unnamed one is called by, None when nobody knows."""

    port: int
    name: str | None
    kind: PageKind | None


class SessionRequest(NamedTuple):
    """`holder` None: begun at the machine; `claimed`: the user id it sent."""

    holder: int | None
    name: str
    address: str
    duration: float
    allow: tuple[str, ...]
    ports: tuple[int, ...]
    port: int | None
    reason: str | None
    origin: str = "hub"
    claimed: int | None = None


def declared_ports(machine: Machine) -> tuple[int, ...]:
    remote = (machine.row.hardware or {}).get("remote")
    ports = remote.get("ports") if isinstance(remote, dict) else None
    if not isinstance(ports, list):
        return USUAL_PORTS
    return tuple(p for p in ports if isinstance(p, int) and not isinstance(p, bool) and 0 < p < 65536)


def declared_pages(machine: Machine) -> tuple[MachinePage, ...]:
    remote = (machine.row.hardware or {}).get("remote")
    reported: dict[str, Any] = remote if isinstance(remote, dict) else {}
    names = _page_names(machine, reported.get("names"))
    control = reported.get("control") or CONTROL_PORT
    return tuple(
        MachinePage(port, _name(names.get(str(port))), _PAGE_KINDS.get(port) if port != control else "control")
        for port in declared_ports(machine)
    )


def _page_names(machine: Machine, reported: object) -> dict[str, Any]:
    """From its settings; else what it reported in its hello, which an older agent's file names."""
    settings = machine.effective_settings
    known = configuration.page_names(settings.values["remote_page_names"])
    if known or "remote_page_names" in settings.written:
        return dict(known)
    return reported if isinstance(reported, dict) else {}


def _name(given: object) -> str | None:
    return given[:MAX_PAGE_NAME].strip() or None if isinstance(given, str) and given.isprintable() else None


def longest_s(machine: Machine) -> float:
    return float(str(machine.effective_settings.values["session_timeout"]))


def needs_approval(machine: Machine) -> bool:
    return machine.effective_settings.on("remote_access_approval")


def most_at_once(machine: Machine) -> int:
    return int(str(machine.effective_settings.values["max_concurrent_sessions"]))


def refusal(
    machine: Machine, address: str, *, of_person: int = 0, origin: str = "hub", more: int = 1
) -> SessionRefused | None:
    """`of_person`: the person's open sessions. `more`: 0 for one being approved."""
    if not machine.effective_settings.on("remote_access_enabled"):
        return SessionRefused("remote_access_disabled", 409)
    if origin == "hub" and (not machine.linked or machine.row.quarantined_until is not None):
        return SessionRefused("machine_offline", 409)
    networks = machine.effective_settings.values["admin_ips"]
    allowed = is_within(address, networks if isinstance(networks, list) else [])
    if origin == "hub" and more and not allowed:
        return SessionRefused("address_not_allowed", 403, address=address)
    if machine.busy:
        return SessionRefused("machine_busy", 409)
    return _full(machine, of_person) if more else None


def _full(machine: Machine, of_person: int) -> SessionRefused | None:
    count, most = len(machine.remote_sessions), most_at_once(machine)
    if count >= most:
        return SessionRefused("too_many_sessions", 409, most=most, names=_holders(machine))
    if count >= MOST_OF_A_MACHINE:
        return SessionRefused("too_many_of_machine", 429, most=MOST_OF_A_MACHINE)
    if of_person >= MOST_OF_A_PERSON:
        return SessionRefused("too_many_of_person", 429, most=MOST_OF_A_PERSON)
    return None


def _holders(machine: Machine) -> str:
    """Also who waits for an approval."""
    return ", ".join(dict.fromkeys(one.admin_name or "–" for one in machine.remote_sessions.values()))


def count_of(machines: Iterable[Machine], user_id: int) -> int:
    return sum(s.admin_id == user_id for m in machines for s in m.remote_sessions.values())


def opening(machine: Machine, asked: SessionRequest, by: actors.Actor, now: datetime) -> list[Change]:
    """Row and event. `begin`, or the approval, needs the row's id."""
    waits = asked.origin == "hub" and needs_approval(machine)
    session = RemoteSessionRow(
        id=0, rvm_id=machine.id, admin_id=asked.holder, admin_name=asked.name, start_time=now, created_at=now,
        status="requested" if waits else "starting", duration_s=asked.duration,
        expires_at=now + timedelta(seconds=APPROVAL_S if waits else asked.duration),
        reason=asked.reason, ip_address=asked.address, port=asked.port, ports=asked.ports, allow=asked.allow,
        origin=asked.origin,
    )  # fmt: skip
    params: dict[str, Any] = {
        "reason": asked.reason, "duration_s": asked.duration, "allow": list(asked.allow), "ports": list(asked.ports),
        "holder": asked.name, "origin": asked.origin, "ip": asked.address,
    }  # fmt: skip
    if asked.claimed is not None:
        params["claimed"] = asked.claimed
    event = EventHappened(at=now, code="remote.requested", actor=by, rvm_id=machine.id, params=params)
    return [Put(session), event]


def begin(machine: Machine, session: RemoteSessionRow, by: actors.Actor, now: datetime) -> list[Change]:
    moved, drafted = _sent_for(machine, session, by, now)
    return [moved, *drafted]


def _sent_for(
    machine: Machine, session: RemoteSessionRow, by: actors.Actor, now: datetime, **more: Any
) -> tuple[Move[RemoteSessionRow], list[Change]]:
    drafted = command_rules.draft(machine, START, _arguments(session), by, now, reason=session.reason)
    until = now + timedelta(seconds=session.duration_s or 0.0)
    moved = move(session, status="starting", start_time=now, expires_at=until, command_id=_id_of(drafted), **more)
    return moved, drafted


def begin_at_site(machine: Machine, session: RemoteSessionRow, now: datetime) -> list[Change]:
    """A linked machine's agent gets a command; else the maintenance is declared here."""
    by = actors.machine(machine.id)
    if not machine.linked:
        named = status_rules.NamedStatus(
            special_status="maintenance",
            reason=f"remote access: {session.reason}"[:500] if session.reason else "remote access",
            until=session.expires_at,
        )
        return [*life.activated(session, now), *status_rules.declared_by_key(machine, named, now)]
    drafted = command_rules.draft(machine, START, _arguments(session), by, now, reason=session.reason)
    return [*life.activated(session, now, command_id=_id_of(drafted)), *drafted]


def approve(machine: Machine, session: RemoteSessionRow, by: actors.Actor, now: datetime) -> list[Change]:
    if session.status != "requested":
        raise SessionRefused("not_waiting", 409)
    why = refusal(machine, session.ip_address or "", more=0)
    if why is not None:
        raise why
    requester = actors.user(session.admin_id or 0)
    moved, drafted = _sent_for(machine, session, requester, now, approved_by=by, approved_at=now)
    return [moved, life.approved(session, by, now), *drafted]


def decline(session: RemoteSessionRow, by: actors.Actor, now: datetime) -> list[Change]:
    if session.status != "requested":
        raise SessionRefused("not_waiting", 409)
    return life.declined(session, by, now)


def extend(machine: Machine, session: RemoteSessionRow, more: float, by: actors.Actor, now: datetime) -> list[Change]:
    if session.status != "active":
        raise SessionRefused("not_active", 409)
    latest = session.start_time + timedelta(seconds=longest_s(machine))
    until = min(life.ends_at(session) + timedelta(seconds=more), latest)
    if until <= life.ends_at(session):
        raise SessionRefused("cannot_extend", 409, count=round(longest_s(machine) / 60))
    changes = life.extended(session, until, by, now)
    if session.command_id is None:
        named = status_rules.NamedStatus(until=until)
        return [
            *changes,
            *(status_rules.declared_by_key(machine, named, now) if _declared_here(machine, session) else []),
        ]
    args = {"session_id": session.id, "duration": (until - now).total_seconds()}
    return [*changes, *_commanded(machine, EXTEND, args, by, now)]


def stop(
    machine: Machine,
    session: RemoteSessionRow,
    reason: str,
    by: actors.Actor,
    now: datetime,
    *,
    note: str | None = None,
) -> list[Change]:
    changes = life.ended(session, reason, by, now, note=note)
    if not changes or session.status == "requested":
        return changes
    if session.command_id is None:
        return [*changes, *(status_rules.given_back(machine, now) if _declared_here(machine, session) else [])]
    return [*changes, *stop_there(machine, session.id, reason, by, now)]


def stop_there(machine: Machine, session_id: int, reason: str, by: actors.Actor, now: datetime) -> list[Change]:
    """For a session that is over or unknown here."""
    return _commanded(machine, STOP, {"session_id": session_id, "reason": reason}, by, now)


def unknown_here(machine: Machine, held: Iterable[int], now: datetime) -> list[Change]:
    """Stop those of a hello (`held`) that are not open here."""
    stopping = {c.args.get("session_id") for c in machine.pending.values() if c.name == STOP}
    return [
        change
        for session_id in held
        if session_id not in machine.remote_sessions and session_id not in stopping
        for change in stop_there(machine, session_id, "stopped", actors.CLOCK, now)
    ]


def chosen(
    machine: Machine, principal: Principal, session_id: int | None, named: int | None = None
) -> RemoteSessionRow:
    sessions = life.open_of(machine)
    if session_id is not None:
        sessions = [session for session in sessions if session.id == session_id]
    if named is not None:
        sessions = [session for session in sessions if session.origin == "site" or session.admin_id == named]
    if not sessions:
        raise SessionRefused("no_session", 409)
    own = [session for session in sessions if may_move(principal, session)]
    if not own:
        raise SessionRefused("not_yours", 403)
    mine = [session for session in own if principal.kind == "user" and session.admin_id == principal.id]
    return (mine or own)[0]


def may_move(principal: Principal, session: RemoteSessionRow) -> bool:
    if principal.kind == "machine":
        return principal.id == session.rvm_id
    return principal.role == "admin" or session.admin_id == principal.id


def same_address(given: str, address: str) -> bool:
    return normalise_address(given) == normalise_address(address) is not None


def _declared_here(machine: Machine, session: RemoteSessionRow) -> bool:
    """Whether the maintenance is still the one declared by this session."""
    until = machine.row.status_until
    return machine.row.special_status == "maintenance" and until is not None and until == session.expires_at


def _arguments(session: RemoteSessionRow) -> dict[str, Any]:
    args: dict[str, Any] = {
        "session_id": session.id,
        "admin_ip": session.ip_address or "",
        "ports": list(session.ports or ()),
        "duration": session.duration_s,
        "ticket": "",
        "allow": [part for part in SESSION_PARTS if life.allows(session, part)],
    }
    if session.admin_name:
        args["admin"] = session.admin_name[:100]
    if session.reason:
        args["reason"] = session.reason
    if session.origin == "site":
        args["site"] = True
    return args


def _commanded(machine: Machine, name: str, args: dict[str, Any], by: actors.Actor, now: datetime) -> list[Change]:
    try:
        return command_rules.draft(machine, name, args, by, now)
    except command_rules.Refused:
        return []


def _id_of(drafted: list[Change]) -> str:
    return next(put_rows(drafted, CommandRow)).id
