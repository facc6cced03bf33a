"""The hub's settings as flags: names, defaults, what stands for a value. Standard library only."""

from __future__ import annotations

import argparse
from typing import Any

from hub.cli.output import sentence

DATA_FLAGS = ("data_dir", "database_url")
SERVE_FLAGS = (
    "host", "port", "public_url", "base_path", "object_store", "bus_url", "behind_proxy", "tls_cert", "tls_key",
    "tls_authority",
    "tls_client_authority", "tls_client_crl", "tls_client_required", "log_format",
    "admin_email", "admin_password_file", "record_input", "recording_retention_days", "samples_retention_days",
    "pages_url", "default_timezone", "live", "device_frames_per_second", "device_frames_burst",
    "device_mib_per_day", "recordings_mib_per_machine",
    "backup_max_gib", "backup_quota_gib", "backup_fleet_quota_gib", "backups_at_once", "backup_download",
    "backup_scratch_dir", "backup_scratch_gib", "map_tiles_url", "map_tiles_attribution", "notify_loopback",
)  # fmt: skip
DEFAULTS = {
    "host": "127.0.0.1", "port": "8001", "data_dir": "./data", "log_format": "text", "bus_url": "local",
    "record_input": "no", "recording_retention_days": "90", "samples_retention_days": "400",
    "default_timezone": "Asia/Jakarta", "live": "yes", "device_frames_per_second": "20", "device_frames_burst": "100",
    "device_mib_per_day": "64", "recordings_mib_per_machine": "2048", "backup_max_gib": "20",
    "backup_quota_gib": "200", "backup_fleet_quota_gib": "0", "backups_at_once": "4", "backup_download": "proxied",
    "backup_scratch_gib": "40", "tls_client_required": "yes", "notify_loopback": "no",
}  # fmt: skip
METAVARS = {
    "host": "ADDRESS", "port": "PORT", "public_url": "URL", "base_path": "PATH", "object_store": "STORE",
    "bus_url": "URL",
    "log_format": "FORMAT", "behind_proxy": "ADDRESSES", "tls_cert": "FILE", "tls_key": "FILE",
    "tls_authority": "FILE", "tls_client_authority": "FILE", "tls_client_crl": "FILE", "tls_client_required": "YES|NO",
    "admin_email": "EMAIL", "admin_password_file": "FILE", "data_dir": "DIR", "database_url": "URL",
    "pages_url": "URL", "record_input": "YES|NO", "recording_retention_days": "DAYS",
    "samples_retention_days": "DAYS", "default_timezone": "ZONE", "live": "YES|NO", "device_frames_per_second": "N",
    "device_frames_burst": "N", "device_mib_per_day": "MIB",
    "recordings_mib_per_machine": "MIB", "backup_max_gib": "GIB", "backup_quota_gib": "GIB",
    "backup_fleet_quota_gib": "GIB", "backups_at_once": "N", "backup_download": "HOW", "backup_scratch_dir": "DIR",
    "backup_scratch_gib": "GIB", "map_tiles_url": "URL", "map_tiles_attribution": "TEXT", "notify_loopback": "YES|NO",
}  # fmt: skip


def data_flags(parser: argparse.ArgumentParser, default: Any = None) -> None:
    group = parser.add_argument_group(sentence("help.group.data"))
    for name in DATA_FLAGS:
        setting(group, name, default)


def output_flags(parser: argparse.ArgumentParser, default: Any = False, *, has_quiet_hours: bool = False) -> None:
    """`has_quiet_hours`: --quiet is those of the verb."""
    group = parser.add_argument_group(sentence("help.group.output"))
    group.add_argument("--json", action="store_true", default=default, help=sentence("help.json"))
    quiet, loud = ("-q",) if has_quiet_hours else ("-q", "--quiet"), ("-v", "--verbose")
    for names, kept in ((quiet, "is_quiet"), (loud, "is_verbose")):
        group.add_argument(*names, dest=kept, action="store_true", default=default, help=sentence(f"help.{kept}"))


def setting(group: Any, name: str, default: Any = None) -> None:
    group.add_argument("--" + name.replace("_", "-"), metavar=METAVARS[name], default=default, help=environment(name))


def environment(name: str) -> str:
    text = default_of(name, DEFAULTS[name]) if name in DEFAULTS else sentence(f"help.{name}")
    return f"{text} [RVM_{name.upper()}]".replace("%", "%%")


def default_of(name: str, value: str) -> str:
    return f"{sentence(f'help.{name}')} {sentence('help.default', value=value)}"
