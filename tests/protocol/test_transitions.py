"""Every entry of the table, and every entry it does not have."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from protocol import messages as m
from protocol.transitions import TRANSITIONS, Role, State, follow

ALL = sorted({*get_args(m.MachineMessage), *get_args(m.HubMessage)}, key=lambda kind: kind.__name__)
UP = {
    m.Metrics,
    m.StatusReport,
    m.CommandUpdate,
    m.TimezoneReport,
    m.ConfigApplied,
    m.Event,
    m.RemoteAccessReport,
    m.TrustReport,
    m.BoardReport,
    m.KeyOffer,
    m.Error,
}
DOWN = {m.MetricsAck, m.Received, m.Command, m.Cancel, m.Config, m.Live, m.Authority, m.Error}

# The page protocol.md, written a second time: what may be said, and where it leads.
EXPECTED: dict[tuple[Role, State], dict[type, State]] = {
    (Role.MACHINE, State.OPENED): {m.Auth: State.GREETING},
    (Role.MACHINE, State.GREETING): {m.Hello: State.WELCOMING},
    (Role.MACHINE, State.WELCOMING): {m.Error: State.WELCOMING},
    (Role.MACHINE, State.LIVE): {**dict.fromkeys(UP, State.LIVE), m.Bye: State.CLOSING},
    (Role.MACHINE, State.CLOSING): dict.fromkeys({*UP, m.Bye}, State.CLOSING),
    (Role.MACHINE, State.CLOSED): {},
    (Role.HUB, State.OPENED): {m.Error: State.OPENED},
    (Role.HUB, State.GREETING): {m.Error: State.GREETING},
    (Role.HUB, State.WELCOMING): {m.Error: State.WELCOMING, m.Welcome: State.LIVE},
    (Role.HUB, State.LIVE): {**dict.fromkeys(DOWN, State.LIVE), m.Restarting: State.CLOSING},
    (Role.HUB, State.CLOSING): dict.fromkeys({*DOWN, m.Restarting}, State.CLOSING),
    (Role.HUB, State.CLOSED): {},
}


@pytest.mark.parametrize(("role", "state", "kind"), list(product(Role, State, ALL)))
def test_who_may_say_what_when_and_where_it_leads(role: Role, state: State, kind: type) -> None:
    assert follow(role, state, kind) is EXPECTED[role, state].get(kind)


def test_the_table_has_no_entry_beyond_the_messages_of_each_side() -> None:
    vocabulary = {Role.MACHINE: set(get_args(m.MachineMessage)), Role.HUB: set(get_args(m.HubMessage))}
    assert all(kind in vocabulary[role] for role, _, kind in TRANSITIONS)
    for role, words in vocabulary.items():
        assert {kind for said_by, _, kind in TRANSITIONS if said_by is role} == words
