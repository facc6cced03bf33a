"""Decides who may begin a remote session, the status meanwhile, and the one that returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from device.status.rules import Before, MachineState, RefusedError
from protocol.addresses import is_within
from protocol.commands import Allowed, StartRemoteAccess
from protocol.kinds import SpecialStatus, Status, Text, Timestamp
from protocol.messages import Failure, RemoteAccessReport

ALL: Final[tuple[Allowed, ...]] = ("terminal", "ports", "files")
MAINTENANCE: Final = "remote access"


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The status before the first open session, and how that is marked."""

    status: Status
    mark: Text
    special_status: SpecialStatus | None = None
    reason: Text | None = None
    until: Timestamp | None = None
    before: Before | None = None


class JournaledSession(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Never with its ticket. `boot`: the run of the machine it began in; overlapping sessions share `held`."""

    id: int
    boot: str
    began: Timestamp
    duration: float
    held: Held
    admin: str = ""
    admin_ip: str = ""
    reason: str = ""
    ports: tuple[int, ...] = ()
    allow: tuple[Allowed, ...] = ALL
    site: bool = False


class RemoteRules(msgspec.Struct, frozen=True, kw_only=True):
    """`ports`: declared by this machine."""

    enabled: bool
    networks: tuple[str, ...]
    longest_s: float
    most: int
    ports: frozenset[int]


def begun(
    state: MachineState,
    open_sessions: Mapping[int, JournaledSession],
    asked: StartRemoteAccess,
    rules: RemoteRules,
    boot: str,
    now: str,
) -> tuple[MachineState, JournaledSession]:
    """Maintenance, and the session remembered with it. Raises RefusedError."""
    refused = _refusal(state, open_sessions, asked, rules)
    if refused is not None:
        raise RefusedError(refused)
    other = next(iter(open_sessions.values()), None)
    held = _held(state, asked.reason or "") if other is None else other.held
    session = JournaledSession(
        id=asked.session_id,
        boot=boot,
        began=now,
        duration=min(asked.duration, rules.longest_s),
        held=held,
        admin=asked.admin or "",
        admin_ip=asked.admin_ip,
        reason=asked.reason or "",
        ports=tuple(dict.fromkeys(asked.ports)),
        allow=ALL if asked.allow is None else tuple(dict.fromkeys(asked.allow)),
        site=asked.site,
    )
    if other is not None:
        return state, session
    maintained = msgspec.structs.replace(
        state, special_status="maintenance", reason=held.mark, until=None, before=None, seq=state.seq + 1
    )
    return maintained, session


def extended(session: JournaledSession, since_s: float, duration: float, rules: RemoteRules) -> JournaledSession:
    return msgspec.structs.replace(session, duration=min(since_s + duration, rules.longest_s))


def over(state: MachineState, open_sessions: Mapping[int, JournaledSession], ending: Collection[int]) -> MachineState:
    """The previous status, unless others are open or it was changed meanwhile."""
    ended = [open_sessions[one] for one in ending if one in open_sessions]
    if not ended or len(ended) < len(open_sessions):
        return state
    held = ended[0].held
    if state.special_status != "maintenance" or state.reason != held.mark:
        return state
    return msgspec.structs.replace(
        state,
        special_status=held.special_status,
        # A reason explains a status; one that was declared under the session needs another.
        reason=held.reason if held.special_status or held.status == state.status else None,
        until=held.until,
        before=_before(held, state),
        seq=state.seq + 1,
    )


def ended_report(session_id: int, reason: str, now: str) -> RemoteAccessReport:
    return RemoteAccessReport(session_id=session_id, state="ended", at=now, reason=reason)


def why_interrupted(session: JournaledSession, boot: str) -> str:
    return "agent_restarted" if session.boot == boot else "machine_rebooted"


def _refusal(
    state: MachineState, open_sessions: Mapping[int, JournaledSession], asked: StartRemoteAccess, rules: RemoteRules
) -> Failure | None:
    if not rules.enabled:
        return Failure(code="disabled", message="remote_access_enabled is off in this machine's configuration")
    if not is_within(asked.admin_ip, rules.networks):
        return Failure(code="address_not_allowed", message="this address is not in admin_ips of this machine")
    if asked.session_id in open_sessions or len(open_sessions) >= rules.most:
        return Failure(code="too_many_sessions", message=f"{len(open_sessions)} sessions are open on this machine")
    if state.busy:
        return Failure(code="busy", message="a return session is open")
    unknown = sorted(set(asked.ports) - rules.ports)
    if unknown:
        named = ", ".join(map(str, unknown))
        return Failure(code="not_declared", message=f"remote_access_ports of this machine does not name {named}")
    if asked.duration <= 0:
        return Failure(code="invalid", message="duration: longer than 0 seconds")
    return None


def _held(state: MachineState, reason: str) -> Held:
    mark = f"{MAINTENANCE}: {reason}" if reason else MAINTENANCE
    return Held(
        status=state.status,
        mark=mark[:500],
        special_status=state.special_status,
        reason=state.reason,
        until=state.until,
        before=state.before,
    )


def _before(held: Held, state: MachineState) -> Before | None:
    """A status declared under the session stays."""
    if held.before is None or held.status == state.status:
        return held.before
    return msgspec.structs.replace(held.before, status=state.status, reason=None)
