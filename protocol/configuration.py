"""The dynamic settings of a machine as one table for both ends: block, kind, default and bounds of every key.

Keys and defaults are the requirements' (section 4); `pinned_timezone`, `remote_access_approval`,
`remote_page_names` and `new_board_approval` are ours. Any
further key is allowed (`is_free`): its first value decides its kind."""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from protocol.limits import MAX_PAGE_NAME
from protocol.zones import is_zone

Value = str | int | float | bool | list[Any]


class Setting(NamedTuple):
    """`kind` is switch, whole, number, networks, zone (an IANA name), zone_or_none ("" for none), addresses (one URL,
    or several with commas), window (HH:MM-HH:MM of the site's day), compression or page_names (texts of port and
    name). Bounds are inclusive."""

    block: str
    kind: str
    default: Value
    least: float = 0
    most: float = 0
    unit: str = ""


SETTINGS: Final[Mapping[str, Setting]] = {
    "remote_access_enabled": Setting("remote_access", "switch", True),
    "remote_access_port": Setting("remote_access", "whole", 5001, 1, 65535),
    "admin_ips": Setting("remote_access", "networks", ["192.168.1.0/24", "10.0.0.0/8"]),
    "session_timeout": Setting("remote_access", "number", 3600.0, 1, 86400, "s"),
    "max_concurrent_sessions": Setting("remote_access", "whole", 1, 1, 100),
    "remote_access_approval": Setting("remote_access", "switch", False),
    "new_board_approval": Setting("remote_access", "switch", False),
    "remote_page_names": Setting("remote_access", "page_names", []),
    "default_timezone": Setting("timezone", "zone", "Asia/Jakarta"),
    "pinned_timezone": Setting("timezone", "zone_or_none", ""),
    "auto_sync_enabled": Setting("timezone", "switch", True),
    "sync_interval": Setting("timezone", "number", 3600.0, 60, 31_536_000, "s"),
    "manual_sync_enabled": Setting("timezone", "switch", True),
    "timezone_api_url": Setting("timezone", "addresses", "http://ip-api.com/json"),
    "backup_enabled": Setting("backup", "switch", True),
    "backup_interval": Setting("backup", "number", 86400.0, 60, 31_536_000, "s"),
    "backup_retention": Setting("backup", "whole", 30, 1, 3650, "d"),
    "include_images": Setting("backup", "switch", True),
    "include_logs": Setting("backup", "switch", True),
    "compression_enabled": Setting("backup", "switch", True),
    "backup_window": Setting("backup", "window", "01:00-05:00"),
    "backup_compression": Setting("backup", "compression", "gzip"),
    "backup_chain": Setting("backup", "whole", 7, 1, 30),
    "backup_rate": Setting("backup", "whole", 0, 0, 10_000_000, "KiB/s"),
    "backup_read_all": Setting("backup", "switch", False),
    "monitoring_enabled": Setting("monitoring", "switch", True),
    "metrics_interval": Setting("monitoring", "number", 300.0, 0.05, 86400, "s"),
    "upload_interval": Setting("monitoring", "number", 3600.0, 0.1, 86400, "s"),
    "temperature_threshold": Setting("monitoring", "number", 80.0, -50, 150, "°C"),
    "cpu_threshold": Setting("monitoring", "number", 90.0, 0, 100, "%"),
    "memory_threshold": Setting("monitoring", "number", 90.0, 0, 100, "%"),
}
COMPRESSIONS: Final = ("gzip", "zstd")
BLOCKS: Final = ("remote_access", "timezone", "backup", "monitoring")
STATIC_KEYS: Final = frozenset(
    {
        # the way to the hub
        "myrvm_base_url", "api_token", "rvm_id", "connection_timeout", "retry_attempts", "retry_delay",
        "allow_plain_http", "hub_ca", "client_cert", "client_key",
        # the agent itself
        "state_dir", "spool_limit_mib", "disk_path", "jtop_enabled", "sensor_root",
        # what it may do to the computer
        "system_control", "privileged_socket", "services", "timezone_services", "return_session_file",
        "return_session_max",
        # what remote access may reach at most
        "remote_access_ports", "remote_access_bind", "remote_services", "terminal_command", "terminal_user",
        "session_socket",
        "remote_download_folders", "remote_upload_folders", "remote_file_limit_mib",
        # what backups read, who else can read them, and what a restore may stop
        "backup_sources", "backup_public_key", "backup_services",
    }
)  # fmt: skip
"""The machine's own file alone has these: a wrong value would cut it off for good, or let whoever writes at the hub
do more to the computer than its owner allowed."""

MAX_FREE_KEYS: Final = 100
MAX_TEXT: Final = 2000
MAX_LIST: Final = 100
MAX_URLS: Final = 5
MAX_NETWORKS: Final = 64
MAX_PORT: Final = 65535
MAX_PAGES: Final = 32
_SLIP = 0.85
_FREE_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)\Z", re.ASCII)
_PAGE = re.compile(r"([1-9][0-9]{0,4})\s+(\S.*)\Z")
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s]*)?\Z", re.ASCII)


class WrongValueError(ValueError):
    """`code` is wrong_switch, wrong_whole, wrong_number, out_of_bounds, wrong_networks, wrong_zone, wrong_addresses,
    wrong_window, wrong_compression, wrong_page_names, wrong_free, wrong_kind, wrong_key or static_key; `params` are
    what its sentence names."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(f"{code} {params}" if params else code)
        self.code = code
        self.params = params


def key_of(name: str) -> str:
    """Dashes and underscores are alike. Raises WrongValueError for what can be no key."""
    key = name.replace("-", "_")
    if key in STATIC_KEYS:
        raise WrongValueError("static_key")
    if not _FREE_KEY.match(key):
        raise WrongValueError("wrong_key")
    return key


def is_free(key: str) -> bool:
    """None of the product's own."""
    return key not in SETTINGS


