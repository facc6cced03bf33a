"""Chooses the user of terminals and files: never root."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SERVICE_USER: Final = "myrvm-service"
NOBODY: Final = "nobody"
SHELL: Final = "/bin/sh"
_NO_SHELLS: Final = frozenset({"nologin", "false", "true", "sync", "halt", "shutdown", "git-shell"})


class NoUserError(Exception):
    """The sentence says what to set."""


@dataclass(frozen=True)
class ServiceUser:
    """`drop`: a process has to become this user first."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    drop: bool

    def groups(self) -> list[int]:
        return [group for group in os.getgrouplist(self.name, self.gid) if group != 0]


def choose(wanted: str, uid: int, lookup: Callable[[str], pwd.struct_passwd] = pwd.getpwnam) -> ServiceUser:
    """As root: `wanted` (the setting `terminal_user`), else `myrvm-service`; as anybody else: that one. Raises
    NoUserError."""
    if uid != 0:
        return _own(wanted, uid)
    for name in (wanted,) if wanted else (SERVICE_USER, NOBODY):
        try:
            entry = lookup(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise NoUserError(f"terminal_user: {name} is root, and a terminal is never root's; name another user")
        if entry.pw_gid == 0:
            raise NoUserError(f"terminal_user: {name} is in root's own group; name a user with another")
        return _user(entry, drop=True)
    raise NoUserError(f"terminal_user: there is no user {wanted or NOBODY} on this machine")


def _own(wanted: str, uid: int) -> ServiceUser:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a container's user without an entry
        entry = pwd.struct_passwd((str(uid), "", uid, os.getgid(), "", "/", SHELL))
    if wanted and wanted != entry.pw_name:
        raise NoUserError(f"terminal_user: the agent runs as {entry.pw_name} and cannot become {wanted}")
    return _user(entry, drop=False)


def _user(entry: pwd.struct_passwd, *, drop: bool) -> ServiceUser:
    shell = entry.pw_shell
    usable = shell.startswith("/") and Path(shell).name not in _NO_SHELLS and os.access(shell, os.X_OK)
    home = entry.pw_dir if Path(entry.pw_dir).is_dir() else "/"
    return ServiceUser(entry.pw_name, entry.pw_uid, entry.pw_gid, home, shell if usable else SHELL, drop)
