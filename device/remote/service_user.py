"""Chooses the user of terminals and files: never root, nor the agent's own where a unit starts another's."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from device.privileged.units import SERVICE_USER, SESSION_USER

NOBODY: Final = "nobody"
SHELL: Final = "/bin/sh"
_NO_SHELLS: Final = frozenset({"nologin", "false", "true", "sync", "halt", "shutdown", "git-shell"})


class NoUserError(Exception):
    """The sentence says what to set."""


@dataclass(frozen=True)
class ServiceUser:
    """`drop`: a process has to become this user first. `socket`: systemd starts a process of this user for each
    connection there; "": nobody does."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    drop: bool
    socket: str = ""

    @property
    def is_other(self) -> bool:
        """With other rights than the agent."""
        return self.drop or bool(self.socket)

    def groups(self) -> list[int]:
        return [group for group in os.getgrouplist(self.name, self.gid) if group != 0]


def choose(
    wanted: str, uid: int, lookup: Callable[[str], pwd.struct_passwd] = pwd.getpwnam, *, socket: str = ""
) -> ServiceUser:
    """Where systemd listens on `socket`: whom its unit runs as (`myrvm-session`, or `wanted`, the setting
    `terminal_user`). Else as root: `wanted`, or `myrvm-service`; as anybody else: that one. Raises NoUserError."""
    if socket and (other := _of_unit(wanted, uid, lookup, socket)) is not None:
        return other
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


def _of_unit(wanted: str, uid: int, lookup: Callable[[str], pwd.struct_passwd], socket: str) -> ServiceUser | None:
    try:
        facts = Path(socket).stat()
        entry = lookup(wanted or SESSION_USER)
    except (OSError, KeyError):
        return None
    listens = stat.S_ISSOCK(facts.st_mode) and facts.st_uid in (0, os.geteuid())
    becomes = uid == 0 and entry.pw_name != SESSION_USER
    """Root needs no unit to become whom its file names."""
    if not listens or becomes or entry.pw_uid in (0, uid):
        return None
    return replace(_user(entry, drop=False), socket=socket)


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
