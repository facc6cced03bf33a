"""The rules of a session: who may begin one, what the machine is meanwhile, and that it is afterwards what it was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.remote.rules.sessions import JournaledSession, RemoteRules, begun, extended, over, why_interrupted
from device.status.rules import Before, MachineState, RefusedError, declared
from protocol.commands import StartRemoteAccess

NOW = "2030-01-01T00:00:00Z"
RULES = RemoteRules(
    enabled=True, networks=("192.168.1.0/24", "::1/128"), longest_s=3600, most=2, ports=frozenset({5000})
)


def asked(number: int = 7, **members: Any) -> StartRemoteAccess:
    given_ = {"admin_ip": "192.168.1.9", "ports": [5000], "duration": 60.0, "ticket": "t", "reason": "belt", **members}
    return StartRemoteAccess(session_id=number, **given_)


def begin(state: MachineState, sessions: dict[int, JournaledSession], number: int = 7, **members: Any) -> MachineState:
    following, session = begun(state, sessions, asked(number, **members), RULES, "boot-1", NOW)
    sessions[number] = session
    return following


def finish(state: MachineState, sessions: dict[int, JournaledSession], *numbers: int) -> MachineState:
    following = over(state, sessions, numbers)
    for number in numbers:
        sessions.pop(number, None)
    return following


def what(state: MachineState) -> tuple[object, ...]:
    return state.status, state.special_status, state.reason, state.until, state.before, state.capacity


STATES = st.builds(
    MachineState,
    status=st.sampled_from(["active", "full", "maintenance"]),
    special_status=st.sampled_from([None, "error", "maintenance"]),
    reason=st.sampled_from([None, "jam"]),
    until=st.sampled_from([None, "2031-01-01T00:00:00Z"]),
    before=st.sampled_from([None, Before(status="active", reason="r")]),
)


@given(STATES, st.permutations([1, 2]))
def test_whatever_it_was_it_is_again_when_the_last_session_ends(state: MachineState, order: list[int]) -> None:
    sessions: dict[int, JournaledSession] = {}
    during = begin(begin(state, sessions, 1), sessions, 2)
    assert during.effective_status == "maintenance"
    assert during.until is None, "no clock gives it back meanwhile"
    after = finish(during, sessions, order[0])
    assert after == during, "another session is open"
    after = finish(after, sessions, order[1])
    assert what(after) == what(state)
    assert after.seq > during.seq > state.seq


def test_what_somebody_declared_meanwhile_stands() -> None:
    sessions: dict[int, JournaledSession] = {}
    during = begin(MachineState(status="active"), sessions)
    said = declared(during, NOW, special_status="error", reason="motor")
    assert finish(said, sessions, 7) == said


def test_a_status_declared_underneath_stays_and_is_not_taken_away_later() -> None:
    before = Before(status="active", special_status=None, reason="for a while")
    sessions: dict[int, JournaledSession] = {}
    state = MachineState(status="maintenance", reason="belt", until="2031-01-01T00:00:00Z", before=before)
    during = declared(begin(state, sessions), NOW, status="full")
    assert during.reason == "remote access: belt", "it explains the special status"
    after = finish(during, sessions, 7)
    assert (after.status, after.special_status, after.reason) == ("full", None, None)
    assert after.until == state.until
    assert after.before == Before(status="full")


@pytest.mark.parametrize(
    ("rules", "members", "state", "code"),
    [
        ({"enabled": False}, {}, {}, "disabled"),
        ({}, {"admin_ip": "192.168.2.9"}, {}, "address_not_allowed"),
        ({"networks": ()}, {}, {}, "address_not_allowed"),
        ({"most": 0}, {}, {}, "too_many_sessions"),
        ({}, {}, {"busy": True}, "busy"),
        ({}, {"ports": [5000, 22]}, {}, "not_declared"),
        ({}, {"duration": 0.0}, {}, "invalid"),
    ],
)
def test_a_refusal_has_its_code(
    rules: dict[str, Any], members: dict[str, Any], state: dict[str, Any], code: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        begun(MachineState(**state), {}, asked(**members), msgspec.structs.replace(RULES, **rules), "b", NOW)
    assert refused.value.failure.code == code


def test_the_same_session_does_not_begin_twice() -> None:
    sessions: dict[int, JournaledSession] = {}
    state = begin(MachineState(), sessions)
    with pytest.raises(RefusedError):
        begun(state, sessions, asked(), RULES, "b", NOW)


def test_no_word_makes_it_longer_than_the_settings_allow() -> None:
    sessions: dict[int, JournaledSession] = {}
    begin(MachineState(), sessions, duration=86400.0)
    assert sessions[7].duration == 3600
    assert extended(sessions[7], 600, 60, RULES).duration == 660
    assert extended(sessions[7], 600, 86400, RULES).duration == 3600


def test_nothing_of_the_ticket_is_remembered() -> None:
    sessions: dict[int, JournaledSession] = {}
    begin(MachineState(), sessions, ticket="canary")
    assert b"canary" not in msgspec.json.encode(sessions[7])


def test_why_a_session_was_interrupted() -> None:
    sessions: dict[int, JournaledSession] = {}
    begin(MachineState(), sessions)
    assert why_interrupted(sessions[7], "boot-1") == "agent_restarted"
    assert why_interrupted(sessions[7], "boot-2") == "machine_rebooted"
