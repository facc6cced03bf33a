"""Reads the hub's settings: flags, then `RVM_*`, then defaults; checked once, frozen. A SettingsError names the
setting, why it is wrong, and the fix. Opens nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from certs.bundle import AuthorityFileError, read_bundle
from dashboard.map_tiles import TileSource, TileSourceError, tile_source
from hub.kernel.objects.place import FORM, ObjectPlaceError, S3Place, s3_place
from protocol import addresses
from protocol.zones import is_zone

DEFAULT_PORT = 8001
LAST_BACKUP: Final = "last_backup.json"
"""In the data folder: the newest backup of the hub itself."""
_FOREIGN = frozenset({"RVM_BOOTSTRAP", "RVM_LANG", "RVM_OPEN", "RVM_TOKEN", "RVM_TOKEN_FILE", "RVM_URL", "RVM_VENV"})
"""The command lines', not the hub's."""

_BASE_PATH: Final = re.compile(r"(?=.{2,100}\Z)(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", re.ASCII)
OWN_PLACES: Final = frozenset(
    ("account", "admin", "alerts", "api", "bulk", "events", "help", "jobs", "labels", "login", "logout", "m",
     "machines", "map", "preferences", "recordings", "remote", "scan", "signin", "static", "views", "ws")
)  # fmt: skip
"""Where the hub's own addresses begin: a base path that began so could not be told from them."""


class SettingsError(Exception):
    """`name` as the user wrote it. Why and fix are English sentences with places (translated in `hub/cli/locales`)."""

    def __init__(self, name: str, why: str, fix: str, **values: object) -> None:
        self.sentences = why, fix
        self.values = values
        self.why, self.fix = why.format(**values), fix.format(**values)
        super().__init__(f"{name}: {self.why}. {self.fix}")
        self.name = name


