"""Commands done in one step: `ping`, `set_status`, begin, extend and end a remote session. A session's ticket is
never on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from device.journal.rules import Fact
from device.link.rules import Moment, parse_time
from device.remote.access import RemoteAccessServer
from device.status.rules import MachineState, RefusedError, changed_by_command
from protocol.commands import ExtendRemoteAccess, Ping, SetStatus, StartRemoteAccess, StopRemoteAccess
from protocol.messages import Failure

Decided = tuple[Fact, dict[str, object]]


class AtomicCommand(Protocol):
    def decide(self, state: MachineState, args: Any, now: Moment, /) -> Decided:
        """Raises RefusedError."""

    def done(self, args: Any) -> None:
        """The fact is on disk: do what lives in this process only."""


def ping(state: MachineState, _args: Ping, now: Moment) -> tuple[MachineState, dict[str, object]]:
    return state, {"time": now.machine}


def set_status(state: MachineState, args: SetStatus, now: Moment) -> tuple[MachineState, dict[str, object]]:
    """The state after a `set_status`, and the command's result. Raises RefusedError."""
    if args.until is not None:
        until = parse_time(args.until)
        if until is None:
            raise RefusedError(Failure(code="invalid", message="until: not an RFC 3339 time"))
        if until <= now.hub:
            raise RefusedError(Failure(code="expired", message="the time until which it was to hold has passed"))
    following = changed_by_command(state, args, now.machine)
    result: dict[str, object] = {"status": following.status, "effective_status": following.effective_status}
    return following, result


class _Start:
    def __init__(self, server: RemoteAccessServer) -> None:
        self._server = server

    def decide(self, state: MachineState, args: StartRemoteAccess, now: Moment) -> Decided:
        fact = self._server.started_fact(state, args, now.machine)
        lasts = fact.session.duration if fact.session is not None else 0.0
        return fact, {"session_id": args.session_id, "duration": lasts}

    def done(self, args: StartRemoteAccess) -> None:
        self._server.was_started(args.session_id, args.ticket)


class _Extend:
    def __init__(self, server: RemoteAccessServer) -> None:
        self._server = server

    def decide(self, _state: MachineState, args: ExtendRemoteAccess, _now: Moment) -> Decided:
        fact = self._server.extended_fact(args.session_id, args.duration)
        lasts = fact.session.duration if fact.session is not None else 0.0
        return fact, {"session_id": args.session_id, "duration": lasts}

    def done(self, args: ExtendRemoteAccess) -> None:
        self._server.was_extended(args.session_id)


class _Stop:
    def __init__(self, server: RemoteAccessServer) -> None:
        self._server = server

    def decide(self, state: MachineState, args: StopRemoteAccess, now: Moment) -> Decided:
        was_open = args.session_id in self._server.open_sessions
        fact = self._server.ended_fact(state, {args.session_id: args.reason}, now.machine)
        return fact, {"session_id": args.session_id, "was_open": was_open}

    def done(self, args: StopRemoteAccess) -> None:
        self._server.was_ended(args.session_id, args.reason)


def remote_access_steps(server: RemoteAccessServer) -> Mapping[str, AtomicCommand]:
    return {
        "start_remote_access": _Start(server),
        "extend_remote_access": _Extend(server),
        "stop_remote_access": _Stop(server),
    }
