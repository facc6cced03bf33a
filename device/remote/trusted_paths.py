"""Finds paths that an agent relies on and others could rename or change, where it has more rights than terminals:
owners, mode bits and access control lists, name by name."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from device.remote.folders import DeclaredFolders
from device.remote.service_user import NoUserError, ServiceUser, choose
from device.settings import AgentSettings
from device.settings.values import on_demand

MOST_LINKS: Final = 40
RUN_FOLDERS: Final = ("python", "node")
"""Interpreters that run a folder, by a file in it."""
EVERYBODY: Final = "everybody"
_ACL_HEAD: Final = 4
_ACL_USER, _ACL_GROUP, _ACL_MASK, _ACL_WRITE = 2, 8, 16, 2
"""linux/posix_acl_xattr.h: a head, then (tag, permissions, uid or gid) each."""
_CODE: Final = Path(__file__).resolve().parents[1]


class Weak(NamedTuple):
    """`who` may change `step`, which is or leads to `path`. `visitor`: a terminal's user may, or everybody."""

    path: str
    step: str
    who: str
    visitor: bool


def visitor(settings: AgentSettings) -> ServiceUser:
    """Of terminals and files. Raises NoUserError, also when that user could change what the agent runs or reads as
    root."""
    user = terminal_user(settings)
    if user.is_other:
        for weak in obeyed(settings, user):
            if weak.visitor:
                how = "as root" if user.drop else "with its own rights"
                raise NoUserError(
                    f"terminal_user: {weak.who} may change {weak.step}, and the agent obeys {weak.path} {how}; give "
                    "it to root, or name another user"
                )
    return user


def terminal_user(settings: AgentSettings) -> ServiceUser:
    """Raises NoUserError."""
    return choose(settings.text("terminal_user"), os.geteuid(), socket=settings.text("session_socket"))


def weak_paths(settings: AgentSettings) -> list[Weak]:
    """None where the agent has no more rights than terminals."""
    try:
        user = terminal_user(settings)
    except NoUserError:
        return []
    if not user.is_other:
        return []
    services = on_demand(settings.values["remote_services"]).values()
    commands = [command for one in services for command in (one.start, one.stop) if command]
    declared = DeclaredFolders(settings.names("remote_download_folders"), settings.names("remote_upload_folders"))
    found = [
        *obeyed(settings, user),
        *(weak for command in commands if (weak := weak_command(command, user)) is not None),
        *(weak for folder in declared.all if (weak := weak_step(folder, user, itself=False)) is not None),
    ]
    return list(dict.fromkeys(found))


def obeyed(settings: AgentSettings, user: ServiceUser) -> Iterator[Weak]:
    """Among configuration, key, state, code and interpreter."""
    for path in (settings.config_file, settings.key_file, settings.state_dir, _CODE, Path(sys.executable)):
        if path is not None and (weak := weak_step(str(path.absolute()), user)) is not None:
            yield weak


def weak_command(command: Sequence[str], user: ServiceUser) -> Weak | None:
    """Among a command's program and the files it names, not what the program reads by itself."""
    program = shutil.which(command[0]) or command[0]
    runs_folders = Path(program).name.startswith(RUN_FOLDERS)
    for word in (program, *_words(command[1:])):
        runs = word.startswith("/") and (Path(word).is_file() or (runs_folders and Path(word).is_dir()))
        if runs and (weak := weak_step(word, user)) is not None:
            return weak
    return None


def _words(arguments: Sequence[str]) -> Iterator[str]:
    """Arguments, their values behind a `=`, and the words of a shell's line."""
    for argument in arguments:
        yield argument
        line = shlex.shlex(argument, posix=True, punctuation_chars=True)
        line.whitespace_split = True
        line.whitespace += "="
        with contextlib.suppress(ValueError):  # a quotation without end
            yield from line


def weak_step(path: str, user: ServiceUser, *, itself: bool = True) -> Weak | None:
    """The first place that others could change; `itself`: or the target."""
    last: tuple[str, os.stat_result] | None = None
    for folder, entry, facts in _lookups(path):
        above = Path(folder).stat()
        held = facts is not None and bool(above.st_mode & stat.S_ISVTX)
        """In a sticky folder only its owner, and an entry's, may rename."""
        if held and facts is not None and facts.st_uid == user.uid != above.st_uid:
            return Weak(path, entry, user.name, visitor=True)
        who = _changed_by(above, user, held=held) or _changed_by_list(folder, user, held=held)
        if who is not None:
            return Weak(path, folder, *who)
        last = None if facts is None or stat.S_ISLNK(facts.st_mode) else (entry, facts)
    if last is not None and itself:
        who = _changed_by(last[1], user, held=False) or _changed_by_list(last[0], user, held=False)
        if who is not None:
            return Weak(path, last[0], *who)
    return None


def _lookups(path: str) -> Iterator[tuple[str, str, os.stat_result | None]]:
    folder, links = "/", 0
    rest = path.split("/")[::-1]
    while rest:
        name = rest.pop()
        if name in ("", "."):
            continue
        if name == "..":
            folder = str(Path(folder).parent)
            continue
        entry = f"{folder.rstrip('/')}/{name}"
        try:
            facts = Path(entry).lstat()
        except OSError:
            yield folder, entry, None
            return
        yield folder, entry, facts
        if not stat.S_ISLNK(facts.st_mode):
            folder = entry
        elif links < MOST_LINKS:
            links += 1
            target = str(Path(entry).readlink())
            folder = "/" if target.startswith("/") else folder
            rest += target.split("/")[::-1]
        else:
            return


def _changed_by(facts: os.stat_result, user: ServiceUser, *, held: bool) -> tuple[str, bool] | None:
    if facts.st_uid == user.uid:
        return user.name, True
    if not held and facts.st_mode & stat.S_IWOTH:
        return EVERYBODY, True
    if not held and facts.st_mode & stat.S_IWGRP and facts.st_gid in (user.gid, *user.groups()):
        return user.name, True
    if facts.st_uid not in (0, os.geteuid()):
        return _name(facts.st_uid), False
    return None


def _changed_by_list(path: str, user: ServiceUser, *, held: bool) -> tuple[str, bool] | None:
    if held:
        return None
    try:
        raw = os.getxattr(path, "system.posix_acl_access")[_ACL_HEAD:]
    except OSError:  # none, or none on this file system
        return None
    entries = list(struct.iter_unpack("<HHI", raw[: len(raw) // 8 * 8]))
    mask = next((may for tag, may, _ in entries if tag == _ACL_MASK), 0)
    for tag, may, who in entries:
        theirs = (tag == _ACL_USER and who == user.uid) or (tag == _ACL_GROUP and who in (user.gid, *user.groups()))
        if theirs and may & mask & _ACL_WRITE:
            return user.name, True
    return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
