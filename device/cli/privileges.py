"""What `doctor` finds about rights: all that needs root, asked for without doing it, and whose terminals are."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Final, Literal, NamedTuple

from device.privileged.units import ALLOWED_FILE
from device.remote.rules.folders import PathRefusedError
from device.remote.service_user import NoUserError
from device.remote.session.file_process import FileProcess
from device.remote.trusted_paths import terminal_user
from device.settings import AgentSettings
from device.system.bus import NotPermittedError, SystemBus, SystemBusError
from device.system.hardware import timezone_name
from device.system.privileged import LOOK_S, NOT_THERE, request
from device.system.systemd import BusVerdict, full_name, permits
from texts.catalogue import Texts

_FIXES: Final = ("not_allowed", "wrong_user", "file")
ProofWay = Literal["bus", "service", "none"]


class RightsFinding(NamedTuple):
    """As a check's: `word`, what, and the fix."""

    word: str
    what: str
    fix: str = ""


class VerbProof(NamedTuple):
    """Of one thing that needs root: how it stands, and by which way it would be done."""

    verb: str
    way: ProofWay
    finding: RightsFinding


class WantedVerb(NamedTuple):
    """`by_agent` False: the privileged service offers it to the machine's own software."""

    verb: str
    argument: str = ""
    by_agent: bool = True

    def __str__(self) -> str:
        return f"{self.verb} {self.argument}".strip()


def privileges(settings: AgentSettings, texts: Texts) -> list[VerbProof]:
    """Each without doing it. [] where nothing is to be done as root."""
    return asyncio.run(_proven(settings, texts)) if settings.switch("system_control") else []


async def _proven(settings: AgentSettings, texts: Texts) -> list[VerbProof]:
    verbs = wanted(settings)
    by_bus = await permits(SystemBus(), {one.verb for one in verbs}, is_root=is_root(), seconds=2 * LOOK_S)
    return [await _proof(settings, one, by_bus[one.verb], texts) for one in verbs]


async def _proof(settings: AgentSettings, wanted: WantedVerb, by_bus: BusVerdict, texts: Texts) -> VerbProof:
    """The bus first, as the agent does."""
    verb = str(wanted)
    if by_bus == "yes":
        return VerbProof(verb, "bus", RightsFinding("ok", texts("privileges_root" if is_root() else "privileges_bus")))
    try:
        path = settings.text("privileged_socket")
        await request(path, wanted.verb, wanted.argument, check=True, seconds=LOOK_S)
    except (NotPermittedError, SystemBusError) as refused:
        code = refused.code if isinstance(refused, NotPermittedError) else ""
        if code == NOT_THERE:
            why = texts("privileges_none", bus=texts(f"bus_{by_bus}"), socket=path or "-")
            fix = texts("privileges_none_fix")
        else:
            why = refused.why if isinstance(refused, NotPermittedError) else str(refused)
            fix = texts(f"privileges_{code if code in _FIXES else 'journal'}_fix", file=ALLOWED_FILE)
        if not wanted.by_agent and code in (NOT_THERE, "not_allowed"):
            return VerbProof(verb, "none", RightsFinding("skip", texts("privileges_unused", why=why)))
        return VerbProof(verb, "none", RightsFinding("warn", why, fix))
    return VerbProof(verb, "service", RightsFinding("ok", texts("privileges_service", bus=texts(f"bus_{by_bus}"))))


def is_root() -> bool:
    return os.geteuid() == 0


def wanted(settings: AgentSettings) -> list[WantedVerb]:
    """What this machine's file and its hub may ask for, then what the machine's own software may."""
    zone = timezone_name(Path(settings.text("sensor_root"))) or "Etc/UTC"
    services = [WantedVerb("restart", full_name(name)) for name in settings.names("services")]
    restored = [
        WantedVerb(verb, full_name(name)) for name in settings.names("backup_services") for verb in ("stop", "start")
    ]
    others = [WantedVerb("set-ntp", "on", by_agent=False), WantedVerb("shutdown", by_agent=False)]
    mounts = [WantedVerb(verb, name, by_agent=False) for name in _mounts() for verb in ("mount", "unmount")]
    return [WantedVerb("reboot"), WantedVerb("set-timezone", zone), *services, *restored, *others, *mounts]


def _mounts() -> list[str]:
    """Those that root's file declares; what is wrong with the file, the service says by itself."""
    try:
        declared = json.loads(Path(ALLOWED_FILE).read_text(encoding="utf-8"))["mounts"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return sorted(declared) if isinstance(declared, dict) else []


def sessions(settings: AgentSettings, texts: Texts) -> RightsFinding:
    """Whose terminals and files are; a unit is started for it and ended."""
    try:
        user = terminal_user(settings)
        if user.socket:
            FileProcess(user).end()
    except (NoUserError, PathRefusedError) as refused:
        return RightsFinding("fail", str(refused), texts("sessions_fix"))
    if user.socket:
        return RightsFinding("ok", texts("sessions_unit", who=user.name))
    if user.drop:
        return RightsFinding("ok", texts("sessions_drop", who=user.name))
    return RightsFinding("warn", texts("sessions_own", who=user.name), texts("sessions_own_fix"))
