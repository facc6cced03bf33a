"""hub/flow/tunnels.py without a socket: whose time is up, what is told to whoever ends sessions, what streams feel."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from db.errors import Unavailable
from hub.flow import tunnels as module
from hub.flow.tunnel import Attachment
from hub.flow.tunnel_error import TunnelError
from hub.flow.tunnel_stream import TunnelStream
from hub.flow.tunnels import Admission, Tunnels
from protocol.errors import CloseCode
from protocol.stream_limits import GRACE_S, IDLE_S, MAX_STREAMS, MAX_WAITING_CONTROLS
from protocol.streams import Opened, Role, Streams
from protocol.tunnel_greeting import Open
from tests.support.until import until

SESSION, MACHINE = 7, 1


class Room:
    """Tunnels with a clock that stands, one machine's end, and what was told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.told: list[tuple[int, str]] = []
        self.refusing = 0
        self.tunnels = Tunnels(monotonic=lambda: self.now)
        self.tunnels.on_fault = self.on_fault
        self.machine = Streams(Role.MACHINE)
        self.attachment: Attachment | None = None
        self.resume = ""

    async def on_fault(self, session_id: int, reason: str) -> None:
        if self.refusing:
            self.refusing -= 1
            raise Unavailable("the database is away")
        self.told.append((session_id, reason))

    def admit(self, **secret: str) -> Admission | CloseCode:
        greeting = Open(session_id=SESSION, received=self.machine.taken, **secret)
        return self.tunnels.admit(greeting, MACHINE)

    def up(self) -> None:
        admission = self.admit(ticket=self.tunnels.tickets.issue(SESSION, MACHINE))
        assert isinstance(admission, Admission)
        self.attachment, self.resume = admission.attachment, admission.resume

    def down(self) -> None:
        assert self.attachment is not None
        self.attachment.tunnel.detach(self.attachment)

    def to_machine(self) -> list[object]:
        assert self.attachment is not None
        return [event for frame in self.attachment.to_send(1_000_000) for event in self.machine.receive(frame)]

    def to_hub(self) -> None:
        assert self.attachment is not None
        for frame in self.machine.to_send(1_000_000):
            self.attachment.receive(frame)

    async def opened(self) -> TunnelStream:
        found: list[TunnelStream] = []

        async def ask() -> None:
            found.append(await self.tunnels.open(SESSION, "terminal", {}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            for event in self.to_machine():
                assert isinstance(event, Opened)
                self.machine.accept(event.id, {})
            self.to_hub()
        return found[0]


@pytest.fixture
def room() -> Room:
    return Room()


async def test_a_session_whose_streams_are_quiet_for_long_ends_as_idle(room: Room) -> None:
    room.up()
    stream = await room.opened()
    room.now += IDLE_S
    await stream.send(b"x")
    room.now += IDLE_S
    room.tunnels.look()
    assert room.tunnels.is_up(SESSION)
    assert room.tunnels.idle_s(SESSION) == IDLE_S
    room.now += 1
    room.tunnels.look()
    await room.tunnels.tell()
    assert room.told == [(SESSION, "idle")]
    assert room.attachment is not None
    assert room.attachment.code is CloseCode.REVOKED
    with pytest.raises(TunnelError, match="session_over: idle"):
        await stream.receive()
    assert room.tunnels.idle_s(SESSION) is None


async def test_bytes_of_the_machine_keep_a_session_alive(room: Room) -> None:
    room.up()
    stream = await room.opened()
    room.now += IDLE_S
    room.machine.send(stream.id, b"x")
    room.to_hub()
    room.now += IDLE_S
    room.tunnels.look()
    assert room.tunnels.is_up(SESSION)


async def test_a_tunnel_that_does_not_come_back_ends_the_session(room: Room) -> None:
    room.up()
    room.down()
    room.now += GRACE_S
    room.tunnels.look()
    assert isinstance(room.admit(resume=room.resume), Admission)
    room.now += 2 * GRACE_S
    room.tunnels.look()
    await room.tunnels.tell()
    assert room.told == []
    room.up()
    room.down()
    room.now += GRACE_S + 1
    room.tunnels.look()
    await room.tunnels.tell()
    assert room.told == [(SESSION, "link_lost")]
    assert room.admit(resume=room.resume) is CloseCode.REVOKED


async def test_a_gap_that_cannot_be_repeated_ends_the_session(room: Room) -> None:
    room.up()
    await room.opened()
    greeting = Open(session_id=SESSION, resume=room.resume, received=999)
    assert room.tunnels.admit(greeting, MACHINE) is CloseCode.PROTOCOL_ERROR
    await room.tunnels.tell()
    assert room.told == [(SESSION, "protocol_error")]
    assert not room.tunnels.is_up(SESSION)


async def test_an_end_that_cannot_be_recorded_is_told_again(room: Room) -> None:
    room.up()
    room.refusing = 2
    room.now += IDLE_S + 1
    room.tunnels.look()
    for _ in range(3):
        await room.tunnels.tell()
    assert room.told == [(SESSION, "idle")]
    await room.tunnels.tell()
    assert room.told == [(SESSION, "idle")]


async def test_the_clock_looks_by_itself(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)
    room.up()
    room.now += IDLE_S + 1
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.tunnels.run)
        await until(lambda: room.told == [(SESSION, "idle")])
        tasks.cancel_scope.cancel()


async def test_an_agent_with_a_new_ticket_and_no_memory_begins_anew(room: Room) -> None:
    room.up()
    stream = await room.opened()
    room.machine = Streams(Role.MACHINE)
    room.up()
    with pytest.raises(TunnelError, match="session_over: replaced"):
        await stream.receive()
    assert (await room.opened()).id == 1
    assert room.told == []


async def test_who_does_not_answer_in_time_is_not_waited_for(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_WITHIN_S", 0.05)
    room.up()
    with pytest.raises(TunnelError, match="timeout"):
        await room.tunnels.open(SESSION, "terminal", {})
    room.tunnels.tickets.issue(8, MACHINE)
    with pytest.raises(TunnelError, match="no_tunnel"):
        await room.tunnels.open(8, "terminal", {})


async def test_an_end_wakes_who_waits_for_the_tunnel(room: Room) -> None:
    room.tunnels.tickets.issue(SESSION, MACHINE)

    async def ask() -> None:
        with pytest.raises(TunnelError, match="no_tunnel"):
            await room.tunnels.open(SESSION, "terminal", {})

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            room.tunnels.ends(SESSION, "stopped")


async def test_a_65th_stream_is_refused_and_finished_ones_do_not_count(room: Room) -> None:
    room.up()
    streams = [await room.opened() for _ in range(MAX_STREAMS)]
    with pytest.raises(TunnelError, match="too_many_streams"):
        await room.tunnels.open(SESSION, "terminal", {})
    await streams[0].finish()
    room.to_machine()
    room.machine.end(streams[0].id)
    room.to_hub()
    await room.opened()


async def test_words_that_nobody_reads_are_bounded(room: Room) -> None:
    room.up()
    stream = await room.opened()
    for _ in range(2):
        for n in range(MAX_WAITING_CONTROLS):
            room.machine.control(stream.id, {"n": n})
        room.to_hub()
    assert await stream.controls() == {"n": 0}
    with pytest.raises(TunnelError, match="too_many_words"):
        await stream.receive()
    assert not stream.control({"late": True})


async def test_an_old_socket_has_no_say_any_more(room: Room) -> None:
    room.up()
    older = room.attachment
    assert older is not None
    assert isinstance(room.admit(resume=room.resume), Admission)
    assert older.code is CloseCode.REPLACED
    older.receive(b"rubbish")
    older.refuse("rubbish")
    assert older.to_send(10) == []
    older.tunnel.detach(older)
    assert room.tunnels.is_up(SESSION)


USES: list[Callable[[TunnelStream], object]] = [lambda s: s.reset("again"), lambda s: s.control({})]


@pytest.mark.parametrize("use", USES)
async def test_a_stream_that_is_over_takes_late_words_calmly(room: Room, use: Callable[[TunnelStream], object]) -> None:
    room.up()
    stream = await room.opened()
    room.machine.send(stream.id, b"last words")
    room.to_hub()
    room.machine.reset(stream.id, "crashed", "segfault")
    room.to_hub()
    use(stream)
    assert await stream.receive() == b"last words"
    with pytest.raises(TunnelError, match="crashed: segfault"):
        await stream.receive()
    with pytest.raises(TunnelError, match="crashed"):
        await stream.finish()
    assert await stream.controls() is None
