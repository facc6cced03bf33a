"""`doctor`: numbered checks of configuration, hub, clock, key, link, spool and sensors, each with its fix. Opens no
link: that would replace the running agent's."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from device.api_client import ApiClient, ApiError, HubUnreachableError
from device.backups.sources import default_sources
from device.cli import privileges
from device.cli.settings_verb import settings_sentence
from device.kernel import tls
from device.link.connection import probe_upgrade
from device.remote.folders import DeclaredFolders
from device.remote.rules.folders import PathRefusedError
from device.remote.service_user import NoUserError
from device.remote.session.file_process import FileProcess
from device.remote.trusted_paths import visitor, weak_paths
from device.settings import AgentSettings, AgentSettingsError, exposed, load
from device.settings.backup_values import backup_sources
from device.system_monitor import SystemMonitor
from protocol.limits import MAX_CLOCK_AHEAD_S
from texts.catalogue import Texts

CLOCK_WARN_S: Final = 5.0
LEAST_FREE_MIB: Final = 128
CHECK_TIMEOUT_S: Final = 10.0
_LOOK_APART_S: Final = 0.2
SOON_S: Final = 14 * 86400.0
"""A certificate with less left is a warning."""


class Check(NamedTuple):
    """`word`: ok, warn, fail or skip; `fix` "": nothing to do; `facts`: for programs, beside it."""

    name: str
    word: str
    what: str
    fix: str = ""
    facts: Mapping[str, str] = MappingProxyType({})


def examine(config_file: Path | None, environ: Mapping[str, str], texts: Texts, *, as_json: bool) -> int:
    """Printed as they come; 0 when none failed, 3 for a bad configuration, else 1."""
    checks: list[Check] = []
    try:
        settings = load(config_file, environ)
    except AgentSettingsError as error:
        name = "check_keys" if error.code == "unknown_key" else "check_config"
        checks.append(Check(name, "fail", settings_sentence(error, texts)))
        _show(1, checks[0], texts, as_json)
        return _finish(checks, texts, as_json, failed_code=3)
    for check in _checks(settings, texts):
        checks.append(check)
        _show(len(checks), check, texts, as_json)
    return _finish(checks, texts, as_json, failed_code=1)


def _checks(settings: AgentSettings, texts: Texts) -> Iterator[Check]:
    yield _config(settings, texts)
    count = sum(origin != "default" for origin in settings.origins.values())
    yield Check("check_keys", "ok", texts("keys_known", count=count))
    client = ApiClient.of(settings, timeout=CHECK_TIMEOUT_S, attempts=1)
    try:
        yield from _tls(settings, texts)
        yield from _hub(settings, client, texts)
    finally:
        client.close()
    yield _spool(settings, texts)
    yield _backups(settings, texts)
    yield from _paths(settings, texts)
    yield from _privileges(settings, texts)
    yield Check("check_sessions", *privileges.sessions(settings, texts))
    yield _sensors(settings, texts)


def _config(settings: AgentSettings, texts: Texts) -> Check:
    file = settings.config_file
    if file is None:
        return Check("check_config", "ok", texts("config_from_environment"))
    if exposed(file):
        fix = texts("config_exposed_fix", file=file)
        return Check("check_config", "warn", texts("config_exposed", file=file), fix)
    return Check("check_config", "ok", str(file))


def _tls(settings: AgentSettings, texts: Texts) -> Iterator[Check]:
    """Verified as the agent does; a hub on this computer needs none."""
    parts = urlsplit(settings.base_url)
    if settings.is_plain:
        yield Check("check_tls", "warn", texts("tls_plain", url=settings.base_url), texts("tls_plain_fix"))
    if parts.scheme != "https" or not parts.hostname:
        return
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), CHECK_TIMEOUT_S) as raw,
            settings.hub_trust.context().wrap_socket(raw, server_hostname=parts.hostname) as secure,
        ):
            ends, version = (secure.getpeercert() or {}).get("notAfter"), secure.version()
    except OSError as error:
        yield _tls_fault(error, parts.hostname, texts)
        return
    left = ssl.cert_time_to_seconds(str(ends)) - time.time()
    until = f"{datetime.now(timezone.utc) + timedelta(seconds=left):%Y-%m-%d}"
    what = texts(f"tls_{settings.hub_trust.mode}", version=version, until=until)
    yield Check("check_tls", "ok" if left > SOON_S else "warn", what, texts("tls_soon_fix"))


def _tls_fault(error: OSError, host: str, texts: Texts) -> Check:
    code, now = tls.fault(error), f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    if code == "other":
        return Check("check_tls", "skip", texts("needs_hub"))
    why = getattr(error, "verify_message", "") or getattr(error, "reason", "")
    what = texts(f"tls_{code}", host=host, why=why, now=now)
    return Check("check_tls", "fail", what, texts(f"tls_{'expired' if code == 'early' else code}_fix", host=host))


def _hub(settings: AgentSettings, client: ApiClient, texts: Texts) -> Iterator[Check]:
    began = time.monotonic()
    try:
        hub_time = client.hub_time()
    except ApiError as error:
        what = texts("hub_strange", url=settings.base_url, status=error.status)
        yield Check("check_hub", "fail", what, texts("hub_silent_fix"))
        yield from (Check(name, "skip", texts("needs_hub")) for name in ("check_clock", "check_key", "check_socket"))
        return
    except HubUnreachableError as error:
        what = texts("hub_silent", url=settings.base_url, why=error)
        yield Check("check_hub", "fail", what, texts("hub_silent_fix"))
        yield from (Check(name, "skip", texts("needs_hub")) for name in ("check_clock", "check_key", "check_socket"))
        return
    took = int((time.monotonic() - began) * 1000)
    yield Check("check_hub", "ok", texts("hub_answers", url=settings.base_url, milliseconds=took))
    yield _clock(hub_time, texts)
    yield _key(settings, client, texts)
    why = asyncio.run(probe_upgrade(settings.socket_url, CHECK_TIMEOUT_S, settings.hub_trust.context))
    if why is None:
        yield Check("check_socket", "ok", texts("socket_passes"))
    else:
        yield Check("check_socket", "fail", texts("socket_blocked", why=why), texts("socket_blocked_fix"))


def _clock(hub_time: datetime | None, texts: Texts) -> Check:
    if hub_time is None:
        return Check("check_clock", "skip", texts("needs_hub"))
    offset = (datetime.now(timezone.utc) - hub_time).total_seconds() - 0.5  # the hub's time is in whole seconds
    if abs(offset) <= CLOCK_WARN_S:
        return Check("check_clock", "ok", texts("clock_fits", offset=f"{offset:+.1f}"))
    word = "warn" if abs(offset) < MAX_CLOCK_AHEAD_S else "fail"
    return Check("check_clock", word, texts("clock_off", offset=f"{offset:+.0f}"), texts("clock_fix"))


def _key(settings: AgentSettings, client: ApiClient, texts: Texts) -> Check:
    try:
        client.get_status()
    except ApiError as error:
        if error.code.startswith("certificate_"):
            return Check("check_key", "fail", texts(error.code), texts("tls_client_fix"))
        if error.status in (403, 404):
            what = texts("key_other", device_id=settings.device_id)
            return Check("check_key", "fail", what, texts("key_other_fix"))
        return Check("check_key", "fail", texts("key_refused", status=error.status), texts("key_refused_fix"))
    except HubUnreachableError as error:
        what = texts("hub_silent", url=settings.base_url, why=error)
        return Check("check_key", "fail", what, texts("hub_silent_fix"))
    return Check("check_key", "ok", texts("key_accepted", device_id=settings.device_id))


def _spool(settings: AgentSettings, texts: Texts) -> Check:
    folder = settings.state_dir
    probe = folder / f"doctor.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        probe.unlink()
        stat = os.statvfs(folder)
    except OSError as error:
        what = texts("spool_refused", folder=folder, why=error.strerror or error)
        return Check("check_spool", "fail", what, texts("spool_refused_fix"))
    free = stat.f_bavail * stat.f_frsize // (1024 * 1024)
    if free < LEAST_FREE_MIB:
        return Check("check_spool", "warn", texts("spool_small", folder=folder, free=free), texts("spool_small_fix"))
    return Check("check_spool", "ok", texts("spool_writable", folder=folder, free=free))


def _backups(settings: AgentSettings, texts: Texts) -> Check:
    """Whether sources exist and may be read; a backup reports what is below."""
    if not settings.switch("backup_enabled"):
        return Check("check_backups", "skip", texts("backups_off"))
    sources = backup_sources(settings.values["backup_sources"]) or default_sources(agent_file=settings.config_file)
    missing = [source.path for source in sources.values() if not os.access(source.path, os.R_OK)]
    if not sources or len(missing) == len(sources):
        return Check("check_backups", "warn", texts("no_backup_sources"), texts("no_backup_sources_fix"))
    if missing:
        what = texts("backups_missing", folders=", ".join(missing))
        return Check("check_backups", "warn", what, texts("backups_missing_fix"))
    return Check("check_backups", "ok", texts("backups_read", count=len(sources)))


def _paths(settings: AgentSettings, texts: Texts) -> Iterator[Check]:
    found = weak_paths(settings)
    for weak in found:
        what = texts("path_weak", path=weak.path, step=weak.step, who=weak.who)
        yield Check("check_paths", "warn", what, texts("path_weak_fix", step=weak.step))
    if not found:
        yield Check("check_paths", "ok", texts("paths_held"))
    yield from _folders(settings, texts)


def _folders(settings: AgentSettings, texts: Texts) -> Iterator[Check]:
    folders = DeclaredFolders(settings.names("remote_download_folders"), settings.names("remote_upload_folders"))
    if not folders.all:
        return
    try:
        user = visitor(settings)
        process = FileProcess(user)
    except (NoUserError, PathRefusedError) as refused:
        yield Check("check_folders", "fail", str(refused))
        return
    closed = []
    for folder in folders.all:
        try:
            answer, _ = process.call("look", pin=folders.pin(folder), parts=())
        except PathRefusedError as refused:
            closed.append(Check("check_folders", "warn", f"{folder}: {refused}", texts("folder_closed_fix")))
            continue
        if folder in map(DeclaredFolders.written, folders.upload) and not answer["writable"]:
            what = texts("folder_closed", who=user.name, folder=folder)
            closed.append(Check("check_folders", "warn", what, texts("folder_closed_fix")))
    process.end()
    yield from closed or [Check("check_folders", "ok", texts("folders_open", who=user.name))]


def _privileges(settings: AgentSettings, texts: Texts) -> Iterator[Check]:
    proofs = privileges.privileges(settings, texts)
    for verb, way, (word, what, fix) in proofs:
        yield Check("check_privileges", word, f"{verb}: {what}", fix, {"verb": verb, "way": way})
    if not proofs:
        yield Check("check_privileges", "skip", texts("privileges_off"))


def _sensors(settings: AgentSettings, texts: Texts) -> Check:
    monitor = SystemMonitor(Path(settings.text("sensor_root")), disk_path=Path(settings.text("disk_path")))
    monitor.prime()
    time.sleep(_LOOK_APART_S)
    sample = monitor.collect_metrics()
    names = ("cpu_usage", "memory_usage", "disk_usage", "gpu_usage", "temperature", "power_w")
    found = [name for name in names if getattr(sample, name) is not None]
    missing = [name for name in names if name not in found]
    if not missing:
        return Check("check_sensors", "ok", texts("sensors_all"))
    if "cpu_usage" not in found or "memory_usage" not in found:
        return Check("check_sensors", "fail", texts("sensors_none"), texts("sensors_fix"))
    what = texts("sensors_some", found=", ".join(found), missing=", ".join(missing))
    return Check("check_sensors", "warn", what, texts("sensors_fix"))


def _show(number: int, check: Check, texts: Texts, as_json: bool) -> None:
    if as_json:
        return
    title = f"{texts(check.name)} "
    print(f"{number:>3}. {title:.<28} {texts(f'word_{check.word}'):<8} {check.what}", flush=True)
    if check.fix and check.word != "ok":
        print(f"{'':>5}{texts('fix', fix=check.fix)}", flush=True)


def _finish(checks: list[Check], texts: Texts, as_json: bool, failed_code: int) -> int:
    failed = sum(check.word == "fail" for check in checks)
    if as_json:
        shown = [
            {"check": c.name.removeprefix("check_"), "result": c.word, "what": c.what, "fix": c.fix or None, **c.facts}
            for c in checks
        ]
        print(json.dumps({"ok": failed == 0, "checks": shown}))
    else:
        sentence = texts("not_well", failed=failed, count=len(checks)) if failed else texts("all_well")
        print(sentence, file=sys.stderr)
    return failed_code if failed else 0
