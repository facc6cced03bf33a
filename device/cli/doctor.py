"""`doctor`: numbered checks of configuration, hub, clock, key, link, spool and sensors, each with its fix. Opens no
link: that would replace the running agent's."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from device.backups.sources import default_sources
from device.cli import privileges, reach
from device.cli.reach import Check
from device.cli.settings_verb import settings_sentence
from device.remote.folders import DeclaredFolders
from device.remote.rules.folders import PathRefusedError
from device.remote.service_user import NoUserError
from device.remote.session.file_process import FileProcess
from device.remote.trusted_paths import visitor, weak_paths
from device.settings import AgentSettings, AgentSettingsError, exposed, load
from device.settings.backup_values import backup_sources
from device.system_monitor import SystemMonitor, disks
from texts.catalogue import Texts

LEAST_FREE_MIB: Final = 128
_LOOK_APART_S: Final = 0.2


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
    yield from reach.checks(settings, texts)
    yield _spool(settings, texts)
    yield _backups(settings, texts)
    yield from _paths(settings, texts)
    yield from _privileges(settings, texts)
    yield Check("check_sessions", *privileges.sessions(settings, texts))
    yield _sensors(settings, texts)
    yield _disks(settings, texts)


def _config(settings: AgentSettings, texts: Texts) -> Check:
    file = settings.config_file
    if file is None:
        return Check("check_config", "ok", texts("config_from_environment"))
    if exposed(settings):
        fix = texts("config_exposed_fix", file=file)
        return Check("check_config", "warn", texts("config_exposed", file=file), fix)
    return Check("check_config", "ok", str(file))


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


def _disks(settings: AgentSettings, texts: Texts) -> Check:
    """How worn they are, by the same way as the agent."""
    root = Path(settings.text("sensor_root"))
    found, noted = list(disks.disks(root)), disks.noted_by_root(root)
    if not found:
        return Check("check_disks", "skip", texts("disks_none"))
    told = []
    for disk in found:
        key = "disk_worn_root" if disk.kind == "nvme" and disk.name not in noted else "disk_worn"
        key = f"disk_{disk.reason}" if disk.worn is None else key
        told.append(texts(key, name=disk.name, worn=f"{disk.worn or 0:.0f}"))
    silent = any(disk.kind == "nvme" and disk.worn is None for disk in found)
    return Check("check_disks", "warn" if silent else "ok", "; ".join(told), texts("disks_fix"))


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
