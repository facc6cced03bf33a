"""Makes a folder to install from without a network: the code, and the locked packages as wheels for each Python and
processor. The lock's hashes are checked twice, here and where it is installed."""

from __future__ import annotations

import ast
import hashlib
import json
import operator
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from installer import python_archive
from installer.carried_python import BUNDLE, FOLDER, Entry, name_of
from installer.plan import AGENT, HUB, SOURCE
from installer.release import below
from installer.steps import InstallError, Report, Step, attempt, last_lines, write
from protocol.version import PRODUCT_VERSION

PYTHONS: Final = ("3.10", "3.11", "3.12", "3.13")
PROCESSORS: Final = ("aarch64", "x86_64")
NEWEST_GLIBC: Final = 31
"""2.31 of Ubuntu 20.04, the oldest system; wheels that need a newer one are not taken."""
PIP: Final = "pip==25.3"
_SUMS: Final = "SHA256SUMS"


def make(
    folder: Path,
    pythons: Sequence[str] | None,
    processors: Sequence[str] | None,
    circle: str,
    report: Report,
    archives: Sequence[Path] = (),
) -> dict[str, object]:
    """Beside `folder` and then in its place; one that is there has to be a bundle. `archives`: of Pythons that it
    carries. Raises InstallError."""
    if folder.exists() and not (folder / BUNDLE).exists():
        raise InstallError("no_bundle", 3, folder=folder)
    pythons, processors = pythons or PYTHONS, processors or PROCESSORS
    carried = carry(archives, pythons, processors)
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    wheels = new / "wheels"
    wheels.mkdir(parents=True)
    _copy_code(new, circle)
    pip = _pip()
    report(Step("step.pip", {"what": PIP}, bool, bool))
    _fetch(pip, wheels, [PIP], [])
    for python in pythons:
        for processor in processors:
            report(Step("step.wheels", {"python": python, "processor": processor}, bool, bool))
            lock = (SOURCE / "locks" / f"{circle}-{python}.txt").read_text(encoding="utf-8")
            _fetch(pip, wheels, requirements(lock, environment(python, processor)), target(python, processor))
    for archive, each in zip(archives, carried, strict=True):
        report(Step("step.carried", {"version": each["version"], "processor": each["processor"]}, bool, bool))
        (new / FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(archive, new / FOLDER / each["file"])
    facts = {
        "version": PRODUCT_VERSION, "circle": circle, "pythons": [*pythons], "processors": [*processors],
        "carried": carried,
    }  # fmt: skip
    write_sums(new)
    write(new / BUNDLE, json.dumps(facts).encode(), 0o644)
    shutil.rmtree(folder, ignore_errors=True)
    new.replace(folder)
    size = sum(path.stat().st_size for path in below(folder))
    return {"megabytes": f"{size / 1e6:.0f}", "pythons": ", ".join(pythons), "processors": ", ".join(processors)}


def carry(archives: Sequence[Path], pythons: Sequence[str], processors: Sequence[str]) -> list[Entry]:
    """One Python for a processor, of a version that the bundle has wheels for. Raises InstallError."""
    found: list[Entry] = []
    for path in archives:
        entry = python_archive.entry(path)
        version = ".".join(entry["version"].split(".")[:2])
        if version not in pythons or entry["processor"] not in processors:
            raise InstallError("python_wheels", 3, path=path, python=version, processor=entry["processor"])
        if entry["glibc"] > NEWEST_GLIBC:
            raise InstallError("python_glibc", 3, path=path, needs=entry["glibc"], oldest=NEWEST_GLIBC)
        if any(entry["processor"] == other["processor"] for other in found):
            raise InstallError("python_twice", 3, path=path, processor=entry["processor"])
        found.append({**entry, "file": f"{name_of(entry)}-{entry['processor']}"})
    return found


def _copy_code(new: Path, circle: str) -> None:
    for part in (HUB if circle == "hub" else AGENT).parts:
        found = SOURCE / part
        for path in below(found) if found.is_dir() else [found]:
            copy = new / path.relative_to(SOURCE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def write_sums(folder: Path) -> None:
    """For `sha256sum --check` after the copy to a stick."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}" for path in below(folder)]
    (folder / _SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pip() -> list[str]:
    """Of whichever Python here has one."""
    for python in (sys.executable, str(SOURCE / ".venv" / "bin" / "python"), "python3"):
        if shutil.which(python) and attempt(python, "-m", "pip", "--version").returncode == 0:
            return [python, "-m", "pip"]
    raise InstallError("no_pip", 3)


def _fetch(pip: list[str], wheels: Path, wanted: list[str], target: list[str]) -> None:
    listed = wheels.parent / ".wanted.txt"
    listed.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    got = attempt(
        *pip, "download", *options, *target, "--dest", str(wheels), "--requirement", str(listed), timeout=1800.0
    )
    listed.unlink()
    if got.returncode:
        raise InstallError("no_wheels", 1, detail=last_lines(got.stdout))


def target(python: str, processor: str) -> list[str]:
    old = [f"manylinux{name}_{processor}" for name in ("1", "2010", "2014")]
    platforms = [*old, *(f"manylinux_2_{minor}_{processor}" for minor in range(5, NEWEST_GLIBC + 1))]
    return ["--implementation", "cp", "--python-version", python, *(f"--platform={each}" for each in platforms)]


def environment(python: str, processor: str) -> dict[str, str]:
    """What a lock's markers ask for."""
    return {
        "python_version": python, "python_full_version": f"{python}.99", "platform_machine": processor,
        "platform_system": "Linux", "sys_platform": "linux", "os_name": "posix", "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }  # fmt: skip


def requirements(lock: str, environment: Mapping[str, str]) -> list[str]:
    """The pins of a lock that an environment needs, with their hashes and without markers: pip would read those for the
    Python that runs it."""
    found = []
    for block in re.sub(r"\\\n", " ", lock).splitlines():
        pin, _, rest = block.partition(" --hash")
        name, _, marker = pin.partition(";")
        if name.strip() and not name.startswith("#") and (not marker.strip() or applies(marker, environment)):
            found.append(f"{name.strip()} --hash{rest}")
    return found


_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip


def applies(marker: str, environment: Mapping[str, str]) -> bool:
    """Of the grammar of markers, which is a part of Python's; what no lock of ours has is refused."""
    return _holds(ast.parse(marker.strip(), mode="eval").body, environment)


def _holds(node: ast.expr, environment: Mapping[str, str]) -> bool:
    if isinstance(node, ast.BoolOp):
        held = [_holds(each, environment) for each in node.values]
        return all(held) if isinstance(node.op, ast.And) else any(held)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.left, ast.Name):
        (wanted,), (compare,) = node.comparators, node.ops
        if isinstance(wanted, ast.Constant) and type(compare) in _COMPARE and node.left.id in environment:
            is_version = "python" in node.left.id and "version" in node.left.id
            both = environment[node.left.id], str(wanted.value)
            return bool(_COMPARE[type(compare)](*(map(_numbers, both) if is_version else both)))
    raise InstallError("odd_marker", 1, marker=ast.unparse(node))


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
