"""The services of a private system bus, as a process: `python -m tests.support.system_services FOLDER`.

systemd1 RestartUnit (with JobRemoved), login1 Reboot, timedate1 SetTimezone and its properties, polkit's
CheckAuthorization. The file `mood` says how to answer: obey, deny, ask (a password nobody can give), hang, fail; the
file `permits` says otherwise for single actions; each request that would do something is a line of the file `calls`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.io.asyncio import DBusConnection, open_dbus_connection

NAMES = (
    "org.freedesktop.systemd1",
    "org.freedesktop.login1",
    "org.freedesktop.timedate1",
    "org.freedesktop.PolicyKit1",
)
DAEMON = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
SYSTEMD = DBusAddress("/org/freedesktop/systemd1", interface="org.freedesktop.systemd1.Manager")
ERRORS = {
    "deny": "org.freedesktop.DBus.Error.AccessDenied",
    "ask": "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
    "fail": "org.freedesktop.DBus.Error.Failed",
    "unknown": "org.freedesktop.systemd1.NoSuchUnit",
}


class Services:
    def __init__(self, folder: Path, connection: DBusConnection) -> None:
        self._folder = folder
        self._connection = connection
        self._jobs = 0

    async def serve(self) -> None:
        for name in NAMES:
            await self._connection.send(new_method_call(DAEMON, "RequestName", "su", (name, 0)))
        print("ready", flush=True)
        while True:
            message = await self._connection.receive()
            if message.header.message_type is MessageType.method_call:
                await self._answer(message)

    async def _answer(self, message: Message) -> None:
        method = str(message.header.fields.get(HeaderFields.member))
        if method in ("Get", "GetAll"):
            await self._properties(message, method)
            return
        if method == "GetUnit":
            await self._unit(message)
            return
        if method == "ListUnitsByNames":
            await self._units(message)
            return
        if method in ("CanReboot", "CanPowerOff", "CheckAuthorization", "Ping"):
            await self._permission(message, method)
            return
        if method == "Subscribe":
            await self._connection.send(new_method_return(message))
            return
        with (self._folder / "calls").open("a") as record:
            record.write(json.dumps([method, *message.body]) + "\n")
        mood = (self._folder / "mood").read_text()
        if mood == "hang":
            return
        if mood in ERRORS:
            await self._connection.send(new_error(message, ERRORS[mood], "s", (f"mood {mood}",)))
        elif method in ("RestartUnit", "StartUnit", "StopUnit"):
            await self._restart(message, mood)
        else:
            if method == "SetTimezone" and mood != "ignore":
                self._set_zone(message.body[0])
            await self._connection.send(new_method_return(message))

    async def _restart(self, message: Message, mood: str) -> None:
        """`never`: the job does not end; `down`: the service does not come up."""
        self._jobs += 1
        job = f"/org/freedesktop/systemd1/job/{self._jobs}"
        await self._connection.send(new_method_return(message, "o", (job,)))
        if mood != "never":
            result = "failed" if mood == "down" else "done"
            ended = (self._jobs, job, message.body[0], result)
            await self._connection.send(new_signal(SYSTEMD, "JobRemoved", "uoss", ended))

    async def _permission(self, message: Message, method: str) -> None:
        """Nothing is done."""
        file = self._folder / "permits"
        permits: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        asked = str(message.body[1]) if method == "CheckAuthorization" else method
        mood = permits.get(asked, (self._folder / "mood").read_text())
        if mood == "hang":
            return
        if method == "Ping":
            await self._connection.send(new_method_return(message))
        elif method == "CheckAuthorization":
            kind, details = message.body[0]
            assert (kind, details["name"]) == ("system-bus-name", ("s", message.header.fields[HeaderFields.sender]))
            result: tuple[bool, bool, dict[str, str]] = (mood not in ("deny", "ask"), mood == "ask", {})
            await self._connection.send(new_method_return(message, "(bba{ss})", (result,)))
        else:
            answer = {"deny": "no", "ask": "challenge"}.get(mood, "yes")
            await self._connection.send(new_method_return(message, "s", (answer,)))

    def _set_zone(self, name: str) -> None:
        """As timedated: the link that programs read, in the folder that stands for the root."""
        (self._folder / "zone").write_text(name)
        etc = self._folder / "root" / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        beside = etc / "localtime.new"
        beside.symlink_to(f"../usr/share/zoneinfo/{name}")
        beside.replace(etc / "localtime")

    async def _unit(self, message: Message) -> None:
        """`starts` holds the monotonic moment at which each service was started."""
        starts = self._starts()
        if message.body[0] in starts:
            path = f"/org/freedesktop/systemd1/unit/_{list(starts).index(message.body[0])}"
            await self._connection.send(new_method_return(message, "o", (path,)))
        else:
            await self._connection.send(new_error(message, ERRORS["unknown"], "s", ("not loaded",)))

    async def _units(self, message: Message) -> None:
        """`states` says how services are; of any other there is no file. `hang` holds here as well."""
        if (self._folder / "mood").read_text() == "hang":
            return
        file = self._folder / "states"
        states = json.loads(file.read_text()) if file.exists() else {}
        units = [
            (
                name,
                "",
                "loaded" if name in states else "not-found",
                states.get(name, "inactive"),
                "",
                "",
                "/",
                0,
                "",
                "/",
            )
            for name in message.body[0]
        ]
        await self._connection.send(new_method_return(message, "a(ssssssouso)", (units,)))

    def _starts(self) -> dict[str, float]:
        file = self._folder / "starts"
        starts: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
        return starts

    async def _properties(self, message: Message, method: str) -> None:
        zone = self._folder / "zone"
        known = {
            "Timezone": ("s", zone.read_text() if zone.exists() else "Etc/UTC"),
            "NTPSynchronized": ("b", True),
            "NTP": ("b", True),
        }
        if message.body[0] == "org.freedesktop.systemd1.Service":
            number = int(str(message.header.fields[HeaderFields.path]).rpartition("_")[2])
            known["ExecMainStartTimestampMonotonic"] = ("t", int(list(self._starts().values())[number] * 1_000_000))
        if method == "GetAll":
            await self._connection.send(new_method_return(message, "a{sv}", (known,)))
        else:
            await self._connection.send(new_method_return(message, "v", (known[message.body[1]],)))


async def main(folder: Path) -> None:
    await Services(folder, await open_dbus_connection("SYSTEM")).serve()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
