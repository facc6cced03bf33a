"""Calls the system bus (D-Bus): one short session a request, within a time limit. A refusal differs from every other
failure."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from device.kernel.tasks import within

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.asyncio import DBusRouter

T = TypeVar("T")
ANSWER_WITHIN_S: Final = 10.0
HELP: Final = "not permitted: install the helper"
_REFUSALS: Final = ("AccessDenied", "AuthFailed", "InteractiveAuthorizationRequired", "NotPrivileged")
_NOBODY: Final = ("ServiceUnknown", "NameHasNoOwner", "Spawn.")
"""No such service on this bus."""


class NotPermittedError(Exception):
    """Refused, no system bus, no such service on it, or switched off. `code`: of the privileged daemon, if it was
    that."""

    def __init__(self, why: str, code: str = "") -> None:
        super().__init__(f"{HELP} ({why[:300]})")
        self.why = why[:300]
        self.code = code


class SystemBusError(Exception):
    """`name`: the error's D-Bus name, or a word of ours."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail[:300]}" if detail else name)
        self.name = name


class BusObject(NamedTuple):
    service: str
    path: str
    interface: str


class Reply(NamedTuple):
    sender: str
    body: tuple[Any, ...]


class BusSession:
    def __init__(self, router: DBusRouter) -> None:
        self._router = router

    @property
    def name(self) -> str:
        """Ours on this bus."""
        return str(self._router.unique_name)

    async def call(
        self, target: BusObject, method: str, signature: str | None = None, body: tuple[Any, ...] = ()
    ) -> Reply:
        from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call

        address = DBusAddress(target.path, bus_name=target.service, interface=target.interface)
        with _explained():
            reply = await self._router.send_and_get_reply(new_method_call(address, method, signature, body))
        if reply.header.message_type is MessageType.error:
            raise _refusal(str(reply.header.fields.get(HeaderFields.error_name, "")), reply.body)
        return Reply(str(reply.header.fields.get(HeaderFields.sender, "")), tuple(reply.body))

    @contextlib.asynccontextmanager
    async def signals(self, target: BusObject, member: str) -> AsyncIterator[asyncio.Queue[Message]]:
        """From now on; read by `signal_content`."""
        from jeepney import MatchRule, message_bus

        rule = MatchRule(type="signal", interface=target.interface, member=member, path=target.path)
        bus = BusObject(message_bus.bus_name, message_bus.object_path, str(message_bus.interface))
        received: asyncio.Queue[Message] = asyncio.Queue(1000)
        with self._router.filter(rule, queue=received):
            await self.call(bus, "AddMatch", "s", (rule.serialise(),))
            yield received


def signal_content(signal: Message) -> Reply:
    from jeepney import HeaderFields

    return Reply(str(signal.header.fields.get(HeaderFields.sender, "")), tuple(signal.body))


class SystemBus:
    """At DBUS_SYSTEM_BUS_ADDRESS or its usual place. `allowed` False: nothing is tried."""

    def __init__(self, *, allowed: bool = True) -> None:
        self._allowed = allowed

    async def ask(
        self,
        target: BusObject,
        method: str,
        signature: str | None = None,
        body: tuple[Any, ...] = (),
        *,
        seconds: float = ANSWER_WITHIN_S,
    ) -> tuple[Any, ...]:
        """Raises NotPermittedError or SystemBusError."""

        async def ask_it(session: BusSession) -> tuple[Any, ...]:
            return (await session.call(target, method, signature, body)).body

        return await self.during(ask_it, seconds)

    async def during(self, work: Callable[[BusSession], Awaitable[T]], seconds: float) -> T:
        """Raises NotPermittedError or SystemBusError."""
        if not self._allowed:
            raise NotPermittedError("system_control is off")
        try:
            return await within(seconds, self._in_session(work))
        except (TimeoutError, asyncio.TimeoutError) as slow:
            raise SystemBusError("timeout", f"no answer within {seconds:.3g} s") from slow

    async def instead(
        self, refused: NotPermittedError, verb: str, argument: str = "", seconds: float = ANSWER_WITHIN_S
    ) -> None:
        """Of what the bus refused: nobody else does it. Raises NotPermittedError or SystemBusError."""
        del verb, argument, seconds
        raise refused

    @staticmethod
    async def _in_session(work: Callable[[BusSession], Awaitable[T]]) -> T:
        from jeepney.io.asyncio import open_dbus_router

        opening = open_dbus_router(bus="SYSTEM")
        try:
            router = await opening.__aenter__()
        except (OSError, EOFError, ValueError, RuntimeError, KeyError) as nobody:
            raise NotPermittedError(f"no system bus: {nobody}") from nobody
        try:
            return await work(BusSession(router))
        finally:
            with contextlib.suppress(OSError, EOFError):
                await opening.__aexit__(None, None, None)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    from jeepney.io.common import RouterClosed

    try:
        yield
    # KeyError: jeepney's own bookkeeping, when the connection breaks while an answer is awaited.
    except (OSError, EOFError, RouterClosed, KeyError) as broken:
        raise SystemBusError("disconnected", "the system bus closed the connection") from broken


def _refusal(name: str, body: tuple[Any, ...]) -> NotPermittedError | SystemBusError:
    detail = str(body[0]) if body else ""
    if name.endswith(_REFUSALS) or name.startswith("org.freedesktop.PolicyKit1.") or any(w in name for w in _NOBODY):
        return NotPermittedError(f"{name}: {detail}" if detail else name)
    return SystemBusError(name, detail)
