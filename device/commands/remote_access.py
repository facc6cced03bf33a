"""`start_remote_access`, `extend_remote_access`, `stop_remote_access`: a session begins, lasts longer, ends.

Each is one fact: the session, what the machine is because of it, and the answer. The ticket is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from device.commands.step import Decided, Step
from device.link.rules import Moment
from device.remote.access import RemoteAccessServer
from device.status.rules import MachineState
from protocol.commands import ExtendRemoteAccess, StartRemoteAccess, StopRemoteAccess


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


def remote_access_steps(server: RemoteAccessServer) -> Mapping[str, Step]:
    """By the names of the commands."""
    return {
        "start_remote_access": _Start(server),
        "extend_remote_access": _Extend(server),
        "stop_remote_access": _Stop(server),
    }
