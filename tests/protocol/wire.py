"""Both ends of one link and the fake wire between them, for every test that lets a machine and a hub talk."""

from __future__ import annotations

from collections import deque

from protocol import codec, messages
from protocol.session import Session
from protocol.transitions import Role, State


class Pair:
    """A machine's and a hub's session; what one says travels as text and arrives when `deliver` is called."""

    def __init__(self, *, authenticated: bool = True) -> None:
        self.ends = {role: Session(role, authenticated=authenticated) for role in Role}
        self.under_way: dict[Role, deque[str]] = {role: deque() for role in Role}

    @property
    def machine(self) -> Session:
        return self.ends[Role.MACHINE]

    @property
    def hub(self) -> Session:
        return self.ends[Role.HUB]

    @property
    def states(self) -> tuple[State, State]:
        return self.machine.state, self.hub.state

    def say(self, role: Role, message: messages.Message) -> None:
        """`role` says it; the text is under way."""
        self.under_way[role].append(self.ends[role].send(message))

    def deliver(self, role: Role) -> codec.Decoded:
        """The oldest text of `role` arrives at the other end."""
        return self.ends[other(role)].receive(self.under_way[role].popleft())

    def tell(self, role: Role, message: messages.Message) -> codec.Decoded:
        """Say it, and let it arrive at once."""
        self.say(role, message)
        return self.deliver(role)


def other(role: Role) -> Role:
    return Role.MACHINE if role is Role.HUB else Role.HUB


def hello() -> messages.Hello:
    return messages.Hello(
        protocol=2, device_id="rvm-1", agent_version="0.1.0", boot_id="b1", capabilities=["ping"], status="active",
        config_version=0, time="2026-11-23T04:05:06Z",
    )  # fmt: skip


def welcome() -> messages.Welcome:
    return messages.Welcome(
        session_id="1", time="2026-11-23T04:05:06Z", protocol=2, live_interval=0,
        config=messages.Configuration(version=0, values={}),
    )  # fmt: skip


def pair_in(state: State) -> Pair:
    """A pair whose both ends went to `state` by the ordinary way."""
    pair = Pair(authenticated=False)
    steps: list[tuple[State, Role, messages.Message]] = [
        (State.GREETING, Role.MACHINE, messages.Auth(token="rvmk_x")),
        (State.WELCOMING, Role.MACHINE, hello()),
        (State.LIVE, Role.HUB, welcome()),
        (State.CLOSING, Role.MACHINE, messages.Bye(reason="shutdown")),
    ]
    for reached, role, message in steps:
        if pair.hub.state is state:
            break
        pair.tell(role, message)
        assert pair.states == (reached, reached)
    if state is State.CLOSED:
        pair.machine.closed()
        pair.hub.closed()
    return pair
