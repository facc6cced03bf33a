"""Every key of a machine's configuration file; `protocol/configuration.py` has the dynamic ones."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from device.privileged.units import PRIVILEGED_SOCKET, SESSION_SOCKET
from protocol import configuration
from protocol.configuration import SETTINGS

__all__ = ["KEYS", "Key", "Value", "is_dynamic"]


Value = configuration.Value | dict[str, Any]


class Key(NamedTuple):
    """`kind`: text, id (whole number or text), whole, number, switch, units (names of services), one of `values` or
    `backup_values`, and for dynamic keys the shared table's; bounds are inclusive."""

    kind: str
    default: Value
    least: float = 0
    most: float = float("inf")


SERVER: Final = {
    "myrvm_base_url": Key("text", "http://172.28.233.83:8001"),
    "api_token": Key("text", ""),
    "rvm_id": Key("id", 1),
    # whom it takes for the hub, and how it proves itself beside its key
    "hub_ca": Key("text", ""),
    "client_cert": Key("text", ""),
    "client_key": Key("text", ""),
    "connection_timeout": Key("number", 30.0, 1, 300),
    "retry_attempts": Key("whole", 3, 1, 100),
    "retry_delay": Key("number", 2.0, 0.1, 60),
}
AGENT: Final = {
    "state_dir": Key("text", ""),
    "allow_plain_http": Key("switch", False),
    "spool_limit_mib": Key("number", 64.0, 0.05, 65536),
    "disk_path": Key("text", "/"),
    "jtop_enabled": Key("switch", False),
    "sensor_root": Key("text", "/"),
    # what it may do to the computer, and whom that concerns
    "system_control": Key("switch", True),
    "privileged_socket": Key("text", PRIVILEGED_SOCKET),
    "services": Key("units", []),
    "timezone_services": Key("units", []),
    "return_session_file": Key("text", ""),
    "return_session_max": Key("number", 900.0, 1, 86400),
}
REMOTE: Final = {
    # what a lease may reach at most, whatever the hub asks for
    "remote_access_ports": Key("ports", [5000, 5001]),
    "remote_access_bind": Key("address", "127.0.0.1"),
    "remote_services": Key("on_demand", {}),
    "terminal_command": Key("argv", []),
    "terminal_user": Key("text", ""),
    "session_socket": Key("text", SESSION_SOCKET),
    "remote_download_folders": Key("folders", []),
    "remote_upload_folders": Key("folders", []),
    "remote_file_limit_mib": Key("number", 512.0, 0.001, 1048576),
}
BACKUP: Final = {
    # what is read, who else may read the archives, and what a restore may stop and start
    "backup_sources": Key("backup_sources", {}),
    "backup_public_key": Key("age_key", ""),
    "backup_services": Key("units", []),
}
STATIC: Final[dict[str, Key]] = {**SERVER, **AGENT, **REMOTE, **BACKUP}
"""No hub may change these; the shared table names them too, so that it refuses them at once."""
KEYS: Final[dict[str, Key]] = {
    **SERVER,
    **{name: Key(s.kind, s.default, s.least, s.most) for name, s in SETTINGS.items()},
    **AGENT,
    **REMOTE,
    **BACKUP,
}


def is_dynamic(key: str) -> bool:
    return key in SETTINGS
