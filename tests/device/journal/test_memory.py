"""The fold over facts: a summary leads to the same memory, and ids are forgotten only when old and many."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from device.journal.rules import KEEP_IDS, KEEP_IDS_S, MOST_IDS, Begun, Fact, Memory
from device.remote.rules.sessions import Held, JournaledSession, ended_report
from device.status.rules import MachineState
from protocol.messages import CommandUpdate, StatusReport


def session(number: int) -> JournaledSession:
    held = Held(status="active", mark="remote access")
    return JournaledSession(id=number, boot="b", began="2030-01-01T00:00:00Z", duration=60, held=held)


FACTS = st.lists(
    st.one_of(
        st.builds(lambda n: Fact(at=1.0, answered=CommandUpdate(id=f"c{n}", state="succeeded")), st.integers(0, 5)),
        st.builds(lambda n: Fact(at=1.0, received=f"c{n}"), st.integers(0, 5)),
        st.builds(lambda n: Fact(at=1.0, received=n), st.integers(0, 5)),
        st.builds(lambda n: Fact(at=1.0, reported=StatusReport(status="full", seq=n)), st.integers(0, 5)),
        st.builds(lambda n: Fact(at=1.0, session=session(n)), st.integers(0, 5)),
        st.builds(
            lambda n: Fact(at=1.0, ended=(ended_report(n, "stopped", "2030-01-01T00:00:00Z"),)), st.integers(0, 5)
        ),
        st.builds(lambda n: Fact(at=1.0, received=f"session-{n}"), st.integers(0, 5)),
        st.builds(lambda n: Fact(at=1.0, state=MachineState(status="full", seq=n)), st.integers(0, 5)),
    )
)


def remembered(facts: list[Fact]) -> Memory:
    memory = Memory()
    for fact in facts:
        memory.apply(msgspec.json.decode(msgspec.json.encode(fact), type=Fact))
    return memory


@given(FACTS)
def test_a_summary_is_as_good_as_the_whole_story(facts: list[Fact]) -> None:
    whole = remembered(facts)
    short = remembered(whole.summary())
    assert short.state == whole.state
    assert short.sessions == whole.sessions
    assert sorted(map(repr, short.outbox.entries())) == sorted(map(repr, whole.outbox.entries()))
    assert all(short.answer_to(f"c{n}") == whole.answer_to(f"c{n}") for n in range(6))


def answered(memory: Memory, count: int, at: float, first: int = 0) -> None:
    for n in range(first, first + count):
        memory.apply(Fact(at=at, answered=CommandUpdate(id=f"c{n}", state="succeeded"), unconfirmed=False))


def test_young_ids_are_kept_however_many() -> None:
    memory = Memory()
    answered(memory, KEEP_IDS + 500, at=0.0)
    assert memory.answer_to("c0") is not None


def test_the_last_ten_thousand_are_kept_however_old() -> None:
    memory = Memory()
    answered(memory, KEEP_IDS, at=0.0)
    answered(memory, 5, at=KEEP_IDS_S + 1, first=KEEP_IDS)
    assert len(memory) == KEEP_IDS
    assert memory.answer_to("c4") is None
    assert memory.answer_to("c5") is not None


def test_a_flood_cannot_fill_the_memory() -> None:
    memory = Memory()
    answered(memory, MOST_IDS + 100, at=0.0)
    assert len(memory) == MOST_IDS


def test_an_accepted_command_is_dropped_in_a_new_life_and_a_begun_one_is_not() -> None:
    memory = Memory()
    for fact in (
        Fact(at=1.0, accepted="a"),
        Fact(at=1.0, accepted="b"),
        Fact(at=2.0, begun=Begun(id="b", name="job", boot="k")),
    ):
        memory.apply(fact)
    assert (list(memory.accepted), list(memory.begun)) == (["a"], ["b"])
    assert memory.drop_accepted() == ["a"]
    assert (list(memory.accepted), list(memory.begun)) == ([], ["b"])
