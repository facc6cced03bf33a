"""What `doctor` finds about rights: all that needs root, asked for without doing it, and whose terminals are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from device.privileged.units import ALLOWED_FILE
from device.remote.rules.folders import PathRefusedError
from device.remote.service_user import NoUserError
from device.remote.session.file_process import FileProcess
from device.remote.trusted_paths import terminal_user
from device.settings import AgentSettings
from device.system.bus import NotPermittedError, SystemBusError
from device.system.hardware import timezone_name
from device.system.privileged import LOOK_S, NOT_THERE, PrivilegedBus, request
from device.system.systemd import can_reboot, full_name
from texts.catalogue import Texts

_FIXES: Final = ("not_allowed", "wrong_user", "file")


class RightsFinding(NamedTuple):
    """As a check's: `word`, what, and the fix."""

    word: str
    what: str
    fix: str = ""


def privileges(settings: AgentSettings, texts: Texts) -> Iterator[RightsFinding]:
    if not settings.switch("system_control"):
        yield RightsFinding("skip", texts("privileges_off"))
        return
    yield from asyncio.run(_asked(settings, texts))


async def _asked(settings: AgentSettings, texts: Texts) -> list[RightsFinding]:
    answers = {" ".join(words).strip(): await _refusal(settings, *words) for words in wanted(settings)}
    if any(isinstance(why, NotPermittedError) and why.code == NOT_THERE for why in answers.values()):
        return [await _without(settings, texts)]
    done = ", ".join(what for what, why in answers.items() if why is None)
    held = [RightsFinding("ok", texts("privileges_held", verbs=done))] if done else []
    return held + [_refused(why, texts) for why in answers.values() if why is not None]


async def _refusal(settings: AgentSettings, verb: str, argument: str) -> NotPermittedError | SystemBusError | None:
    try:
        await request(settings.text("privileged_socket"), verb, argument, check=True, seconds=LOOK_S)
    except (NotPermittedError, SystemBusError) as refused:
        return refused
    return None


def _refused(why: NotPermittedError | SystemBusError, texts: Texts) -> RightsFinding:
    code = why.code if isinstance(why, NotPermittedError) and why.code in _FIXES else "journal"
    what = why.why if isinstance(why, NotPermittedError) else str(why)
    return RightsFinding("warn", what, texts(f"privileges_{code}_fix", file=ALLOWED_FILE))


def wanted(settings: AgentSettings) -> list[tuple[str, str]]:
    """Verbs and arguments that this machine's file and its hub may ask for."""
    zone = timezone_name(Path(settings.text("sensor_root"))) or "Etc/UTC"
    services = [("restart", full_name(name)) for name in settings.names("services")]
    restored = [(verb, full_name(name)) for name in settings.names("backup_services") for verb in ("stop", "start")]
    return [("reboot", ""), ("set-timezone", zone), *services, *restored]


async def _without(settings: AgentSettings, texts: Texts) -> RightsFinding:
    """No privileged service: by the bus, or not at all."""
    if await can_reboot(PrivilegedBus(""), LOOK_S):
        return RightsFinding("ok", texts("privileges_root" if os.geteuid() == 0 else "privileges_bus"))
    what = texts("privileges_none", socket=settings.text("privileged_socket") or "-")
    return RightsFinding("warn", what, texts("privileges_none_fix"))


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
