"""systemd: whether it runs here, units read again, a service started on the new release, and back to the former one
when it does not report ready."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from installer import release
from installer.steps import InstallError, Report, Step, attempt, carry_out, last_lines, link, read_link

UNITS: Final = Path("/etc/systemd/system")
WANTED_BY: Final = {
    ".service": "multi-user.target",
    ".path": "multi-user.target",
    ".socket": "sockets.target",
    ".timer": "timers.target",
}
_STAMPS: Final = Path("/var/lib/systemd/timers")
_MOVING: Final = frozenset({"active", "activating", "deactivating", "reloading"})
READY_S: Final = 330.0
"""systemd's own time limit for a start ends it before."""
BACK_OFF_SINCE: Final = 254
"""systemd's version that knows RestartSteps."""
SINCE: Final = {
    "ProtectProc=": (247, ""),
    "ProcSubset=": (247, ""),
    "RestrictAddressFamilies=none": (249, "RestrictAddressFamilies=AF_UNIX\n"),
}
"""How lines of our units begin: systemd's version that knows them, and what an older one gets instead. It would leave
out the whole line. 245 of Ubuntu 20.04 is the oldest."""


def runs() -> bool:
    """Not in a container's or an image's root, where the next boot starts what is enabled."""
    return Path("/run/systemd/system").is_dir()


def fitted(units: Mapping[str, str]) -> dict[str, str]:
    """Without what this computer's systemd does not know, and with restarts that slow down if it can."""
    version = _version()
    back_off = "RestartSec=2\nRestartSteps=6\nRestartMaxDelaySec=60" if version >= BACK_OFF_SINCE else "RestartSec=5"
    older = {begin: instead for begin, (since, instead) in SINCE.items() if 0 < version < since}

    def fit(line: str) -> str:
        return next((instead for begin, instead in older.items() if line.startswith(begin)), line)

    return {
        name: "".join(map(fit, text.splitlines(keepends=True))).replace("@BACK_OFF@", back_off)
        for name, text in units.items()
    }


def _version() -> int:
    """0: no systemd is here."""
    found = re.match(r"systemd (\d+)", attempt("systemctl", "--version").stdout) if shutil.which("systemctl") else None
    return int(found[1]) if found else 0


def linked(home: Path, names: list[str]) -> list[Step]:
    """Each unit is a link into the release that `current` names, so that code and units change in one moment."""
    return [link(UNITS / name, str(home / "current" / "units" / name), "step.unit") for name in names]


def enabled(names: list[str]) -> list[Step]:
    return [link(_wants(name), f"../{name}", "step.enable") for name in names]


def _wants(name: str) -> Path:
    return UNITS / f"{WANTED_BY[Path(name).suffix]}.wants" / name


def wants_folders(names: list[str]) -> list[Path]:
    return sorted({_wants(name).parent for name in names})


def traces(names: list[str]) -> list[Path]:
    """All that `linked` and `enabled` make, and what systemd notes of a timer."""
    made = [path for name in names for path in (*UNITS.glob(f"*.wants/{name}"), UNITS / name)]
    return made + [_STAMPS / f"stamp-{name}" for name in names if name.endswith(".timer")]


def reload(names: list[str]) -> Step:
    return Step(
        "step.reload", {}, lambda: not runs() or not any(map(_is_stale, names)), lambda: _systemctl("daemon-reload")
    )


def _is_stale(name: str) -> bool:
    if "@" in name:
        return False
    known = facts(name, "NeedDaemonReload", "LoadState")
    return known["NeedDaemonReload"] == "yes" or (known["LoadState"] == "loaded") != (UNITS / name).exists()


def facts(name: str, *properties: str) -> dict[str, str]:
    """systemd's words for a unit; empty where it has none."""
    shown = attempt("systemctl", "show", *(f"--property={each}" for each in properties), name).stdout
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return {each: found.get(each, "") for each in properties}


def stopped(name: str) -> Step:
    return Step("step.stop", {"name": name}, lambda: not _is_active(name), lambda: _systemctl("stop", name))


def started(name: str) -> Step:
    """A socket, timer or path."""
    return Step("step.start", {"name": name}, lambda: not runs() or _is_active(name), lambda: _systemctl("start", name))


def _is_active(name: str) -> bool:
    if not runs():
        return False
    words = attempt("systemctl", "is-active", name).stdout.split()  # a line for each that a pattern names
    return not _MOVING.isdisjoint(words)


def _systemctl(*words: str) -> None:
    result = attempt("systemctl", *words, timeout=READY_S)
    if result.returncode:
        raise InstallError("systemctl_failed", 1, words=" ".join(words), detail=last_lines(result.stdout))


def on_release(home: Path, name: str, wanted: str = "") -> Step:
    """Of a service; done when it runs from the release `wanted`, else from the one that `current` names."""

    def is_done() -> bool:
        return not runs() or running_release(home, name) == (wanted or release.current(home))

    values = {"name": name, "release": wanted or release.current(home)}
    return Step("step.restart", values, is_done, lambda: _systemctl("restart", name))


def running_release(home: Path, name: str) -> str:
    """By the folder its process works in; empty: it does not run, or never reported ready."""
    known = facts(name, "MainPID", "ActiveState")
    if known["ActiveState"] != "active":
        return ""
    folder = Path(read_link(Path(f"/proc/{known['MainPID']}/cwd")))
    return folder.name if folder.parent == home / "releases" else ""


def exchange(home: Path, name: str, units: list[str], report: Report) -> None:
    """Restarts the service on the current release; goes back to the former one if that fails. Raises InstallError."""
    wanted = release.current(home)
    try:
        carry_out([reload(units), on_release(home, name)], report, dry_run=False)
    except InstallError as error:
        journal = attempt("journalctl", "--unit", name, "--lines", "15", "--no-pager", "--output", "cat").stdout
        detail = last_lines(journal, 15)
        before = release.former(home, wanted)
        if not before:
            raise InstallError("not_ready", 1, name=name, release=wanted, detail=detail) from error
        back = [link(home / "current", f"releases/{before}", "step.back"), reload(units), on_release(home, name)]
        carry_out(back, report, dry_run=False)
        (home / "releases" / wanted / release.MARK).unlink(missing_ok=True)
        shutil.rmtree(home / "releases" / wanted, ignore_errors=True)
        raise InstallError("went_back", 1, name=name, release=wanted, before=before, detail=detail) from error
