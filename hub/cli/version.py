"""`--version`: which MyRVM, Python, plotly.js and commit this is."""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import re
import subprocess
from pathlib import Path

from hub.cli import output
from hub.cli.output import Exit
from protocol.version import PRODUCT_VERSION

CHECKOUT = Path(__file__).resolve().parents[2]


def show(wanted: argparse.Namespace) -> int:
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