def slip_of(key: str) -> str | None:
    """The product's key that a free one probably mistypes. The first letter is seldom wrong: `gpu_threshold` is no
    slip of `cpu_threshold`."""
    alike = [known for known in SETTINGS if known[:1] == key[:1]]
    return next(iter(difflib.get_close_matches(key, alike, 1, _SLIP)), None) if is_free(key) else None


def checked(key: str, value: object, before: object = None) -> Value:
    """As stored and sent. `before`: what a free key holds now, whose kind stays.

    Raises WrongValueError."""
    setting = SETTINGS.get(key)
    if setting is not None:
        return _number(setting, value) if setting.kind in ("whole", "number") else _CHECKS[setting.kind](value)
    found = _free(value)
    if before is not None and kind_of(before) != kind_of(found):
        raise WrongValueError("wrong_kind", kind=kind_of(before))
    return found


def kind_of(value: object) -> str:
    """switch, number, text or list."""
    if isinstance(value, bool):
        return "switch"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "list"


def window_minutes(window: str) -> tuple[int, int]:
    """Its begin in minutes of the day, and its length: 1 to 1440, over midnight where it ends before it begins, all
    day where both are equal."""
    begin, end = (60 * int(time[:2]) + int(time[3:]) for time in window.split("-"))
    return begin, (end - begin) % 1440 or 1440


def defaults() -> dict[str, Value]:
    """Lists are the caller's own."""
    return {
        key: list(setting.default) if isinstance(setting.default, list) else setting.default
        for key, setting in SETTINGS.items()
    }


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    # A whole number of any length is JSON; one that no float can hold is none of ours.
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63


def _switch(value: object) -> Value:
    if not isinstance(value, bool):
        raise WrongValueError("wrong_switch")
    return value


def _number(setting: Setting, value: object) -> Value:
    if not _is_number(value) or not isinstance(value, (int, float)):
        raise WrongValueError("wrong_number")
    if setting.kind == "whole" and value != int(value):
        raise WrongValueError("wrong_whole")
    if not setting.least <= value <= setting.most:
        raise WrongValueError("out_of_bounds", least=setting.least, most=setting.most)
    return int(value) if setting.kind == "whole" else float(value)


def _networks(value: object) -> Value:
    if not isinstance(value, list) or len(value) > MAX_NETWORKS:
        raise WrongValueError("wrong_networks")
    try:
        return [str(ipaddress.ip_network(entry, strict=False)) for entry in value if _text(entry)]
    except ValueError as error:
        raise WrongValueError("wrong_networks") from error


def _text(entry: object) -> bool:
    if not isinstance(entry, str):
        raise WrongValueError("wrong_networks")
    return True


def _zone(value: object) -> Value:
    if isinstance(value, str) and is_zone(value):
        return value
    raise WrongValueError("wrong_zone")


def _zone_or_none(value: object) -> Value:
    return "" if value == "" else _zone(value)


def _window(value: object) -> Value:
    found = "".join(value.split()) if isinstance(value, str) and len(value) <= MAX_TEXT else ""
    if not _WINDOW.match(found):
        raise WrongValueError("wrong_window")
    return found


def _compression(value: object) -> Value:
    if value not in COMPRESSIONS:
        raise WrongValueError("wrong_compression")
    return str(value)


def _addresses(value: object) -> Value:
    found = [part.strip() for part in value.split(",")] if isinstance(value, str) and len(value) <= MAX_TEXT else []
    if not 1 <= len(found) <= MAX_URLS or not all(_URL.match(url) for url in found):
        raise WrongValueError("wrong_addresses")
    return ", ".join(found)


def _page_names(value: object) -> Value:
    """Also an object of names by port, as a machine's file has it."""
    lines = [f"{port} {name}" for port, name in value.items()] if isinstance(value, dict) else value
    if not isinstance(lines, list) or len(lines) > MAX_PAGES:
        raise WrongValueError("wrong_page_names")
    found: dict[str, str] = {}
    for line in lines:
        page = _PAGE.match(line.strip()) if isinstance(line, str) else None
        if page is None or int(page[1]) > MAX_PORT or len(page[2]) > MAX_PAGE_NAME or not page[2].isprintable():
            raise WrongValueError("wrong_page_names")
        found[page[1]] = page[2]
    return [f"{port} {name}" for port, name in found.items()]


def page_names(value: object) -> dict[str, str]:
    """Names by port, of a checked `remote_page_names`."""
    lines = [str(line).partition(" ") for line in value] if isinstance(value, (list, tuple)) else []
    return {port: name for port, _, name in lines}


def _free(value: object) -> Value:
    if isinstance(value, str) and len(value) <= MAX_TEXT and "\x00" not in value:
        return value
    if isinstance(value, bool) or (_is_number(value) and isinstance(value, (int, float)) and abs(value) < 2**53):
        return value
    if isinstance(value, list) and len(value) <= MAX_LIST and all(not isinstance(one, list) for one in value):
        return [_free(one) for one in value]
    raise WrongValueError("wrong_free")


_CHECKS: Final = {
    "switch": _switch,
    "networks": _networks,
    "zone": _zone,
    "zone_or_none": _zone_or_none,
    "addresses": _addresses,
    "window": _window,
    "compression": _compression,
    "page_names": _page_names,
}
