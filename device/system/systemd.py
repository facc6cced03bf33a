"""Requests to systemd: services, reboots, the time zone, watchdog signs of life."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from device.system.bus import BusObject, BusSession, NotPermittedError, SystemBus, SystemBusError, signal_content
from device.system.hardware import timezone_name
from device.system_monitor.reading import text_of
from protocol.zones import is_zone

SYSTEMD: Final = BusObject("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")

_KINDS: Final = (".service", ".socket", ".target", ".timer", ".path", ".mount")


async def restart(bus: SystemBus, unit: str, seconds: float) -> None:
    """Like `start`."""
    await _order(bus, "restart", unit, seconds)


async def stop(bus: SystemBus, unit: str, seconds: float) -> None:
    """Like `start`."""
    await _order(bus, "stop", unit, seconds)


async def start(bus: SystemBus, unit: str, seconds: float) -> None:
    """Waits for the result. Raises NotPermittedError, or SystemBusError, whose name is systemd's (`failed`,
    `timeout`, `dependency`, ...) when the service did not come up."""
    await _order(bus, "start", unit, seconds)


async def _order(bus: SystemBus, verb: str, unit: str, seconds: float) -> None:
    async def order_it(session: BusSession) -> None:
        async with session.signals(SYSTEMD, "JobRemoved") as ends:
            await session.call(SYSTEMD, "Subscribe")
            asked = await session.call(SYSTEMD, f"{verb.capitalize()}Unit", "ss", (unit, "replace"))
            (job,) = asked.body
            while True:
                ended = signal_content(await ends.get())
                # Anybody may send a signal: only that of the one who took the job counts.
                if ended.sender == asked.sender and ended.body[1] == job:
                    break
        if ended.body[3] != "done":
            what = "stop" if verb == "stop" else "start"
            raise SystemBusError(str(ended.body[3]), f"{unit} did not {what}")

    try:
        await bus.during(order_it, seconds)
    except NotPermittedError as refused:
        await bus.instead(refused, verb, unit, seconds)


async def states(bus: SystemBus, names: Collection[str], seconds: float) -> dict[str, str]:
    units = {name: full_name(name) for name in names}

    async def ask(session: BusSession) -> dict[str, str]:
        reply = await session.call(SYSTEMD, "ListUnitsByNames", "as", (list(units.values()),))
        found = {str(unit[0]): (str(unit[2]), str(unit[3])) for unit in reply.body[0]}
        found_states = {unit: load if load == "not-found" else active for unit, (load, active) in found.items()}
        return {name: found_states[unit] for name, unit in units.items() if unit in found_states}

    return await bus.during(ask, seconds)


def full_name(unit: str) -> str:
    """`camera` is `camera.service`, as for systemctl."""
    return unit if unit.endswith(_KINDS) else f"{unit}.service"


def own_unit(root: Path) -> str | None:
    """None: started by hand."""
    for line in (text_of(root / "proc/self/cgroup") or "").splitlines():
        name = line.rpartition("/")[2]
        if name.endswith(".service") and not name.startswith("user@"):
            return name
    return None


LOGIND: Final = BusObject("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")


async def reboot(bus: SystemBus, seconds: float) -> None:
    """It has begun on return. Raises NotPermittedError or SystemBusError."""
    try:
        await bus.ask(LOGIND, "Reboot", "b", (False,), seconds=seconds)
    except NotPermittedError as refused:
        await bus.instead(refused, "reboot", seconds=seconds)


async def can_reboot(bus: SystemBus, seconds: float) -> bool:
    """Whether the bus permits it; nothing is done."""
    try:
        answer = await bus.ask(LOGIND, "CanReboot", seconds=seconds)
    except (NotPermittedError, SystemBusError):
        return False
    return answer[:1] == ("yes",)


TIMEDATED: Final = BusObject("org.freedesktop.timedate1", "/org/freedesktop/timedate1", "org.freedesktop.timedate1")
POLKIT: Final = BusObject(
    "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority"
)
_PEER: Final = "org.freedesktop.DBus.Peer"
BusVerdict = Literal["yes", "password", "no", "nobody", "silent"]
"""Whether the bus does it without asking anybody: a password nobody can type, refused, no such service, no answer."""


class _Question(NamedTuple):
    """`asks`: a method of logind that answers it, or the action that polkit decides."""

    service: BusObject
    asks: str


_UNITS: Final = _Question(SYSTEMD, "org.freedesktop.systemd1.manage-units")
_QUESTIONS: Final[Mapping[str, _Question]] = {
    "reboot": _Question(LOGIND, "CanReboot"),
    "shutdown": _Question(LOGIND, "CanPowerOff"),
    "set-timezone": _Question(TIMEDATED, "org.freedesktop.timedate1.set-timezone"),
    "set-ntp": _Question(TIMEDATED, "org.freedesktop.timedate1.set-ntp"),
    **dict.fromkeys(("restart", "start", "stop", "mount", "unmount"), _UNITS),
}
_LOGIND_SAYS: Final[Mapping[object, BusVerdict]] = {"yes": "yes", "challenge": "password"}


async def permits(bus: SystemBus, verbs: Collection[str], *, is_root: bool, seconds: float) -> dict[str, BusVerdict]:
    """By verb of the privileged daemon; nothing is done. Services ask polkit about everybody but root."""

    async def ask(session: BusSession) -> dict[_Question, BusVerdict]:
        questions = dict.fromkeys(_QUESTIONS[verb] for verb in verbs)
        return {question: await _verdict(session, question, is_root) for question in questions}

    try:
        verdicts = await bus.during(ask, seconds)
    except NotPermittedError:
        return dict.fromkeys(verbs, "nobody")
    except SystemBusError:
        return dict.fromkeys(verbs, "silent")
    return {verb: verdicts[_QUESTIONS[verb]] for verb in verbs}


async def _verdict(session: BusSession, question: _Question, is_root: bool) -> BusVerdict:
    try:
        if question.service is LOGIND:
            (answer,) = (await session.call(LOGIND, question.asks)).body
            return _LOGIND_SAYS.get(answer, "no")
        await session.call(question.service._replace(interface=_PEER), "Ping")
    except NotPermittedError:
        return "nobody"
    return "yes" if is_root else await _polkit(session, question.asks)


async def _polkit(session: BusSession, action: str) -> BusVerdict:
    """Without it the services refuse. A rule for single units is not seen here: only they name the unit."""
    us = ("system-bus-name", {"name": ("s", session.name)})
    try:
        reply = await session.call(POLKIT, "CheckAuthorization", "(sa{sv})sa{ss}us", (us, action, {}, 0, ""))
    except NotPermittedError:
        return "no"
    ((is_authorized, wants_password, _),) = reply.body
    return "yes" if is_authorized else "password" if wants_password else "no"


_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_SERVICE: Final = "org.freedesktop.systemd1.Service"


class SystemTimezone:
    """`root`: where /etc is."""

    def __init__(self, bus: SystemBus, root: Path) -> None:
        self._bus = bus
        self._root = root

    def current(self) -> str | None:
        return timezone_name(self._root)

    async def set(self, name: str) -> None:
        """Raises NotPermittedError or SystemBusError. Only a name of the zone database ever leaves here."""
        if not is_zone(name):
            raise ValueError(f"{name!r} is no zone")
        try:
            await self._bus.ask(TIMEDATED, "SetTimezone", "sb", (name, False))
        except NotPermittedError as refused:
            await self._bus.instead(refused, "set-timezone", name)

    async def started_before(self, units: Sequence[str], moment: float) -> list[str]:
        """Running since before the monotonic `moment`, or unknown."""

        async def look(session: BusSession) -> list[str]:
            return [unit for unit in units if await _is_older(session, unit, moment)]

        if not units:
            return []
        try:
            return await self._bus.during(look, 5.0)
        except (NotPermittedError, SystemBusError):
            return list(units)


async def _is_older(session: BusSession, unit: str, moment: float) -> bool:
    try:
        name = unit if "." in unit else f"{unit}.service"
        (path,) = (await session.call(SYSTEMD, "GetUnit", "s", (name,))).body
        started = BusObject(SYSTEMD.service, path, _PROPERTIES)
        reply = await session.call(started, "Get", "ss", (_SERVICE, "ExecMainStartTimestampMonotonic"))
        begun_us = int(reply.body[0][1])
    except SystemBusError as error:
        return not error.name.endswith("NoSuchUnit")  # not loaded: nothing of it runs
    return 0 < begun_us < moment * 1_000_000


LONGEST_SILENCE_S: Final = 10.0


class ServiceNotify:
    def __init__(self, environ: Mapping[str, str], progress: Callable[[], int]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        microseconds = environ.get("WATCHDOG_USEC", "")
        self._watchdog_s = int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdigit() else 0.0
        self._progress = progress

    def notify(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.connect(address)
            speaker.sendall(state.encode())

    async def run(self) -> None:
        pause = (
            min(self._watchdog_s / 3, LONGEST_SILENCE_S) if self._watchdog_s and self._address else LONGEST_SILENCE_S
        )
        seen = -1
        while True:
            now = self._progress()
            if now != seen and self._watchdog_s:
                self.notify("WATCHDOG=1")
            seen = now
            await asyncio.sleep(pause)
