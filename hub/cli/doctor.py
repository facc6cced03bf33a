"""`doctor`: numbered checks of this computer and the hub's data, each with its fix. Writes nothing but a schema.
`--version`: which MyRVM, Python, plotly.js and commit this is."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from certs import expiry
from certs.bundle import AuthorityFileError, read_bundle
from certs.secret_file import LOOSE
from dashboard import formats
from db.queries import machines, users
from hub.cli import output
from hub.cli.data import CHECKOUT, now, open_data, settings_of, sqlite_file
from hub.cli.output import CliError, Exit, language, sentence
from hub.kernel.objects.place import ObjectsError, ObjectsRefusedError
from hub.kernel.objects.store import open_objects
from hub.server import process
from hub.server.tls import HubTls, pinned_by
from hub.settings import LAST_BACKUP, Settings
from protocol.version import PRODUCT_VERSION

LEAST_FREE_BYTES = 500_000_000
EARLIEST_YEAR = 2026
NAMED = 10
BACKUP_DAYS = 7
"""An older backup of the hub is a warning."""


class CheckResult(NamedTuple):
    verdict: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""


def check_python() -> CheckResult:
    return CheckResult("ok", f"{platform.python_version()} ({sys.executable})")


def check_environment() -> CheckResult:
    if not (Path(sys.prefix) / ".stamp").exists():
        return CheckResult("ok", sentence("doctor.environment.own"))
    stamp = json.loads((Path(sys.prefix) / ".stamp").read_text(encoding="utf-8"))
    return CheckResult("ok", f"{sys.prefix} ({stamp['circle']}, Python {stamp['python']})")


def check_data_folder(settings: Settings) -> CheckResult:
    return _check_folder(settings.data_dir)


def _check_folder(folder: Path) -> CheckResult:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        why = os.strerror(13)
        return CheckResult("fail", sentence("data.unwritable", path=existing, why=why), sentence("data.unwritable.fix"))
    free = shutil.disk_usage(existing).free
    shown = f"{formats.number(free / 1e9, language(), 1)} GB"
    if free < LEAST_FREE_BYTES:
        return CheckResult(
            "fail", sentence("doctor.data.low", free=shown, path=folder), sentence("doctor.data.low.fix")
        )
    return CheckResult("ok", sentence("doctor.data.detail", free=shown, path=folder))


async def check_objects(settings: Settings) -> CheckResult:
    place = settings.s3
    if place is None:
        return _check_folder(settings.objects_dir)
    where = f"{place.bucket}/{place.prefix} ({place.endpoint})"
    try:
        await open_objects(settings).probe()
    except ObjectsRefusedError as refused:
        shown = sentence("doctor.objects.refused", where=where, code=refused.code)
        return CheckResult("fail", shown, sentence("doctor.objects.refused.fix"))
    except ObjectsError as error:
        return CheckResult(
            "fail", sentence("doctor.objects.away", where=where, why=error), sentence("doctor.objects.away.fix")
        )
    return CheckResult("ok", where)


def check_secret_files(settings: Settings) -> CheckResult:
    """Secrets that other users of this computer could read."""
    candidates = [settings.tls_key, settings.admin_password_file, sqlite_file(settings)]
    candidates += sorted(settings.data_dir.glob("*.json"))
    exposed = [str(path) for path in candidates if path is not None and path.exists() and _reachable(path)]
    if exposed:
        paths = ", ".join(exposed)
        return CheckResult("warn", sentence("doctor.secrets.open", paths=paths), f"chmod 600 {' '.join(exposed)}")
    return CheckResult("ok", "")


def _reachable(path: Path) -> bool:
    """Not inside a folder that others may not enter."""
    mode = path.stat().st_mode
    return stat.S_ISREG(mode) and bool(mode & LOOSE) and bool(path.parent.stat().st_mode & 0o011)


async def check_database(settings: Settings) -> CheckResult:
    async with open_data(settings, create=False) as opened:
        fleet, people = await machines.all_machines(opened.store), await users.all_users(opened.store)
    counted = {
        "machines": sentence("count.machines", count=len(fleet)),
        "people": sentence("count.people", count=len(people)),
    }
    return CheckResult("ok", sentence("doctor.database.detail", dialect=opened.store.dialect, **counted))


async def check_administrator(settings: Settings) -> CheckResult:
    async with open_data(settings, create=False) as opened:
        people = await users.all_users(opened.store)
    for person in people:
        if person.role == "admin" and person.disabled_at is None and person.password_hash:
            return CheckResult("ok", person.email)
    return CheckResult("warn", sentence("doctor.administrator.none"), sentence("doctor.administrator.fix"))


async def check_authority(settings: Settings, authority: Path) -> CheckResult:
    """Which machines do not trust what the hub's own file has now: the next step of an exchange waits for them."""
    try:
        wanted = list(read_bundle(authority).fingerprints)
    except AuthorityFileError as wrong:
        return CheckResult("fail", str(wrong), sentence("doctor.authority.fix"))
    async with open_data(settings, create=False) as opened:
        fleet = await machines.all_machines(opened.store)
    pinned = {row.name: has for row in fleet if (has := pinned_by(row.hardware)) is not None}
    missing = [name for name, has in pinned.items() if has != wanted]
    counts = {"current": len(pinned) - len(missing), "pinned": len(pinned)}
    if not missing:
        return CheckResult("ok", sentence("doctor.authority.detail", **counts))
    named = ", ".join(missing[:NAMED] + (["..."] if len(missing) > NAMED else []))
    return CheckResult(
        "warn", sentence("doctor.authority.missing", names=named, **counts), sentence("doctor.authority.wait")
    )


