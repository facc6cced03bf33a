"""Releases: `releases/VERSION+HASH` with the code, its own Python environment and its units, finished by a mark that is
written last. The hash is of all that goes in, so that what is there already is not made again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from installer import carried_python
from installer.steps import InstallError, Step, attempt, flush, last_lines, link, read_link, write
from protocol.version import PRODUCT_VERSION

MARK: Final = ".complete"
KEPT: Final = 2
"""Releases: this one, and the one to go back to."""
_LEFT_OUT: Final = frozenset({"__pycache__", "tests"})


@dataclass(frozen=True)
class Release:
    """Of one checkout or bundle. `circle`: of packages, as in locks/. `python`: whose environment it gets."""

    home: Path
    source: Path
    circle: str
    parts: Sequence[str]
    units: Mapping[str, str]
    wheels: Path | None
    python: str

    @cached_property
    def name(self) -> str:
        digest = hashlib.sha256(f"{sys.version_info[:2]} {self.python}".encode())
        for path in self._files():
            digest.update(f"\0{path.relative_to(self.source)}\0".encode() + path.read_bytes())
        for name, text in sorted(self.units.items()):
            digest.update(f"\0{name}\0{text}".encode())
        return f"{PRODUCT_VERSION}+{digest.hexdigest()[:8]}"

    @property
    def folder(self) -> Path:
        return self.home / "releases" / self.name

    def step(self) -> Step:
        folder = self.folder
        return Step("step.release", {"path": folder}, (folder / MARK).exists, lambda: self._make(folder))

    def link(self) -> Step:
        return link(self.home / "current", f"releases/{self.name}", "step.current")

    def _files(self) -> Iterator[Path]:
        for part in self.parts:
            found = self.source / part
            yield from below(found) if found.is_dir() else [found]

    def _make(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for path in self._files():
            copy = folder / path.relative_to(self.source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        (folder / "units").mkdir()
        for name, text in self.units.items():
            (folder / "units" / name).write_text(text, encoding="utf-8")
        self._make_environment(folder)
        _open_to_read(folder)
        os.sync()
        write(folder / MARK, json.dumps({"circle": self.circle, "python": self.python}).encode(), 0o644)

    def _make_environment(self, folder: Path) -> None:
        """By the release's own bootstrap.py."""
        wheels = ["--wheels", str(self.wheels)] if self.wheels is not None else []
        made = attempt(self.python, "-I", str(folder / "bootstrap.py"), self.circle, *wheels, timeout=1800.0)
        if made.returncode:
            raise InstallError("environment_failed", 3, detail=last_lines(made.stdout))
        python = str(folder / ".venv" / "bin" / "python")
        attempt(python, "-I", "-m", "compileall", "-q", str(folder))


def below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in _LEFT_OUT:
            yield from below(path)
        elif path.is_file() and path.suffix != ".pyc":
            yield path


def _open_to_read(folder: Path) -> None:
    """Everybody may read it and root alone change it, whatever root's umask is."""
    for place, _, names in os.walk(folder):
        Path(place).chmod(0o755)
        for name in names:
            path = Path(place, name)
            if not path.is_symlink():
                runs = path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if runs else 0o644)


def former(home: Path, name: str) -> str:
    """The newest whole release beside `name`; empty: none."""
    others = [path for path in complete(home) if path.name != name]
    return max(others, key=lambda path: (path / MARK).stat().st_mtime_ns).name if others else ""


def complete(home: Path) -> list[Path]:
    return [path.parent for path in sorted((home / "releases").glob(f"*/{MARK}"))]


def current(home: Path) -> str:
    return Path(read_link(home / "current")).name


def retired(home: Path, name: str) -> list[Step]:
    return [retire(home, name), retire_pythons(home)]


def retire(home: Path, name: str) -> Step:
    """Older releases, and those that were begun and left."""

    def old() -> list[Path]:
        kept = {name, former(home, name)}
        found = (home / "releases").iterdir() if (home / "releases").is_dir() else ()
        return sorted(path for path in found if path.name not in kept)

    def remove() -> None:
        for path in old():
            (path / MARK).unlink(missing_ok=True)
            shutil.rmtree(path)
        flush(home / "releases")

    return Step("step.retire", {"path": home / "releases"}, lambda: not old(), remove)


def base_python() -> str:
    """Not that of an environment: releases must not stand on a checkout's."""
    return str(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve())


def check_python(python: str) -> None:
    """A service's user has to reach it. Raises InstallError."""
    there = [place for place in Path(python).parents if place.exists()]
    closed = next((place for place in there if not place.stat().st_mode & stat.S_IXOTH), None)
    if closed is not None:
        raise InstallError("python_closed", 3, python=python, folder=closed)


def carried(home: Path, source: Path) -> tuple[str, list[Step]]:
    """What releases stand on: this Python, or the place below `home` that the bundle's own one gets, and its step."""
    running = Path(base_python()).parent.parent
    entry = carried_python.marked(running)
    if not entry:
        return base_python(), []
    folder = home / "python" / carried_python.name_of(entry)
    archive = carried_python.archive_of(source, entry)
    if running != folder and not archive.exists():
        raise InstallError("python_of_another", 3, python=running)

    def make() -> None:
        try:
            carried_python.unpack(archive, entry, folder, stays=True)
        except carried_python.CarriedPythonError as error:
            raise InstallError(error.code, 3, **error.values) from error

    values = {"path": folder, "version": entry["version"]}
    is_done = (folder / carried_python.MARK).exists
    return str(carried_python.program(folder, entry)), [Step("step.python", values, is_done, make)]


def retire_pythons(home: Path) -> Step:
    """Carried Pythons that no release stands on, and those that were begun and left."""
    top = home / "python"

    def old() -> list[Path]:
        used = {Path(json.loads((path / MARK).read_text())["python"]).parent.parent for path in complete(home)}
        return sorted(set(top.iterdir()) - used) if top.is_dir() else []

    def remove() -> None:
        for path in old():
            carried_python.remove(path)

    return Step("step.retire_python", {"path": top}, lambda: not old(), remove)
