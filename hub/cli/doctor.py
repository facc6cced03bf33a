"""`doctor`: numbered checks of this computer and the hub's data, each with the fix for what is wrong."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from hub.cli import doctor_checks as checks
from hub.cli import output, version
from hub.cli.data_door import settings_of
from hub.cli.exit_codes import CliError, Exit
from hub.cli.language import say
from hub.settings import Settings
from protocol.version import PRODUCT_VERSION

Verdict = Literal["ok", "warn", "fail"]
COLOURS = {"ok": "32", "warn": "33", "fail": "31"}


class Finding(NamedTuple):
    """`name` is stable English; `detail` and `fix` are for people and hold no secret."""

    name: str
    verdict: Verdict
    detail: str
    fix: str


def examine(wanted: argparse.Namespace) -> int:
    """Exit code 0 when nothing failed (warnings are no failure), else 1."""
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
        facts = {"myrvm": PRODUCT_VERSION, "git": version.git_id(), "platform": sys.platform}
        Path(wanted.report).write_text(json.dumps(facts | report, indent=2) + "\n", encoding="utf-8")
    return int(Exit.FAILED if failed else Exit.OK)


def _findings(wanted: argparse.Namespace) -> Iterator[Finding]:
    yield _finding("python", checks.check_python)
    yield _finding("environment", checks.check_environment)
    try:
        settings = settings_of(wanted)
    except CliError as error:
        yield Finding("settings", "fail", error.message, error.hint)
        return
    yield Finding("settings", "warn" if settings.warnings else "ok", "; ".join(settings.warnings), "")
    on_settings: dict[str, Callable[[Settings], checks.Found]] = {
        "data": checks.check_data_folder,
        "secrets": checks.check_secret_files,
        "database": lambda s: asyncio.run(checks.check_database(s)),
        "administrator": lambda s: asyncio.run(checks.check_administrator(s)),
        "port": checks.check_port,
        "public_url": checks.check_public_url,
    }
    failed = set()
    for name, check in on_settings.items():
        if name == "administrator" and "database" in failed:
            continue  # the same answer twice
        found = _finding(name, check, settings)
        failed |= {name} if found.verdict == "fail" else set()
        yield found
    yield _finding("plotly", checks.check_plotly)
    yield _finding("clock", checks.check_clock)


def _finding(name: str, check: Callable[..., checks.Found], *given: Settings) -> Finding:
    try:
        found = check(*given)
    except CliError as error:
        return Finding(name, "fail", error.message, error.hint)
    except OSError as error:
        return Finding(name, "fail", str(error), "")
    return Finding(name, found.verdict, found.detail, found.fix)


def _show(number: int, finding: Finding) -> None:
    name = say(f"doctor.{finding.name}")
    word = output.paint(say(f"doctor.{finding.verdict}"), COLOURS[finding.verdict], sys.stdout)
    output.result(f"{number:2}. {name} {'.' * (22 - len(name))} {word}  {output.clean(finding.detail)}".rstrip())
    if finding.fix and finding.verdict != "ok":
        output.result(f"    {say('fix')}: {finding.fix}")
