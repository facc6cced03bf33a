"""The machine's configuration: a JSON file, overridden by the environment, checked before anything starts.

Each error names the key and what to write instead; nothing here reads sensors, opens sockets or prints.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from certs.bundle import AuthorityFileError, read_bundle
from certs.secret_file import SecretFileError, look_at, read_secret
from device.kernel.tls import HubTrust
from device.settings.backup_values import backup_sources, nested
from device.settings.machine_key import renewed_key
from device.settings.table import KEYS, Value
from device.settings.values import AgentSettingsError, from_text, typed
from protocol import addresses

__all__ = ["AgentSettings", "AgentSettingsError", "exposed", "load", "nearest", "without_key"]

SECRET_MODE_MASK: Final = 0o077
LEAST_KEY_LENGTH: Final = 16
ADOPTED: Final = "hub_authority"
"""In the state folder: the authorities that the hub gave instead of those in `hub_ca`."""
_PLACEHOLDERS: Final = ("changeme", "your-", "your_", "<", "example", "placeholder", "xxxx")


@dataclass(frozen=True)
class AgentSettings:
    """Checked. `values`: every key of the table and further keys of the hub. `origins`: "environment NAME", "hub",
    "file" or "default"."""

    values: Mapping[str, Value]
    origins: Mapping[str, str]
    config_file: Path | None
    api_token: str = field(repr=False)
    key_file: Path | None = None
    written_key: str = field(default="", repr=False)
    """As file or environment have it; `api_token` is the one to use (`device.settings.machine_key`)."""

    def text(self, key: str) -> str:
        return str(self.values[key])

    def number(self, key: str) -> float:
        value = self.values[key]
        return value if isinstance(value, float) else float(str(value))

    def switch(self, key: str) -> bool:
        return bool(self.values[key])

    def names(self, key: str) -> list[str]:
        value = self.values[key]
        return [str(entry) for entry in value] if isinstance(value, list) else []

    def overlaid(self, values: Mapping[str, Value], origins: Mapping[str, str]) -> AgentSettings:
        return replace(self, values={**self.values, **values}, origins={**self.origins, **origins})

    @property
    def device_id(self) -> str:
        return self.text("rvm_id")

    @property
    def base_url(self) -> str:
        return self.text("myrvm_base_url").rstrip("/")

    @property
    def socket_url(self) -> str:
        scheme, _, rest = self.base_url.partition("://")
        return f"{'wss' if scheme == 'https' else 'ws'}://{rest}/ws/device"

    @property
    def tunnel_url(self) -> str:
        return f"{self.socket_url.removesuffix('device')}tunnel"

    @property
    def is_plain(self) -> bool:
        """Whether the key crosses a network unencrypted: the file allows it in words."""
        return addresses.is_url_unencrypted(self.base_url)

    @property
    def key_place(self) -> Path | None:
        """The file that the key stands in; None: the environment has it."""
        in_environment = self.origins.get("api_token", "").startswith("environment")
        return self.key_file or (None if in_environment else self.config_file)

    @property
    def hub_trust(self) -> HubTrust:
        return HubTrust(
            authorities=self._beside("hub_ca"), certificate=self._beside("client_cert"),
            key=self._beside("client_key"), adopted=str(self.state_dir / ADOPTED),
        )  # fmt: skip

    def _beside(self, key: str) -> str:
        """A path is relative to the configuration file; "": none."""
        base = self.config_file.parent if self.config_file else Path.cwd()
        return str((base / self.text(key)).absolute()) if self.text(key) else ""

    @property
    def state_dir(self) -> Path:
        """Of spool, journal and state; by default beside the configuration file."""
        configured = self.text("state_dir")
        base = self.config_file.parent if self.config_file else Path.cwd()
        if configured:
            return (base / configured).absolute()
        name = self.config_file.name if self.config_file else "machine"
        return (base / f"{name}.state").absolute()


def load(config_file: Path | None, environ: Mapping[str, str]) -> AgentSettings:
    """Raises AgentSettingsError."""
    written = _read(config_file) if config_file is not None else {}
    for key in written:
        if key not in KEYS:
            raise AgentSettingsError("unknown_key", key, nearest=nearest(key))
    values: dict[str, Value] = {}
    origins: dict[str, str] = {}
    for key, rule in KEYS.items():
        variable = next((name for name in (f"RVM_{key.upper()}", key.upper()) if environ.get(name)), None)
        if variable is not None:
            values[key], origins[key] = from_text(key, rule, environ[variable]), f"environment {variable}"
        elif key in written:
            values[key], origins[key] = typed(key, rule, written[key]), "file"
        else:
            values[key], origins[key] = rule.default, "default"
    _check_url(values)
    _check_backups(values)
    token, key_file = _secret(str(values.pop("api_token")), environ, config_file)
    settings = AgentSettings(values, origins, config_file, token, key_file, token)
    settings = replace(settings, api_token=renewed_key(token, settings.state_dir).in_use(token))
    _check_trust(settings.hub_trust)
    return settings


def nearest(key: str) -> str:
    return next(iter(difflib.get_close_matches(key.lower(), KEYS, n=1, cutoff=0.5)), "")


def exposed(settings: AgentSettings) -> Path | None:
    """The configuration that others than its owner may read or write, with the key in it. A key that has a file of its
    own is refused then."""
    file = settings.config_file
    if file is not None and settings.key_place == file:
        with contextlib.suppress(OSError):
            return file if file.stat().st_mode & SECRET_MODE_MASK else None
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AgentSettingsError("config_unreadable", file=path, why=error.strerror or "error") from error
    except (ValueError, RecursionError) as error:
        raise AgentSettingsError("config_not_json", file=path, why=str(error)) from error
    if not isinstance(content, dict):
        raise AgentSettingsError("config_not_json", file=path, why="{ ... } expected")
    return content


def _check_url(values: Mapping[str, Value]) -> None:
    key, url = "myrvm_base_url", str(values["myrvm_base_url"])
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise AgentSettingsError("wrong_url", key, value=repr(url)) from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise AgentSettingsError("wrong_url", key, value=repr(url))
    if parts.username is not None or parts.password is not None:
        raise AgentSettingsError("secret_in_url", key)
    if addresses.is_url_unencrypted(url) and not values["allow_plain_http"]:
        raise AgentSettingsError("plain_http", key, value=url, https=f"https://{parts.netloc}{parts.path}")


def _check_trust(trust: HubTrust) -> None:
    """Files that are wrong now; an exchanged one is looked at with each connection."""
    try:
        if trust.authorities:
            read_bundle(Path(trust.authorities))
    except AuthorityFileError as wrong:
        raise AgentSettingsError(f"hub_ca_{wrong.code}", "hub_ca", file=trust.authorities, why=wrong.why) from wrong
    if bool(trust.certificate) != bool(trust.key):
        raise AgentSettingsError("client_pair", "client_key" if trust.certificate else "client_cert")
    if not trust.key:
        return
    try:
        look_at(Path(trust.key))
        trust.context()
    except SecretFileError as wrong:
        code = "client_key_exposed" if wrong.code == "exposed" else "client_key_unreadable"
        raise AgentSettingsError(code, "client_key", file=trust.key) from wrong
    except OSError as error:
        raise AgentSettingsError("client_unusable", "client_cert", file=trust.certificate, why=error) from error


def _check_backups(values: Mapping[str, Value]) -> None:
    found = nested(backup_sources(values["backup_sources"]))
    if found is not None:
        raise AgentSettingsError("nested_sources", "backup_sources", inner=found[0], outer=found[1])
    services, stopped = values["services"], values["backup_services"]
    if isinstance(services, list) and isinstance(stopped, list):
        unknown = next((unit for unit in stopped if unit not in services), None)
        if unknown is not None:
            raise AgentSettingsError("undeclared_service", "backup_services", service=unknown)


def _secret(configured: str, environ: Mapping[str, str], config_file: Path | None) -> tuple[str, Path | None]:
    """And its file, if any: from RVM_API_TOKEN_FILE, from `file:PATH` (relative to the configuration), or as
    written."""
    file = environ.get("RVM_API_TOKEN_FILE") or environ.get("API_TOKEN_FILE")
    if not file and configured.startswith("file:"):
        base = config_file.parent if config_file else Path.cwd()
        file = str(base / configured.removeprefix("file:"))
    if file:
        try:
            configured = read_secret(Path(file)).strip()
        except SecretFileError as wrong:
            named = {"exposed": "token_exposed", "mark": "token_marked", "empty": "token_missing"}
            raise AgentSettingsError(named.get(wrong.code, "token_unreadable"), "api_token", file=file) from wrong
    if not configured:
        raise AgentSettingsError("token_missing", "api_token")
    usable = configured.isascii() and configured.isprintable() and " " not in configured
    is_placeholder = any(word in configured.lower() for word in _PLACEHOLDERS if not configured.startswith("rvmk_"))
    if not usable or len(configured) < LEAST_KEY_LENGTH or is_placeholder:
        raise AgentSettingsError("token_unusable", "api_token")
    return configured, Path(file) if file else None


KEY_NAMES: Final = ("API_TOKEN", "API_TOKEN_FILE")
"""Ends of variables' names that hold the machine's key."""


def without_key() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.upper().endswith(KEY_NAMES)}