def check_backup(settings: Settings) -> CheckResult:
    try:
        noted = json.loads((settings.data_dir / LAST_BACKUP).read_text(encoding="utf-8"))
        file, made_at = str(noted["file"]), datetime.fromisoformat(str(noted["made_at"]).replace("Z", "+00:00"))
    except (OSError, ValueError, KeyError, TypeError):
        return CheckResult("warn", sentence("doctor.backup.none"), sentence("doctor.backup.fix"))
    days = (now() - made_at).days
    shown = sentence("doctor.backup.detail", file=file, made_at=f"{made_at:%Y-%m-%d %H:%M} UTC")
    return CheckResult("warn" if days > BACKUP_DAYS else "ok", shown, sentence("doctor.backup.fix"))


def check_port(settings: Settings) -> CheckResult:
    with contextlib.suppress(process.CannotListenError):
        process.listen(settings.host, settings.port).close()
        return CheckResult("ok", sentence("doctor.port.free", port=settings.port))
    if _hub_answers(settings):
        return CheckResult("ok", sentence("doctor.port.hub", port=settings.port))
    return CheckResult("fail", sentence("doctor.port.taken", port=settings.port), sentence("port.taken.fix"))


def _hub_answers(settings: Settings) -> bool:
    host = settings.host if settings.host not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - a look-up
    if settings.tls:
        with contextlib.suppress(OSError), socket.create_connection((host, settings.port), timeout=3):
            return True
        return False
    url = f"http://[{host}]" if ":" in host else f"http://{host}"
    try:
        with urllib.request.urlopen(f"{url}:{settings.port}/api/health", timeout=3) as answer:  # noqa: S310 - http only
            return bool(json.load(answer)["success"])
    except (OSError, urllib.error.URLError, ValueError, KeyError, TypeError):
        return False


def check_tls(settings: Settings) -> CheckResult:
    """The files that the hub would start with, and how long each counts."""
    if not settings.tls:
        return CheckResult("ok", sentence("doctor.tls.proxy" if settings.behind_proxy else "doctor.tls.none"))
    try:
        own = HubTls(settings, now)
    except OSError as wrong:
        return CheckResult("fail", str(wrong), sentence("doctor.tls.wrong.fix"))
    if not own.ends:
        return CheckResult("ok", "")
    shown = [
        sentence(f"doctor.tls.{part}", until=f"{ends:%Y-%m-%d}", count=expiry.days_left(ends, now()))
        for part, ends in own.ends.items()
    ]
    found = own.warnings(now())
    fixes = dict.fromkeys(one.renew or sentence(f"doctor.tls.{one.part}.fix") for one in found)
    has_expired = any(one.code.endswith("_expired") for one in found)
    return CheckResult("fail" if has_expired else "warn" if found else "ok", "; ".join(shown), "; ".join(fixes))


def check_public_url(settings: Settings) -> CheckResult:
    """Behind a proxy only the Host header shows how browsers reach the hub."""
    if settings.behind_proxy and not settings.public_url:
        return CheckResult("warn", sentence("doctor.public_url.unset"), sentence("doctor.public_url.fix"))
    return CheckResult("ok", settings.public_address or "")


def check_plotly() -> CheckResult:
    shown, small = plotly_js()
    if shown is None:
        return CheckResult("fail", "", sentence("doctor.environment.fix"))
    if not small:
        return CheckResult("warn", f"{shown}, {sentence('doctor.plotly.big')}", sentence("doctor.plotly.fix"))
    return CheckResult("ok", shown)


def check_clock() -> CheckResult:
    moment = f"{now():%Y-%m-%d %H:%M:%S}"
    if now().year < EARLIEST_YEAR:
        return CheckResult("fail", sentence("doctor.clock.wrong", now=moment), sentence("doctor.clock.fix"))
    return CheckResult("ok", sentence("doctor.clock.detail", now=moment))


