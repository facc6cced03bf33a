"""Which handler takes which durable message of a machine. Wiring, nothing else."""

from __future__ import annotations

from typing import Final

import hub.audit.handlers as audit
import hub.commands.handlers as commands
import hub.machine_settings.handlers as settings
import hub.machines.handlers as machines
import hub.remote.handlers as remote
import hub.timezone.handlers as timezone
from hub.links.session import MessageHandlers
from protocol import messages as m

HANDLERS: Final = MessageHandlers(
    {
        m.Hello: machines.introduce,
        m.StatusReport: machines.status,
        m.Event: audit.event,
        m.CommandUpdate: commands.update,
        m.ConfigApplied: settings.config_applied,
        m.TimezoneReport: timezone.timezone,
        m.RemoteAccessReport: remote.remote_access,
    },
    after_hello=commands.check_waiting,
)
