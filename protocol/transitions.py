"""The link as a table: who may say what in which state, and where that leads.

States of a link, seen alike by both ends:

    OPENED     the socket is up; the machine is not known (no valid Authorization header)
    GREETING   the machine is known and has not sent hello
    WELCOMING  hello was sent, welcome not yet; the hub's turn to speak
    LIVE       hello and welcome were sent
    CLOSING    goodbye was sent (bye or restarting); only what is already under way may still arrive
    CLOSED     nothing may be sent

One look-up decides legality; a missing entry is a protocol error that names state, role and message.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from protocol import messages as m


class Role(enum.Enum):
    MACHINE = "machine"
    HUB = "hub"


class State(enum.Enum):
    OPENED = "opened"
    GREETING = "greeting"
    WELCOMING = "welcoming"
    LIVE = "live"
    CLOSING = "closing"
    CLOSED = "closed"


_MACHINE_LIVE: Final = (
    m.Metrics, m.StatusReport, m.CommandUpdate, m.TimezoneReport, m.ConfigApplied, m.Event,
    m.RemoteAccessReport, m.TrustReport, m.BoardReport, m.KeyOffer, m.Error,
)  # fmt: skip
_HUB_LIVE: Final = (m.MetricsAck, m.Received, m.Command, m.Cancel, m.Config, m.Live, m.Authority, m.Error)

TRANSITIONS: Final[Mapping[tuple[Role, State, type], State]] = {
    (Role.MACHINE, State.OPENED, m.Auth): State.GREETING,
    (Role.MACHINE, State.GREETING, m.Hello): State.WELCOMING,
    # The hub answers hello with welcome before anything else; in between the machine may only say that it did not
    # understand, because the welcome can refuse its version.
    (Role.MACHINE, State.WELCOMING, m.Error): State.WELCOMING,
    (Role.HUB, State.WELCOMING, m.Welcome): State.LIVE,
    **{(Role.MACHINE, State.LIVE, kind): State.LIVE for kind in _MACHINE_LIVE},
    **{(Role.HUB, State.LIVE, kind): State.LIVE for kind in _HUB_LIVE},
    (Role.MACHINE, State.LIVE, m.Bye): State.CLOSING,
    (Role.HUB, State.LIVE, m.Restarting): State.CLOSING,
    # After a goodbye what was already on its way still counts: acknowledgements down, results and samples up.
    **{(Role.MACHINE, State.CLOSING, kind): State.CLOSING for kind in (*_MACHINE_LIVE, m.Bye)},
    **{(Role.HUB, State.CLOSING, kind): State.CLOSING for kind in (*_HUB_LIVE, m.Restarting)},
    # A refusal may be sent as soon as there is a link.
    **{(Role.HUB, state, m.Error): state for state in (State.OPENED, State.GREETING, State.WELCOMING)},
}


def follow(role: Role, state: State, kind: type) -> State | None:
    """The state after `role` sent a message of type `kind` in `state`; None when it may not."""
    return TRANSITIONS.get((role, state, kind))
