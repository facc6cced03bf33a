"""Who may begin a session, and what beginning, extending and stopping one comes to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from db.records import CommandRow, RemoteSessionRow, StatusRow
from hub.model.access import Principal
from hub.model.changes import Change, EventHappened, moved_rows, put_rows
from hub.model.effective_settings import UNWRITTEN, DesiredSettings, effective_of, reported_settings_of
from hub.model.fleet import Fleet
from hub.model.machine import Machine
from hub.remote.rules import life
from hub.remote.rules import requests as desk
from hub.remote.rules.requests import SessionRefused, SessionRequest
from protocol.configuration import defaults
from tests.hub.remote.rules.test_remote_life import held, session
from tests.support.machines import NOW, machine

INSIDE = "10.1.2.3"
ASKED = SessionRequest(3, "Siti", INSIDE, 1800.0, ("terminal",), (), None, "camera", "hub")


def code(one: Machine, address: str = INSIDE, **said: Any) -> str | None:
    found = desk.refusal(one, address, **said)
    return None if found is None else found.code


def drafted(changes: list[Change]) -> list[tuple[str, dict[str, Any]]]:
    return [(row.name, row.args) for row in put_rows(changes, CommandRow)]


def person(role: Any, user_id: int = 3) -> Principal:
    return Principal("user", user_id, "x", role, None, "token", 1)


def test_every_refusal_has_its_code() -> None:
    assert code(machine(linked=True)) is None
    assert code(machine()) == "machine_offline"
    assert code(machine(), "203.0.113.9") == "machine_offline", "the defaults judge no address"
    assert code(machine(config_applied_at=NOW)) == "machine_offline"
    assert code(machine(config_applied_at=NOW), "203.0.113.9") == "machine_offline", "that it is away comes first"
    assert code(machine(linked=True), "203.0.113.9") == "address_not_allowed"
    assert code(machine(linked=True), "not an address") == "address_not_allowed"
    assert code(machine(linked=True), "::ffff:10.1.2.3") is None, "IPv4 in IPv6 clothes"
    assert code(machine(linked=True, busy=True)) == "machine_busy"
    assert code(held(session(), linked=True)) == "too_many_sessions"
    full = desk.refusal(held(session(), linked=True), INSIDE)
    assert full is not None
    assert full.params == {"most": 1, "names": "Siti"}
    assert code(machine(linked=True), of_person=20) == "too_many_of_person"
    assert code(machine(), "203.0.113.9", origin="site") is None, "who stands there needs neither link nor network"


def test_the_command_is_recorded_without_its_ticket() -> None:
    moved, *rest = desk.begin(machine(linked=True), session("starting", command_id=None, reason="jam"), "user:3", NOW)
    ((name, args),) = drafted(rest)
    assert (name, args["ticket"], args["session_id"], args["admin"]) == ("start_remote_access", "", 4, "Siti")
    assert args["reason"] == "jam"
    (after,) = moved_rows([moved], RemoteSessionRow)
    assert after.command_id is not None


def test_extending_never_goes_beyond_the_longest() -> None:
    one = held(session(), linked=True)
    (after,) = moved_rows(desk.extend(one, session(), 99999, "user:3", NOW), RemoteSessionRow)
    assert after.expires_at == NOW + timedelta(hours=1)
    with pytest.raises(SessionRefused, match="cannot_extend"):
        desk.extend(one, after, 60, "user:3", NOW)


def test_only_the_holder_and_an_administrator_end_a_session() -> None:
    one = held(session())
    assert desk.chosen(one, person("technician"), None).id == 4
    assert desk.chosen(one, person("admin", 9), 4).id == 4
    with pytest.raises(SessionRefused, match="not_yours"):
        desk.chosen(one, person("operator", 9), None)
    with pytest.raises(SessionRefused, match="no_session"):
        desk.chosen(one, person("operator"), 5)


def test_a_machine_is_asked_once_to_stop_what_is_unknown_here() -> None:
    one = held(session(), linked=True)
    changes = desk.unknown_here(one, [4, 77], NOW)
    assert [args for _, args in drafted(changes)] == [{"session_id": 77, "reason": "stopped"}]
    stopping = next(put_rows(changes, CommandRow))
    one.pending[stopping.id] = stopping
    assert desk.unknown_here(one, [77], NOW) == []


def test_declared_ports_are_what_the_machine_says() -> None:
    assert desk.declared_ports(machine()) == (5000, 5001)
    assert desk.declared_ports(machine(hardware={"remote": {"ports": [8080, "x", True]}})) == (8080,)


@pytest.mark.parametrize(
    ("remote", "pages"),
    [
        (None, [(5000, None, "camera"), (5001, None, "control")]),
        ({"ports": [5000, 8080]}, [(5000, None, "camera"), (8080, None, None)]),
        ({"ports": [5000, 8080], "control": 8080}, [(5000, None, "camera"), (8080, None, "control")]),
        ({"ports": [5001, 9000], "control": 9000}, [(5001, None, None), (9000, None, "control")]),
        ({"ports": [5000], "names": {"5000": " Kamera pintu ", "22": "x"}}, [(5000, "Kamera pintu", "camera")]),
        ({"ports": [5000], "names": {"5000": "x" * 90}}, [(5000, "x" * 60, "camera")]),
        ({"ports": [5000], "names": {"5000": "a\nb"}}, [(5000, None, "camera")]),
        ({"ports": [5000], "names": {"5000": "  "}}, [(5000, None, "camera")]),
        ({"ports": [5000], "names": {"5000": 7}}, [(5000, None, "camera")]),
        ({"ports": [5000], "names": ["Camera"], "control": "x"}, [(5000, None, "camera")]),
    ],
)
def test_a_page_has_the_name_its_machine_gives_it(remote: Any, pages: list[tuple[int, str | None, str | None]]) -> None:
    """What is no name is none: the page is called by what it is, or by its port."""
    hardware = {} if remote is None else {"remote": remote}
    assert [tuple(page) for page in desk.declared_pages(machine(hardware=hardware))] == pages


@pytest.mark.parametrize(
    ("written", "own", "name"),
    [
        ({"remote_page_names": ["5000 Hub"]}, {}, "Hub"),
        ({"remote_page_names": ["5000 Hub"]}, {"remote_page_names": ["5000 File"]}, "Hub"),
        ({}, {"remote_page_names": ["5000 File"]}, "File"),
        ({"remote_page_names": []}, {}, None),
        ({"remote_page_names": ["22 Other"]}, {}, None),
        ({}, {}, "Hello"),
    ],
)
def test_a_pages_name_is_its_settings_and_an_older_agents_hello_has_it_otherwise(
    written: dict[str, Any], own: dict[str, Any], name: str | None
) -> None:
    told = {"remote": {"ports": [5000], "names": {"5000": "Hello"}}}
    settings = effective_of(defaults(), UNWRITTEN, DesiredSettings(written, 3), reported_settings_of(own, None))
    (page,) = desk.declared_pages(machine(hardware=told, effective_settings=settings))
    assert page.name == name


def test_a_request_that_needs_a_second_person_waits() -> None:
    one = machine(linked=True)
    changes = desk.opening(one, ASKED, "user:3", NOW)
    (opened,) = put_rows(changes, RemoteSessionRow)
    assert (opened.status, codes(changes)) == ("starting", ["remote.requested"])


def with_settings(one: Machine, **values: Any) -> Machine:
    one.effective_settings = effective_of(defaults(), DesiredSettings(values, 1, NOW, "user:1"))
    return one


def codes(changes: list[Change]) -> list[str]:
    return [change.code for change in changes if isinstance(change, EventHappened)]


def status_of(changes: list[Change]) -> list[StatusRow]:
    return list(put_rows(changes, StatusRow))


def test_settings_close_a_machine_and_bound_its_sessions() -> None:
    assert code(with_settings(machine(linked=True), remote_access_enabled=False)) == "remote_access_disabled"
    two = with_settings(held(session(), linked=True), max_concurrent_sessions=5)
    two.remote_sessions[5] = session(id=5)
    assert code(two) == "too_many_of_machine"
    assert code(two, more=0) is None, "it is open already and only begins now"
    assert desk.count_of([two, machine(8)], 3) == 2


def test_a_session_waits_for_approval_where_the_settings_say_so() -> None:
    changes = desk.opening(with_settings(machine(), remote_access_approval=True), ASKED, "user:3", NOW)
    (opened,) = put_rows(changes, RemoteSessionRow)
    assert (opened.rvm_id, opened.status, codes(changes)) == (7, "requested", ["remote.requested"])
    assert opened.expires_at == NOW + timedelta(seconds=desk.APPROVAL_S)
    (opened,) = put_rows(desk.opening(machine(), ASKED, "user:3", NOW), RemoteSessionRow)
    assert opened.status == "starting"


def test_agreeing_begins_what_waits_and_says_who_agreed() -> None:
    one = machine(linked=True)
    changes = desk.approve(one, session("requested", ip_address=INSIDE), "user:9", NOW)
    (first,) = moved_rows(changes, RemoteSessionRow)
    assert (first.rvm_id, first.status, first.approved_by) == (7, "starting", "user:9")
    assert "remote.approved" in codes(changes)
    assert [name for name, _ in drafted(changes)] == ["start_remote_access"]
    with pytest.raises(SessionRefused, match="not_waiting"):
        desk.approve(one, session("active"), "user:9", NOW)
    with pytest.raises(SessionRefused, match="machine_offline"):
        desk.approve(machine(), session("requested", ip_address=INSIDE), "user:9", NOW)


def test_only_what_waits_can_be_declined() -> None:
    assert codes(desk.decline(session("requested"), "user:9", NOW)) == ["remote.declined"]
    with pytest.raises(SessionRefused, match="not_waiting"):
        desk.decline(session("active"), "user:9", NOW)


def test_at_a_machine_without_a_link_its_maintenance_is_kept_here_and_lasts_as_long_as_the_session() -> None:
    fleet = Fleet([machine()])
    one, here = fleet.machines[7], session("starting", command_id=None, origin="site", reason="camera")
    begun = desk.begin_at_site(one, here, NOW)
    fleet.apply_all(begun)
    assert drafted(begun) == []
    assert (one.row.special_status, one.row.status_until, one.row.status_reason) == (
        "maintenance", here.expires_at, "remote access: camera",
    )  # fmt: skip
    active = one.remote_sessions[4]
    longer = desk.extend(one, active, 600, "user:3", NOW)
    fleet.apply_all(longer)
    assert one.row.status_until == one.remote_sessions[4].expires_at == life.ends_at(here) + timedelta(seconds=600)
    ended = desk.stop(one, one.remote_sessions[4], "stopped", "user:3", NOW)
    assert [change.special_status for change in status_of(ended)] == [None]
    one.row = msgspec.structs.replace(one.row, special_status=None)
    assert status_of(desk.stop(one, one.remote_sessions[4], "stopped", "user:3", NOW)) == [], "it is another's by now"
    assert status_of(desk.extend(one, one.remote_sessions[4], 60, "user:3", NOW)) == []


def test_a_machine_with_a_link_is_sent_what_began_at_it() -> None:
    one = machine(linked=True)
    changes = desk.begin_at_site(one, session("starting", command_id=None, origin="site", admin_name=""), NOW)
    ((name, args),) = drafted(changes)
    assert (name, args["site"], "admin" in args) == ("start_remote_access", True, False)
    assert desk.begin_at_site(machine(), session("starting", command_id=None), NOW)[-1] != changes[-1]


def test_a_machine_is_sent_the_end_and_more_time_where_it_takes_them() -> None:
    one = held(session(), linked=True)
    assert [name for name, _ in drafted(desk.stop(one, session(), "stopped", "user:3", NOW))] == ["stop_remote_access"]
    assert [name for name, _ in drafted(desk.extend(one, session(), 60, "user:3", NOW))] == ["extend_remote_access"]
    away = held(session())
    assert drafted(desk.stop(away, session(), "stopped", "user:3", NOW)) == [], "it finds out when it comes back"
    assert drafted(desk.stop(one, session("requested"), "stopped", "user:3", NOW)) == [], "it never was told"
    assert desk.stop(one, session("ended"), "stopped", "user:3", NOW) == []
    with pytest.raises(SessionRefused, match="not_active"):
        desk.extend(one, session("starting"), 60, "user:3", NOW)


def test_a_machine_ends_its_own_sessions_by_whose_they_are() -> None:
    at_the_machine = Principal("machine", 7, "RVM", "machine", frozenset({7}), "key", 7)
    one = held(session())
    one.remote_sessions[5] = session(id=5, admin_id=9)
    assert desk.chosen(one, at_the_machine, None, named=9).id == 5
    assert desk.chosen(one, at_the_machine, None).id == 4, "the oldest"
    assert not desk.may_move(Principal("machine", 8, "RVM", "machine", frozenset({8}), "key", 8), session())


@pytest.mark.parametrize(
    ("hardware", "ports"),
    [(None, (5000, 5001)), ({"remote": 5}, (5000, 5001)), ({"remote": {"ports": "x"}}, (5000, 5001)),
     ({"remote": {"ports": [8080, True, 0, 70000, "1"]}}, (8080,))],
)  # fmt: skip
def test_the_ports_are_those_the_machine_offers(hardware: Any, ports: tuple[int, ...]) -> None:
    assert desk.declared_ports(machine(hardware=hardware)) == ports


def test_an_address_is_itself_in_either_notation() -> None:
    assert desk.same_address("::ffff:10.1.2.3", INSIDE)
    assert not desk.same_address("10.1.2.4", INSIDE)
    assert not desk.same_address("nobody", "nobody")
