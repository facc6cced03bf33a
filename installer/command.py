"""The installed commands `myrvm-agent` and `myrvm-hub`: a verb of the current release with the service's settings, as
its user, so that what it writes the service may read."""

from __future__ import annotations

import grp
import os
import pwd
import sys
from collections.abc import Mapping
from typing import Final

from installer.plan import AGENT, HUB, Product

AS_ROOT: Final = ("install", "uninstall", "enrol")
"""Verbs that write where only root may."""


def agent() -> None:
    words = sys.argv[1:]
    settings = (
        [] if words[:1] and words[0] in ("install", "uninstall") else ["--config", str(AGENT.settings / "machine.json")]
    )
    _become_and_run(AGENT, "run_device.py", [*settings, *words], words, {"RVM_STATE_DIR": str(AGENT.state)})


def hub() -> None:
    words, file = sys.argv[1:], HUB.settings / "hub.env"
    found = parse(file.read_text(encoding="utf-8")) if os.access(file, os.R_OK) else {}
    _become_and_run(HUB, "run_hub.py", words, words, {"RVM_DATA_DIR": str(HUB.state), **found})


def parse(text: str) -> dict[str, str]:
    """As systemd reads what `render` writes."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().removeprefix('"').removesuffix('"') for name, value in pairs}


def _become_and_run(product: Product, door: str, argv: list[str], words: list[str], more: Mapping[str, str]) -> None:
    folder = product.home / "current"
    environ = {**os.environ, "RVM_BOOTSTRAP": "off", **more}
    if os.geteuid() == 0 and not (words and words[0] in AS_ROOT):
        _become(product.user)
        environ |= {"HOME": str(product.state), "USER": product.user, "LOGNAME": product.user}
    python = str(folder / ".venv" / "bin" / "python")
    os.execve(python, [python, str(folder / door), *argv], environ)  # noqa: S606 - words of the caller, no shell


def _become(name: str) -> None:
    entry = pwd.getpwnam(name)
    os.setgroups([each.gr_gid for each in grp.getgrall() if name in each.gr_mem])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.umask(0o077)
