"""Who may begin a session, and what beginning, extending and stopping one comes to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hub.core import remote_sessions as desk
from hub.core.access import Principal
from hub.core.changes import Change, CommandDrafted
from hub.core.machine import Machine
from hub.core.remote_changes import SessionMoved
from hub.core.remote_sessions import SessionRefused, Wish
from tests.hub.core.test_remote_life import held, session
from tests.support.machines import NOW, machine

INSIDE = "10.1.2.3"
WISH = Wish(3, "Siti", INSIDE, 1800.0, ("terminal",), (), None, "camera", "hub")


def code(one: Machine, address: str = INSIDE, **said: Any) -> str | None:
    found = desk.refusal(one, address, **said)
    return None if found is None else found.code


def drafted(changes: list[Change]) -> list[tuple[str, dict[str, Any]]]:
    return [(c.command.name, c.command.args) for c in changes if isinstance(c, CommandDrafted)]


def person(role: Any, user_id: int = 3) -> Principal:
    return Principal("user", user_id, "x", role, None, "token", 1)


def test_every_refusal_has_its_code() -> None:
    assert code(machine(linked=True)) is None
    assert code(machine()) == "machine_offline"
    assert code(machine(linked=True), "203.0.113.9") == "address_not_allowed"
    assert code(machine(linked=True), "not an address") == "address_not_allowed"
    assert code(machine(linked=True), "::ffff:10.1.2.3") is None, "IPv4 in IPv6 clothes"
    assert code(machine(linked=True, busy=True)) == "machine_busy"
    assert code(held(session(), linked=True)) == "too_many_sessions"
    assert code(machine(linked=True), of_person=20) == "too_many_of_person"
    assert code(machine(), "203.0.113.9", origin="site") is None, "who stands there needs neither link nor network"


def test_the_command_is_recorded_without_its_ticket() -> None:
    moved, *rest = desk.begin(machine(linked=True), session("starting", command_id=None), "user:3", NOW)
    ((name, args),) = drafted(rest)
    assert isinstance(moved, SessionMoved)
    assert (name, args["ticket"], args["session_id"], args["admin"]) == ("start_remote_access", "", 4, "Siti")
    assert moved.session.command_id is not None


def test_extending_never_goes_beyond_the_longest() -> None:
    one = held(session(), linked=True)
    moved, *_ = desk.extend(one, session(), 99999, "user:3", NOW)
    assert isinstance(moved, SessionMoved)
    assert moved.session.expires_at == NOW + timedelta(hours=1)
    with pytest.raises(SessionRefused, match="cannot_extend"):
        desk.extend(one, moved.session, 60, "user:3", NOW)


def test_only_the_holder_and_an_administrator_end_a_session() -> None:
    one = held(session())
    assert desk.chosen(one, person("technician"), None).id == 4
    assert desk.chosen(one, person("admin", 9), 4).id == 4
    with pytest.raises(SessionRefused, match="not_yours"):
        desk.chosen(one, person("operator", 9), None)
    with pytest.raises(SessionRefused, match="no_session"):
        desk.chosen(one, person("operator"), 5)


def test_a_machine_is_told_to_stop_what_is_unknown_here_once() -> None:
    one = held(session(), linked=True)
    changes = desk.unknown_here(one, [4, 77], NOW)
    assert [args for _, args in drafted(changes)] == [{"session_id": 77, "reason": "stopped"}]
    stopping = next(c.command for c in changes if isinstance(c, CommandDrafted))
    one.pending[stopping.id] = stopping
    assert desk.unknown_here(one, [77], NOW) == []


def test_declared_ports_are_what_the_machine_says() -> None:
    assert desk.declared_ports(machine()) == (5000, 5001)
    assert desk.declared_ports(machine(hardware={"remote": {"ports": [8080, "x", True]}})) == (8080,)


def test_a_wish_that_needs_a_second_person_waits() -> None:
    one = machine(linked=True)
    opened, event = desk.opening(one, WISH, "user:3", NOW)
    assert (opened.session.status, event.code) == ("starting", "remote.requested")  # type: ignore[attr-defined]
