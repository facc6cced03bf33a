"""Every key of a machine's configuration file: its type, default and bounds, as data (requirements.md, section 4)."""

from __future__ import annotations

from typing import Final, NamedTuple

Value = str | int | float | bool | tuple[str, ...]


class Key(NamedTuple):
    """`kind` is text, id (whole number or text), whole, number, switch or networks; bounds are inclusive."""

    kind: str
    default: Value
    least: float = 0
    most: float = float("inf")


KEYS: Final[dict[str, Key]] = {
    # server
    "myrvm_base_url": Key("text", "http://172.28.233.83:8001"),
    "api_token": Key("text", ""),
    "rvm_id": Key("id", 1),
    "connection_timeout": Key("number", 30.0, 1, 300),
    "retry_attempts": Key("whole", 3, 1, 100),
    "retry_delay": Key("number", 2.0, 0.1, 60),
    # remote access
    "remote_access_enabled": Key("switch", True),
    "remote_access_port": Key("whole", 5001, 1, 65535),
    "admin_ips": Key("networks", ("192.168.1.0/24", "10.0.0.0/8")),
    "session_timeout": Key("number", 3600.0, 1, 86400),
    "max_concurrent_sessions": Key("whole", 1, 1, 100),
    # time zone
    "default_timezone": Key("text", "Asia/Jakarta"),
    "auto_sync_enabled": Key("switch", True),
    "sync_interval": Key("number", 3600.0, 60, 31_536_000),
    "manual_sync_enabled": Key("switch", True),
    "timezone_api_url": Key("text", "http://ip-api.com/json"),
    # backup
    "backup_enabled": Key("switch", True),
    "backup_interval": Key("number", 86400.0, 60, 31_536_000),
    "backup_retention": Key("whole", 30, 1, 3650),
    "include_images": Key("switch", True),
    "include_logs": Key("switch", True),
    "compression_enabled": Key("switch", True),
    # monitoring
    "monitoring_enabled": Key("switch", True),
    "metrics_interval": Key("number", 300.0, 0.05, 86400),
    "upload_interval": Key("number", 3600.0, 0.1, 86400),
    "temperature_threshold": Key("number", 80.0, -50, 150),
    "cpu_threshold": Key("number", 90.0, 0, 100),
    "memory_threshold": Key("number", 90.0, 0, 100),
    # what the agent adds
    "state_dir": Key("text", ""),
    "allow_plain_http": Key("switch", False),
    "spool_limit_mib": Key("number", 64.0, 0.05, 65536),
    "disk_path": Key("text", "/"),
    "jtop_enabled": Key("switch", False),
    "sensor_root": Key("text", "/"),
}
