"""Steps of an installation: each tells what it changes, whether that is done already, and does it atomically or so that
it can be done again."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = ("root", "root")
NO_SHELL: Final = "/usr/sbin/nologin"
ADMINISTRATORS: Final = ("sudo", "admin", "wheel", "root")
"""Groups that may become root."""

Owner = tuple[str, str]
"""User and group."""


class InstallError(Exception):
    """`code` and `values` are a sentence of locales/; CODE.fix tells what to do."""

    def __init__(self, code: str, exit_code: int, **values: object) -> None:
        super().__init__(f"{code}: {values}")
        self.code = code
        self.exit_code = exit_code
        self.values = values


class Step(NamedTuple):
    """`key` and `values` are its sentence."""

    key: str
    values: Mapping[str, object]
    is_done: Callable[[], bool]
    do: Callable[[], object]


def carry_out(steps: Iterable[Step], report: Callable[[Step], None], *, dry_run: bool) -> int:
    """How many steps there were to do."""
    count = 0
    for step in steps:
        if not step.is_done():
            report(step)
            count += 1
            if not dry_run:
                step.do()
    return count


def group(name: str) -> Step:
    return Step(
        "step.group", {"name": name}, lambda: _exists(grp.getgrnam, name), lambda: run("groupadd", "--system", name)
    )


def user(name: str, home: Path) -> Step:
    """Without a shell; refuses one that may become root."""
    return Step("step.user", {"name": name}, lambda: _is_plain_user(name), lambda: _make_user(name, home))


def _is_plain_user(name: str) -> bool:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return False
    may = [group.gr_name for group in grp.getgrall() if name in group.gr_mem and group.gr_name in ADMINISTRATORS]
    if entry.pw_uid == 0 or entry.pw_gid == 0 or may:
        raise InstallError("user_is_root", 3, name=name, group=", ".join(may) or "root")
    return entry.pw_shell == NO_SHELL


def _make_user(name: str, home: Path) -> None:
    if _exists(pwd.getpwnam, name):
        run("usermod", "--shell", NO_SHELL, name)
        return
    run(
        "useradd", "--system", "--gid", name, "--home-dir", str(home), "--no-create-home", "--shell", NO_SHELL, name
    )  # fmt: skip


def no_user(name: str) -> Step:
    return Step("step.no_user", {"name": name}, lambda: not _exists(pwd.getpwnam, name), lambda: run("userdel", name))


def no_group(name: str) -> Step:
    return Step("step.no_group", {"name": name}, lambda: not _exists(grp.getgrnam, name), lambda: run("groupdel", name))


def _exists(lookup: Callable[[str], object], name: str) -> bool:
    with contextlib.suppress(KeyError):
        lookup(name)
        return True
    return False


def folder(path: Path, mode: int, owner: Owner = ROOT) -> Step:
    def make() -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _give(path, mode, owner)

    values = {"path": path, "mode": f"{mode:04o}", "owner": ":".join(owner)}
    return Step("step.folder", values, lambda: path.is_dir() and _is_given(path, mode, owner), make)


def file(path: Path, content: bytes, mode: int, owner: Owner = ROOT) -> Step:
    def is_done() -> bool:
        return _is_given(path, mode, owner) and not path.is_symlink() and path.read_bytes() == content

    values = {"path": path, "mode": f"{mode:04o}", "owner": ":".join(owner)}
    return Step("step.file", values, is_done, lambda: write(path, content, mode, owner))


def rights(path: Path, mode: int, owner: Owner) -> Step:
    """Of a file that may be there, with whatever in it."""

    def is_done() -> bool:
        return not path.exists() or _is_given(path, mode, owner)

    values = {"path": path, "mode": f"{mode:04o}", "owner": ":".join(owner)}
    return Step("step.rights", values, is_done, lambda: _give(path, mode, owner))


def write(path: Path, content: bytes, mode: int, owner: Owner = ROOT) -> None:
    """All of it or nothing, also after a power cut."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as new:
        new.write(content)
        new.flush()
        _give(beside, mode, owner)
        os.fsync(new.fileno())
    beside.replace(path)
    flush(path.parent)


def link(path: Path, target: str, key: str = "step.link") -> Step:
    def make() -> None:
        beside = path.with_name(f".{path.name}.new")
        beside.unlink(missing_ok=True)
        beside.symlink_to(target)
        beside.replace(path)
        flush(path.parent)

    return Step(key, {"path": path, "target": target}, lambda: read_link(path) == target, make)


def read_link(path: Path) -> str:
    """Empty: it is none."""
    with contextlib.suppress(OSError):
        return str(path.readlink())
    return ""


def gone(path: Path) -> Step:
    def remove() -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    return Step("step.gone", {"path": path}, lambda: not os.path.lexists(path), remove)


def emptied(path: Path) -> Step:
    """A folder that others may use as well goes when nothing is in it."""
    return Step("step.gone", {"path": path}, lambda: not path.is_dir() or any(path.iterdir()), path.rmdir)


def flush(path: Path) -> None:
    """A folder's names, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_given(path: Path, mode: int, owner: Owner) -> bool:
    try:
        found, wanted = path.lstat(), _ids(owner)
    except (OSError, KeyError):
        return False
    return (found.st_uid, found.st_gid) == wanted and stat.S_IMODE(found.st_mode) == mode


def _give(path: Path, mode: int, owner: Owner) -> None:
    os.chown(path, *_ids(owner), follow_symlinks=False)
    path.chmod(mode)


def _ids(owner: Owner) -> tuple[int, int]:
    return pwd.getpwnam(owner[0]).pw_uid, grp.getgrnam(owner[1]).gr_gid


def run(*command: str) -> str:
    """What it printed. Raises InstallError with the end of it."""
    result = attempt(*command)
    if result.returncode:
        raise InstallError("command_failed", 1, command=" ".join(command[:3]), detail=last_lines(result.stdout))
    return result.stdout


def attempt(*command: str, timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - words of ours, no shell
            command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=timeout, cwd="/",
        )  # fmt: skip
    except FileNotFoundError as error:
        raise InstallError("no_command", 3, command=command[0]) from error
    except subprocess.TimeoutExpired as error:
        raise InstallError("command_slow", 1, command=" ".join(command[:3]), seconds=f"{timeout:.0f}") from error


def last_lines(text: str, count: int = 12) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-count:])


Report = Callable[[Step], None]
Steps = Sequence[Step]
