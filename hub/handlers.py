"""Which handler takes which durable message of a machine. Wiring, nothing else."""

from __future__ import annotations

from typing import Final

from hub.audit import handlers as audit_handlers
from hub.commands import handlers as commands_handlers
from hub.machine_settings import handlers as settings_handlers
from hub.machines import handlers as machines_handlers
from hub.remote import handlers as remote_handlers
from hub.timezone import handlers as timezone_handlers
from hub.links.session import MessageHandlers
from protocol import messages as m

HANDLERS: Final = MessageHandlers(
    {
        m.Hello: machines_handlers.introduce,
        m.StatusReport: machines_handlers.status,
        m.Event: audit_handlers.event,
        m.CommandUpdate: commands_handlers.update,
        m.ConfigApplied: settings_handlers.config_applied,
        m.TimezoneReport: timezone_handlers.timezone,
        m.RemoteAccessReport: remote_handlers.remote_access,
    },
    after_hello=commands_handlers.check_waiting,
)
