"""The machine's end of a session's streams: each OPEN goes to the handler of its kind.

A handler is `async def serve(stream, session)`. It accepts or refuses first; when it returns, the stream has ended.
It is cancelled at its session's end, and then leaves nothing running."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from device.kernel.log import Log
from device.kernel.tasks import Tasks
from protocol.streams import Accepted, Controlled, Data, Ended, Opened, Role, Streams, WasReset, Writable


class StreamGoneError(Exception): ...


class DeviceStream(Protocol):
    """Waiting methods raise StreamGoneError."""

    @property
    def kind(self) -> str: ...

    @property
    def args(self) -> Mapping[str, Any]:
        """Of OPEN, unchecked."""

    def accept(self, info: Mapping[str, object]) -> None: ...

    def refuse(self, code: str, message: str) -> None: ...

    async def send(self, data: bytes) -> None:
        """Waits for the receiver's window."""

    async def receive(self) -> bytes: ...

    def control(self, values: Mapping[str, object]) -> None: ...

    async def next_control(self) -> dict[str, Any] | None:
        """The other side's next; None: no more."""

    async def finish(self) -> None: ...

    def reset(self, code: str, message: str = "") -> None: ...


@dataclass(frozen=True)
class OpenSession:
    """`allow`: terminal, ports, files; `deadline`: monotonic."""

    id: int
    admin: str
    admin_ip: str
    ports: tuple[int, ...]
    allow: frozenset[str]
    deadline: float


Serve = Callable[[DeviceStream, OpenSession], Awaitable[None]]


class ServedStream:
    def __init__(self, asked: Opened, streams: Streams, wake: Callable[[], None]) -> None:
        self._id = asked.id
        self._kind = asked.kind
        self._args = asked.args
        self._streams = streams
        self._wake = wake
        # Bound: the window: the hub sends no more before it is consumed.
        self._data: deque[bytes] = deque()
        # Bound: the hub's own words to a reader that does nothing else.
        self._controls: deque[dict[str, Any]] = deque()
        self._readable, self._writable, self._controlled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._served = self._finished = self._ended = False
        self._discards = False
        self.gone = False

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def args(self) -> Mapping[str, Any]:
        return self._args

    def accept(self, info: Mapping[str, object]) -> None:
        if not self.gone and not self._served:
            self._served = True
            self._streams.accept(self._id, dict(info))
            self._wake()

    def refuse(self, code: str, message: str) -> None:
        self.reset(code, message)

    async def send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._check()
            if self._finished:
                raise StreamGoneError("it was finished")
            self._writable.clear()
            taken = self._streams.send(self._id, bytes(left))
            if taken:
                left = left[taken:]
                self._wake()
            else:
                await self._writable.wait()

    async def receive(self) -> bytes:
        while not self._data:
            self._check()
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        data = self._data.popleft()
        self._streams.consumed(self._id, len(data))
        self._wake()
        return data

    def control(self, values: Mapping[str, object]) -> None:
        if not self.gone and not self._finished:
            self._streams.control(self._id, dict(values))
            self._wake()

    async def next_control(self) -> dict[str, Any] | None:
        while not self._controls:
            if self.gone or self._ended or self._discards:
                return None
            self._controlled.clear()
            await self._controlled.wait()
        return self._controls.popleft()

    async def finish(self) -> None:
        self._check()
        self._end()

    def reset(self, code: str, message: str = "") -> None:
        if not self.gone:
            self._streams.reset(self._id, code, message[:500])
            self.mark_gone()
            self._wake()

    # --- what the desk tells it -------------------------------------------------------------------------------------

    def handle(self, event: Data | Ended | Controlled | Writable | Accepted) -> None:
        if isinstance(event, Data):
            if self._discards:
                self._streams.consumed(self._id, len(event.data))
                self._wake()
            else:
                self._data.append(event.data)
                self._readable.set()
        elif isinstance(event, Ended):
            self._ended = True
            self._readable.set()
            self._controlled.set()
        elif isinstance(event, Controlled) and not self._discards:
            self._controls.append(event.values)
            self._controlled.set()
        elif isinstance(event, Writable):
            self._writable.set()

    def mark_gone(self) -> None:
        """Reset, or the session ended: ends every wait."""
        self.gone = True
        for event in (self._readable, self._writable, self._controlled):
            event.set()

    def handler_returned(self) -> None:
        """What it sent goes out, what comes in is dropped."""
        if self.gone:
            return
        if not self._served:
            self.reset("internal", "nobody served this stream")
            return
        self._discards = True
        self._end()
        while self._data:
            self._streams.consumed(self._id, len(self._data.popleft()))
        self._wake()

    def _end(self) -> None:
        if not self._finished:
            self._finished = True
            self._streams.end(self._id)
            self._wake()

    def _check(self) -> None:
        if self.gone:
            raise StreamGoneError(self._kind)


class StreamDispatcher:
    """`session()`: the present one; `handlers` by kind."""

    def __init__(
        self,
        session: Callable[[], OpenSession],
        handlers: Mapping[str, Serve],
        log: Log,
        wake: Callable[[], None],
    ) -> None:
        self.streams = Streams(Role.MACHINE)
        self._session = session
        self._handlers = handlers
        self._log = log
        self._wake = wake
        # Bound: MAX_STREAMS.
        self._open: dict[int, ServedStream] = {}
        self._tasks = Tasks()

    def receive(self, frame: bytes) -> None:
        for event in self.streams.receive(frame):
            if isinstance(event, Opened):
                self._begin(event)
                continue
            stream = self._open.get(event.id)
            if stream is None:
                continue
            if isinstance(event, WasReset):
                stream.mark_gone()
            else:
                stream.handle(event)
        self._wake()

    async def end(self) -> None:
        for stream in self._open.values():
            stream.mark_gone()
        await self._tasks.end()

    def _begin(self, asked: Opened) -> None:
        stream = ServedStream(asked, self.streams, self._wake)
        serve = self._handlers.get(asked.kind)
        if serve is None:
            stream.refuse("not_supported", "this machine knows no such stream")
            return
        self._open[asked.id] = stream
        self._tasks.start(self._serve(asked.id, stream, serve))

    async def _serve(self, stream_id: int, stream: ServedStream, serve: Serve) -> None:
        try:
            await serve(stream, self._session())
        except StreamGoneError:
            stream.mark_gone()
        except Exception as error:  # noqa: BLE001 - the named boundary: a stream
            self._log("handler_failed", where=f"stream {stream.kind}", error=repr(error))
            stream.reset("internal", "the machine could not go on with it")
        finally:
            stream.handler_returned()
            self._open.pop(stream_id, None)