@dataclass(frozen=True)
class Settings:
    """Times in seconds, percentages 0-100, temperatures in degrees C."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0: any free one."""
    data_dir: Path = Path("data")
    database_url: str = field(default="", repr=False)
    """`sqlite:///ABSOLUTE` or `postgresql://...`; empty: `hub.sqlite3` in the data folder. May hold a password."""
    object_store: str = ""
    s3_access_key: str = field(default="", repr=False)
    s3_secret_key: str = field(default="", repr=False)
    """From the environment alone: everybody on the computer sees a command line."""
    record_input: bool = False
    """Of terminals, passwords included."""
    recording_retention_days: int = 90
    recordings_mib_per_machine: int = 2048
    samples_retention_days: int = 400
    backup_max_gib: int = 20
    """Of one backup."""
    backup_quota_gib: int = 200
    """Of one machine's backups."""
    backup_fleet_quota_gib: int = 0
    """0: what the store holds."""
    backups_at_once: int = 4
    """Scheduled ones; people's begin at once."""
    backup_download: str = "proxied"
    """`presigned`: an S3 store sends the bytes."""
    backup_scratch_dir: Path | None = None
    """Where backups are unpacked; None: in the data folder."""
    backup_scratch_gib: int = 40
    """For that; 0: none is unpacked here."""
    bus_url: str = "local"
    notify_loopback: bool = False
    """Notifications may go to programs on the hub's own computer."""
    public_url: str | None = None
    """As browsers see the hub; without it the Origin is held against the Host header."""
    base_path: str = ""
    """`/rvm`: browsers and machines reach the hub below this path of a site; empty: at its root."""
    pages_url: str | None = None
    """`https://pages.example.com`: machines' pages stand below it, each under its own name. Empty: on the hub's own
    address, without an origin."""
    behind_proxy: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-* is believed."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_authority: Path | None = None
    """Of the hub's own private authority, for machines to pin. None: a public one, or a proxy's."""
    tls_client_authority: Path | None = None
    """Machines need a certificate of it, made for their device_id."""
    tls_client_crl: Path | None = None
    tls_client_required: bool = True
    """False: machines without one come in, while they get theirs."""
    admin_email: str | None = None
    admin_password_file: Path | None = None
    device_frames_per_second: float = 20.0
    """Beyond it a machine's link is read slower; 0: no limit."""
    device_frames_burst: int = 100
    device_mib_per_day: int = 64
    """Samples, events, settings."""
    log_format: str = "text"
    live: bool = True
    """False: no live samples (links paid by the byte)."""
    default_timezone: str = "Asia/Jakarta"
    """Of naive times, and of what stands at no machine's site."""
    map_tiles_url: str = field(default="", repr=False)
    """`https://NAME/{z}/{x}/{y}.png`: the map's background, from others; may hold a key. Empty: none."""
    map_tiles_attribution: str = ""

    warnings: tuple[str, ...] = ()
    """For the log."""

    @property
    def public_address(self) -> str | None:
        """`public_url`, with the path below which the hub stands."""
        return self.public_url + self.base_path if self.public_url else None

    @property
    def tls(self) -> bool:
        return self.tls_cert is not None

    @property
    def cookie_secure(self) -> bool:
        """Whether browsers come by HTTPS: ours, or a proxy's."""
        if self.public_url:
            return self.public_url.startswith("https://")
        return self.tls or bool(self.behind_proxy)

    @property
    def objects_dir(self) -> Path:
        return Path(self.object_store)

    @property
    def backup_scratch(self) -> Path:
        return self.backup_scratch_dir or self.data_dir / "backup_scratch"

    @property
    def s3(self) -> S3Place | None:
        return s3_place(self.object_store)

    @property
    def map_tiles(self) -> TileSource | None:
        return tile_source(self.map_tiles_url, self.map_tiles_attribution)

    @staticmethod
    def load(given: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
        """Flags (`given`, None: not given) over `RVM_*` over defaults; raises SettingsError."""
        values: dict[str, Any] = {}
        for name, origin in origins(given, environ).items():
            values[name] = _convert(name, given[name] if origin == _flag(name) else environ[origin], origin)
        strangers = set(given) - set(_names())
        if strangers:
            raise TypeError(f"no such settings: {sorted(strangers)}")
        values["warnings"] = _unknown_variables(environ)
        settings = Settings(**_with_folders(values))
        _check(settings)
        return settings


def origins(given: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The flag or variable of each setting that has one; the others have their default."""
    found = {name: _variable(name) for name in _names() if environ.get(_variable(name), "") != ""}
    return found | {name: _flag(name) for name in _names() if given.get(name) is not None}


def _names() -> list[str]:
    return [f.name for f in fields(Settings) if f.name != "warnings"]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _variable(name: str) -> str:
    return "RVM_" + name.upper()


def _convert(name: str, value: Any, given_as: str) -> Any:
    kind = {f.name: str(f.type) for f in fields(Settings)}[name]
    try:
        if kind.startswith("tuple"):
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(str(part).strip() for part in parts if str(part).strip())
        if kind.startswith("Path"):
            return Path(value).expanduser().absolute()
        if kind == "bool":
            return _truth(value)
        if kind in ("int", "float"):
            return int(value) if kind == "int" else float(value)
    except (TypeError, ValueError) as error:
        raise SettingsError(given_as, *_WRONG.get(kind, _WRONG["path"]), value=value) from error
    return str(value).strip()


_WRONG = {
    "int": ("'{value}' is not a whole number", "Give a whole number"),
    "float": ("'{value}' is not a number", "Give a number"),
    "bool": ("'{value}' is not yes or no", "Give yes or no"),
    "path": ("'{value}' is not a path", "Give the path of a file or folder"),
}


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def _with_folders(values: dict[str, Any]) -> dict[str, Any]:
    """Default database and object store are in the data folder."""
    data_dir: Path = values.setdefault("data_dir", Settings.data_dir.absolute())
    if not values.get("database_url"):
        values["database_url"] = f"sqlite:///{data_dir / 'hub.sqlite3'}"
    store = values.get("object_store") or str(data_dir / "objects")
    if store.startswith("file://"):
        store = store.removeprefix("file://")
    values["object_store"] = store if "://" in store else str(Path(store).expanduser().absolute())
    for name in ("public_url", "pages_url", "base_path"):
        if values.get(name):
            values[name] = values[name].rstrip("/")
    return values


def _unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = [_variable(name) for name in _names()]
    found = []
    for name in sorted(environ):
        if name.startswith("RVM_") and name not in known and name not in _FOREIGN:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            found.append(f"the environment variable {name} is not a setting of the hub and was ignored{hint}")
    return tuple(found)


def _check(s: Settings) -> None:
    _check_numbers(s)
    _check_stores(s)
    _check_proxies(s)
    _check_tls(s)
    _check_exposure(s)
    _check_map(s)
    if s.admin_password_file is not None and not s.admin_password_file.is_file():
        file = s.admin_password_file
        raise SettingsError("--admin-password-file", "there is no file {value}", "Create it, mode 0600", value=file)
    if s.admin_password_file is not None and not s.admin_email:
        raise SettingsError("--admin-password-file", "a password without an email", "Give --admin-email as well")
    if s.default_timezone != Settings.default_timezone and not is_zone(s.default_timezone):
        raise SettingsError(
            "--default-timezone", "'{value}' is no time zone", "Use a name of the IANA database, like Asia/Jakarta",
            value=s.default_timezone,
        )  # fmt: skip
    if s.log_format not in ("text", "json"):
        raise SettingsError("--log-format", "'{value}' is unknown", "Use text or json", value=s.log_format)
    if s.backup_download not in ("proxied", "presigned"):
        raise SettingsError(
            "--backup-download", "'{value}' is unknown", "Use proxied or presigned", value=s.backup_download
        )


def _check_numbers(s: Settings) -> None:
    if not 0 <= s.port <= 65535:
        raise SettingsError("--port", "{value} is not a port", "Use 1 to 65535, or 0 for any free one", value=s.port)
    for name, least, most in (
        ("device_frames_per_second", 0, 1e6), ("device_frames_burst", 1, 1e6),
        ("device_mib_per_day", 1, 1e6), ("recordings_mib_per_machine", 1, 1e7),
        ("recording_retention_days", 1, 3650), ("samples_retention_days", 1, 3650),
        ("backup_max_gib", 1, 1e5), ("backup_quota_gib", 1, 1e6), ("backup_fleet_quota_gib", 0, 1e7),
        ("backups_at_once", 1, 1000), ("backup_scratch_gib", 0, 1e6),
    ):  # fmt: skip
        if not least <= getattr(s, name) <= most:
            raise SettingsError(
                _flag(name), "{value} is out of range", "Use {least} to {most}", value=getattr(s, name),
                least=f"{least:g}", most=f"{most:g}",
            )  # fmt: skip


def _check_stores(s: Settings) -> None:
    if not s.database_url.startswith(("sqlite:///", "postgresql://", "postgres://")):
        raise SettingsError(
            "--database-url", "only SQLite and PostgreSQL are supported",
            "Use sqlite:///FILE or postgresql://USER@HOST/NAME",
        )  # fmt: skip
    if s.bus_url != "local":
        raise SettingsError(
            "--bus-url", "this version runs as one process with its own bus",
            "Leave it out (or say local); several hubs come with a later version",
        )  # fmt: skip
    try:
        if s.s3 is None:
            return
    except ObjectPlaceError as wrong:
        raise SettingsError(
            "--object-store", wrong.sentence, "Give a folder, or {form}", form=FORM, **wrong.values
        ) from wrong
    for name in ("s3_access_key", "s3_secret_key"):
        if not getattr(s, name):
            raise SettingsError(_variable(name), "the S3 object store needs a key", "Set it in the environment")


def _check_proxies(s: Settings) -> None:
    for address in s.behind_proxy:
        if not addresses.is_network(address):
            raise SettingsError(
                "--behind-proxy", "'{value}' is not an address or network",
                "List the proxy's addresses, like 127.0.0.1,10.0.0.0/24", value=address,
            )  # fmt: skip
    if s.public_url is not None and not addresses.is_origin(s.public_url):
        raise SettingsError(
            "--public-url", "'{value}' is not an origin", "Use https://NAME or http://NAME:PORT", value=s.public_url
        )
    _check_base_path(s.base_path)
    if s.pages_url is not None and not addresses.can_hold_names(s.pages_url):
        raise SettingsError(
            "--pages-url", "'{value}' is no address below which names can stand",
            "Use https://NAME[:PORT], with every name below NAME leading to the hub", value=s.pages_url,
        )  # fmt: skip
    if s.pages_url is not None and s.cookie_secure and not s.pages_url.startswith("https://"):
        raise SettingsError("--pages-url", "the hub is reached by HTTPS, its machines' pages are not", "Use https://")
    if s.pages_url is not None:
        _check_sites(s.public_url, urlsplit(s.pages_url).hostname or "")


def _check_base_path(path: str) -> None:
    if path and not _BASE_PATH.fullmatch(path):
        raise SettingsError(
            "--base-path", "'{value}' is not a path below which the hub can stand",
            "Use one like /rvm: letters, digits, '-', '_' and '.', and a slash before each part", value=path,
        )  # fmt: skip
    if path[1:].partition("/")[0] in OWN_PLACES:
        raise SettingsError(
            "--base-path", "'{value}' begins like an address of the hub's own", "Use another, like /rvm", value=path
        )


def _check_sites(public_url: str | None, pages: str) -> None:
    """A machine's page may set cookies for its site: the hub has to be on another."""
    if public_url is None and pages.rpartition(".")[2] != "localhost":
        raise SettingsError(
            "--pages-url", "whether machines' pages share a site with the hub depends on the hub's own name",
            "Give --public-url as well",
        )  # fmt: skip
    hub = (urlsplit(public_url).hostname or "") if public_url else "localhost"
    if addresses.one_site(hub, pages):
        raise SettingsError(
            "--pages-url", "{pages} belongs to the same site as the hub, {hub}: a machine's page could lock people out",
            "Use a name below another registered domain, or leave it out: pages are sandboxed on the hub's address",
            pages=pages, hub=hub,
        )  # fmt: skip


def _check_map(s: Settings) -> None:
    try:
        tile_source(s.map_tiles_url, s.map_tiles_attribution)
    except TileSourceError as wrong:
        raise SettingsError(_flag(wrong.name), *wrong.sentences, z="{z}", x="{x}", y="{y}") from wrong


def _check_tls(s: Settings) -> None:
    if (s.tls_cert is None) != (s.tls_key is None):
        missing = "--tls-key" if s.tls_key is None else "--tls-cert"
        raise SettingsError(missing, "certificate and key belong together", "Give both files")
    for name in ("tls_cert", "tls_key", "tls_authority", "tls_client_authority", "tls_client_crl"):
        path = getattr(s, name)
        if path is not None and not path.is_file():
            raise SettingsError(_flag(name), "there is no file {value}", "Give the path of a PEM file", value=path)
        if name in ("tls_authority", "tls_client_authority") and path is not None:
            _check_authority(_flag(name), path)
    if s.tls_client_authority and not s.tls:
        raise SettingsError(
            "--tls-client-authority", "a proxy in front ends TLS, and with it the machines' certificates",
            "Give --tls-cert and --tls-key, or let the proxy ask for the certificates",
        )  # fmt: skip


def _check_authority(flag: str, path: Path) -> None:
    try:
        read_bundle(path)
    except AuthorityFileError as wrong:
        why, fix = "{value} is no file of an authority ({code})", "Give certificates alone, which others may not write"
        raise SettingsError(flag, why, fix, value=path, code=wrong.code) from wrong


def _check_exposure(s: Settings) -> None:
    if addresses.names_this_computer(s.host) or s.tls or s.behind_proxy:
        return
    raise SettingsError(
        "--host", "on {value} passwords and keys would cross the network unencrypted",
        "Give --tls-cert and --tls-key, or put a TLS proxy in front and name it with --behind-proxy ADDRESS",
        value=s.host,
    )  # fmt: skip
