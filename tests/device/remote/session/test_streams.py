"""A session's streams at the machine: each goes to the handler of its kind, and one that fails takes nobody with it."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from device.kernel.log import Log
from device.remote.session.streams import DeviceStream, OpenSession, StreamDispatcher, StreamGoneError
from device.texts import texts_in
from protocol.stream_limits import WINDOW
from protocol.streams import Accepted, Controlled, Data, Ended, Role, Streams, WasReset
from tests.support.until import until

SESSION = OpenSession(7, "Siti", "127.0.0.1", (), frozenset(), time.monotonic() + 60)


class Wire:
    """Both ends in memory; frames cross when `pump` is called."""

    def __init__(self) -> None:
        self.hub = Streams(Role.HUB)
        self.events: list[Any] = []
        self.gone: list[str] = []
        handlers = {"echo": self.echo, "broken": self.broken, "silent": self.silent, "rude": self.rude}
        self.log = io.StringIO()
        log = Log(texts_in("en"), "", {}, self.log)
        self.dispatcher = StreamDispatcher(lambda: SESSION, handlers, log, lambda: None)

    def pump(self) -> None:
        moved = True
        while moved:
            moved = False
            for frame in self.hub.to_send():
                self.dispatcher.receive(frame)
                moved = True
            for frame in self.dispatcher.streams.to_send():
                self.events += self.hub.receive(frame)
                moved = True

    async def until(self, condition: Any) -> None:
        def look() -> bool:
            self.pump()
            return bool(condition())

        await until(look)

    def of(self, kind: Any, stream: int) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and event.id == stream]

    async def echo(self, stream: DeviceStream, session: OpenSession) -> None:
        stream.accept({"session": session.id, **stream.args})
        while data := await stream.receive():
            await stream.send(data)
            stream.control({"sent": len(data)})
        await stream.finish()

    async def broken(self, stream: DeviceStream, session: OpenSession) -> None:
        stream.accept({})
        raise ValueError("a bug")

    async def silent(self, stream: DeviceStream, session: OpenSession) -> None:
        """Serves nobody."""

    async def rude(self, stream: DeviceStream, session: OpenSession) -> None:
        """Returns while the other side still speaks; before, it wants to hear a word."""
        stream.accept({})
        try:
            word = await stream.next_control()
            self.gone.append("no more" if word is None else str(word))
            await stream.send(b"last words")
        except (StreamGoneError, asyncio.CancelledError):
            self.gone.append("gone")
            raise


@pytest_asyncio.fixture
async def wire() -> AsyncIterator[Wire]:
    made = Wire()
    yield made
    await made.dispatcher.end()


async def test_bytes_and_words_go_both_ways_and_both_ends_end(wire: Wire) -> None:
    stream = wire.hub.open("echo", {"x": 1})
    await wire.until(lambda: wire.of(Accepted, stream))
    assert wire.of(Accepted, stream)[0].info == {"session": 7, "x": 1}
    wire.hub.send(stream, b"hello")
    await wire.until(lambda: wire.of(Data, stream) and wire.of(Controlled, stream))
    wire.hub.end(stream)
    await wire.until(lambda: wire.of(Ended, stream))
    assert wire.hub.open_count == wire.dispatcher.streams.open_count == 0


async def test_a_sender_waits_for_the_window_and_loses_nothing(wire: Wire) -> None:
    stream = wire.hub.open("echo", {})
    await wire.until(lambda: wire.of(Accepted, stream))
    sent = bytes(range(256)) * (4 * WINDOW // 256)
    left = sent
    for _ in range(500):  # turns enough for all of it, if nothing held it back
        left = left[wire.hub.send(stream, left) :]
        wire.pump()
        await asyncio.sleep(0)
    assert left
    # Nobody reads the echo: at most a window of it is on its way.
    assert sum(len(event.data) for event in wire.of(Data, stream)) <= WINDOW
    taken = 0

    def read() -> bool:
        nonlocal taken, left
        got = sum(len(event.data) for event in wire.of(Data, stream))
        wire.hub.consumed(stream, got - taken)
        taken = got
        left = left[wire.hub.send(stream, left) :]
        return got == len(sent)

    await wire.until(read)
    assert b"".join(event.data for event in wire.of(Data, stream)) == sent


@pytest.mark.parametrize(
    ("kind", "code"), [("broken", "internal"), ("silent", "internal"), ("coffee", "not_supported")]
)
async def test_what_cannot_be_served_is_reset_and_the_others_go_on(wire: Wire, kind: str, code: str) -> None:
    other = wire.hub.open("echo", {})
    stream = wire.hub.open(kind, {})
    await wire.until(lambda: wire.of(WasReset, stream))
    assert wire.of(WasReset, stream)[0].code == code
    await wire.until(lambda: wire.of(Accepted, other))
    wire.hub.send(other, b"still here")
    await wire.until(lambda: wire.of(Data, other))


async def test_what_a_handler_handed_over_still_goes_out_when_it_has_returned(wire: Wire) -> None:
    stream = wire.hub.open("rude", {})
    await wire.until(lambda: wire.of(Accepted, stream))
    wire.hub.control(stream, {"say": "bye"})
    await wire.until(lambda: wire.of(Ended, stream))
    assert wire.of(Data, stream)[0].data == b"last words"
    for _ in range(8):  # more than a window, to somebody who does not listen any more
        wire.hub.send(stream, bytes(WINDOW // 2))
        wire.pump()
    wire.hub.end(stream)
    await wire.until(lambda: wire.dispatcher.streams.open_count == 0)


async def test_a_reset_wakes_the_handler(wire: Wire) -> None:
    stream = wire.hub.open("rude", {})
    await wire.until(lambda: wire.of(Accepted, stream))
    wire.hub.reset(stream, "closed")
    await wire.until(lambda: wire.gone == ["no more", "gone"])


async def test_the_end_of_the_session_leaves_nothing_running(wire: Wire) -> None:
    stream = wire.hub.open("rude", {})
    await wire.until(lambda: wire.of(Accepted, stream))
    await wire.dispatcher.end()
    assert "gone" in wire.gone