Verdict = Literal["ok", "warn", "fail"]
COLOURS = {"ok": "32", "warn": "33", "fail": "31"}


class Finding(NamedTuple):
    """`name` is stable English; `detail` and `fix` are for people and hold no secret."""

    name: str
    verdict: Verdict
    detail: str
    fix: str


def examine(wanted: argparse.Namespace) -> int:
    """0 when nothing failed (warnings are none), else 1."""
    findings = []
    for number, finding in enumerate(_findings(wanted), start=1):
        findings.append(finding)
        if not wanted.json:
            _show(number, finding)
    failed = any(finding.verdict == "fail" for finding in findings)
    report = {"ok": not failed, "checks": [finding._asdict() for finding in findings]}
    if wanted.json:
        output.result_json(report)
    if wanted.report:
        _write_report(Path(wanted.report), report)
    return int(Exit.FAILED if failed else Exit.OK)


def _write_report(path: Path, report: dict[str, object]) -> None:
    facts = {"myrvm": PRODUCT_VERSION, "git": git_id(), "platform": sys.platform}
    try:
        path.write_text(json.dumps(facts | report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        shown = sentence("hub_backup.unusable", path=path, why=error.strerror)
        raise CliError(Exit.CONFIGURATION, "file_unusable", shown, sentence("hub_backup.unusable.fix")) from error


def _findings(wanted: argparse.Namespace) -> Iterator[Finding]:
    yield _finding("python", check_python)
    yield _finding("environment", check_environment)
    try:
        settings = settings_of(wanted)
    except CliError as error:
        yield Finding("settings", "fail", error.message, error.hint)
        return
    yield Finding("settings", "warn" if settings.warnings else "ok", "; ".join(settings.warnings), "")
    on_settings: dict[str, Callable[[Settings], CheckResult]] = {
        "data": check_data_folder, "objects": lambda s: asyncio.run(check_objects(s)), "secrets": check_secret_files,
        "database": lambda s: asyncio.run(check_database(s)),
        "administrator": lambda s: asyncio.run(check_administrator(s)), "backup": check_backup, "port": check_port,
        "public_url": check_public_url, "tls": check_tls,
    }  # fmt: skip
    if (authority := settings.tls_authority) is not None:
        on_settings["authority"] = lambda s: asyncio.run(check_authority(s, authority))
    failed = set()
    for name, check in on_settings.items():
        if name in ("administrator", "authority") and "database" in failed:
            continue  # the same answer twice
        found = _finding(name, check, settings)
        failed |= {name} if found.verdict == "fail" else set()
        yield found
    yield _finding("plotly", check_plotly)
    yield _finding("clock", check_clock)


def _finding(name: str, check: Callable[..., CheckResult], *given: Settings) -> Finding:
    try:
        found = check(*given)
    except CliError as error:
        return Finding(name, "fail", error.message, error.hint)
    except OSError as error:
        return Finding(name, "fail", str(error), "")
    return Finding(name, found.verdict, found.detail, found.fix)


def _show(number: int, finding: Finding) -> None:
    name = sentence(f"doctor.{finding.name}")
    word = output.paint(sentence(f"doctor.{finding.verdict}"), COLOURS[finding.verdict], sys.stdout)
    output.result(f"{number:2}. {name} {'.' * (22 - len(name))} {word}  {output.clean(finding.detail)}".rstrip())
    if finding.fix and finding.verdict != "ok":
        output.result(f"    {sentence('fix')}: {finding.fix}")


def show_version(wanted: argparse.Namespace) -> int:
    facts = {
        "myrvm": PRODUCT_VERSION, "python": platform.python_version(), "plotly.js": plotly_js()[0], "git": git_id(),
    }  # fmt: skip
    output.answer(wanted.json, facts, "\n".join(f"{name} {value}" for name, value in facts.items() if value))
    return int(Exit.OK)


def plotly_js() -> tuple[str | None, bool]:
    """Its version, and whether it is npm's small one."""
    small = CHECKOUT / "node_modules" / "plotly.js-basic-dist-min"
    if (small / "plotly-basic.min.js").is_file():
        return str(json.loads((small / "package.json").read_text(encoding="utf-8"))["version"]), True
    found = importlib.util.find_spec("plotly")
    if found is None or found.origin is None:
        return None, False
    with (Path(found.origin).parent / "package_data" / "plotly.min.js").open(encoding="utf-8") as file:
        named = re.search(r"plotly\.js v([\d.]+)", file.read(500))
    return (named[1] if named else None), False


def git_id() -> str | None:
    """None: no checkout or no git."""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=5)  # noqa: S603 - no input
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
