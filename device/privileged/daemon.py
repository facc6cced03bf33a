"""Does a fixed list of things as root for the agent: one line of JSON in, one line out, over a Unix socket.

systemd starts it with that socket (LISTEN_FDS). One file of the standard library for Python 3.8 and newer: root's
interpreter must not depend on what changes with each release. Who may ask for what stands in a file of root's, read
anew for each request. A request selects among what that file names; nothing of it becomes an option, a path or a word
of a shell.

    {"verb": "restart", "argument": "camera.service"}  ->  {"ok": true}
    {"verb": "reboot", "check": true}                      everything but the doing
    {"verb": "restart", "argument": "ssh.service"}     ->  {"ok": false, "code": "not_allowed", "message": "..."}
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import select
import socket
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ALLOWED_FILE = "/etc/myrvm-privileged.json"
PROGRAMS = "/usr/bin"
ZONES = "/usr/share/zoneinfo"
MAX_LINE = 1024
MAX_FILE = 65536
READ_S = 1.0
"""For a whole request; a half one holds up the next for no longer."""
RUN_S = 90.0
IDLE_S = 300.0
"""Without a request it ends, and systemd starts it for the next one."""
BURST, EACH_S = 40.0, 1.0
"""Requests at once, then one each so many seconds; likewise lines of the journal."""
VERBS = ("set-timezone", "set-ntp", "restart", "start", "stop", "reboot", "shutdown", "mount", "unmount")
BEGUN = ("failed", "timeout")
WITHOUT_ARGUMENT = {"reboot": "reboot", "shutdown": "poweroff"}

_END = ("--no-ask-password", "--")
"""Of options: what follows is none."""
_VERB = re.compile(r"[a-z][a-z-]{0,31}\Z")
_ARGUMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9:_.@/+-]{0,199})?\Z")
_ZONE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}\Z")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,190}\.service\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_PATH = re.compile(r"(/[A-Za-z0-9_:@+-][A-Za-z0-9_.:@+-]*)+\Z")


class VerbRefusedError(Exception):
    """`code` is for programs; without one of BEGUN nothing was done."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Allowed(NamedTuple):
    """`mounts`: device and folder by the name that a request gives."""

    user: str
    verbs: list[str]
    services: list[str]
    mounts: dict[str, tuple[str, str]]


class Request(NamedTuple):
    verb: str
    argument: str
    check: bool


class RequestBucket:
    def __init__(self) -> None:
        self._level, self._at = BURST, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._level = min(BURST, self._level + (now - self._at) / EACH_S)
        self._at = now
        is_there = self._level >= 1.0
        self._level -= is_there
        return is_there


def read_allowed(path: str) -> Allowed:
    """Refuses a file that anybody but us (root) could have written or put there."""
    own = (0, os.geteuid())
    for folder in Path(path).parents:
        above = folder.lstat()
        is_open = above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(above.st_mode) or above.st_uid not in own or is_open:
            raise VerbRefusedError("file", f"{folder} is a link, or others than root may write there")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid not in own or facts.st_mode & 0o022:
            raise VerbRefusedError("file", f"{path} has to be a plain file of root's that nobody else may write")
        content = file.read(MAX_FILE)  # a longer one is no JSON then
    try:
        return allowed_of(json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as wrong:
        raise VerbRefusedError("file", f"{path}: {wrong!r}"[:300]) from None


def allowed_of(written: Any) -> Allowed:
    """Raises ValueError, KeyError, TypeError or AttributeError."""
    unknown = set(written) - set(Allowed._fields)
    if unknown:
        raise ValueError(f"{min(unknown)} is no key here")
    mounts = {name: (one["device"], one["folder"]) for name, one in written.get("mounts", {}).items()}
    found = Allowed(written["user"], written["verbs"], written.get("services", []), mounts)
    _check("user", [found.user], _NAME.match)
    _check("verbs", found.verbs, VERBS.__contains__)
    _check("services", found.services, _SERVICE.match)
    _check("mounts", list(mounts), _NAME.match)
    _check("mounts", [path for both in mounts.values() for path in both], _PATH.match)
    return found


def _check(key: str, values: Any, fits: Any) -> None:
    if not isinstance(values, list) or not all(isinstance(value, str) and fits(value) for value in values):
        raise ValueError(f"{key}: {ascii(values)[:80]} cannot stand there")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def request_of(line: bytes) -> Request:
    """Raises VerbRefusedError."""
    try:
        asked = json.loads(line.decode("ascii"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise VerbRefusedError("malformed", "one line with one JSON object") from None
    if not isinstance(asked, dict) or not {"verb"} <= set(asked) <= set(Request._fields):
        raise VerbRefusedError("malformed", "verb, argument, check, and nothing else")
    verb, argument, check = asked["verb"], asked.get("argument", ""), asked.get("check", False)
    if not isinstance(verb, str) or not _VERB.match(verb) or not isinstance(check, bool):
        raise VerbRefusedError("malformed", "verb is a word, check is true or false")
    if not isinstance(argument, str) or not _ARGUMENT.match(argument):
        raise VerbRefusedError("malformed", "argument is one name")
    return Request(verb, argument, check)


def command_of(asked: Request, allowed: Allowed, programs: str) -> list[str]:
    """Raises VerbRefusedError."""
    name, *words = _words_of(asked, allowed)
    if not os.access(f"{programs}/{name}", os.X_OK):
        raise VerbRefusedError("missing", f"{name} is missing on this machine")
    return [f"{programs}/{name}", *words]


def _words_of(asked: Request, allowed: Allowed) -> list[str]:
    verb, argument = asked.verb, asked.argument
    if verb not in VERBS or verb not in allowed.verbs:
        raise VerbRefusedError("not_allowed", f"{verb} is not among the allowed verbs")
    if verb in WITHOUT_ARGUMENT:
        if argument:
            raise VerbRefusedError("malformed", f"{verb} takes no argument")
        return ["systemctl", *_END, WITHOUT_ARGUMENT[verb]]
    if verb in ("restart", "start", "stop"):
        if argument not in allowed.services:
            raise VerbRefusedError("not_allowed", f"{argument} is not among the allowed services")
        return ["systemctl", *_END, verb, argument]
    if verb == "set-timezone":
        if not is_zone(argument):
            raise VerbRefusedError("not_allowed", f"{argument} is no time zone of this machine")
        return ["timedatectl", *_END, verb, argument]
    if verb == "set-ntp":
        if argument not in ("on", "off"):
            raise VerbRefusedError("not_allowed", "set-ntp takes on or off")
        return ["timedatectl", *_END, verb, "true" if argument == "on" else "false"]
    if argument not in allowed.mounts:
        raise VerbRefusedError("not_allowed", f"{argument} is not among the declared mounts")
    device, folder = allowed.mounts[argument]
    if verb == "unmount":
        return ["systemd-umount", *_END, folder]
    return ["systemd-mount", "--collect", "--options=nosuid,nodev,noexec", *_END, device, folder]


def is_zone(name: str) -> bool:
    """In this machine's database, without its copies that count leap seconds."""
    with contextlib.suppress(OSError):
        if _ZONE.match(name) and name.partition("/")[0] not in ("posix", "right", "posixrules", "localtime"):
            with Path(ZONES, name).open("rb") as file:
                return file.read(4) == b"TZif"
    return False


def run(command: list[str]) -> None:
    """Without a shell, an environment or our files. Raises VerbRefusedError."""
    try:
        done = subprocess.run(  # noqa: S603 - a program and words of command_of
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={}, cwd="/", timeout=RUN_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise VerbRefusedError("timeout", f"it did not end within {RUN_S:g} s") from None
    except OSError as error:
        raise VerbRefusedError("missing", f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        why = ascii(done.stderr.decode("utf-8", "replace").strip())[1:-1][:300]
        raise VerbRefusedError("failed", why or f"it ended with {done.returncode}")


class Daemon:
    """One request at a time."""

    def __init__(self, listener: socket.socket, allowed_file: str, programs: str = PROGRAMS) -> None:
        self._listener, self._allowed_file, self._programs = listener, allowed_file, programs
        self._requests, self._lines, self._unlogged = RequestBucket(), RequestBucket(), 0

    def serve(self) -> None:
        self._listener.setblocking(False)
        while select.select([self._listener], [], [], IDLE_S)[0]:
            with contextlib.suppress(OSError):  # who asked has gone again, before or after
                connection, _ = self._listener.accept()
                with connection:
                    answer = self._answer(connection)
                    connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, connection: socket.socket) -> dict[str, Any]:
        what, who = "request", "user ?"
        try:
            pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            who = f"user {uid}, process {pid}"
            allowed = self._admit(uid)
            asked = request_of(_line(connection))
            what = f"{asked.verb} {asked.argument}".strip()
            command = command_of(asked, allowed, self._programs)
            self._log(f"{'would do' if asked.check else 'does'}: {what} ({who})", not asked.check)
            if not asked.check:
                run(command)
        except (VerbRefusedError, OSError) as refused:
            code = getattr(refused, "code", "file")
            self._log(f"{'failed' if code in BEGUN else 'refused'}: {what} ({who}): {code}: {refused}")
            return {"ok": False, "code": code, "message": str(refused)}
        return {"ok": True}

    def _admit(self, uid: int) -> Allowed:
        """Whom the file names, and root, who could do all of it anyway. Raises VerbRefusedError, OSError."""
        allowed = read_allowed(self._allowed_file)
        if uid != 0 and uid not in [one.pw_uid for one in pwd.getpwall() if one.pw_name == allowed.user]:
            raise VerbRefusedError("wrong_user", f"only {allowed.user} may ask")
        if not self._requests.take():
            raise VerbRefusedError("rate_limited", f"{BURST:g} requests at once, then one each {EACH_S:g} s")
        return allowed

    def _log(self, sentence: str, is_done: bool = False) -> None:
        """Into the journal, by the unit's standard error; whatever is done, also in a flood."""
        if not self._lines.take() and not is_done:
            self._unlogged += 1
            return
        left_out, self._unlogged = self._unlogged, 0
        more = f" ({left_out} lines before this one were left out)" if left_out else ""
        with contextlib.suppress(OSError):
            os.write(2, f"<5>{sentence}{more}\n".encode("ascii", "replace"))


def _line(connection: socket.socket) -> bytes:
    """Raises VerbRefusedError."""
    until, line = time.monotonic() + READ_S, b""
    while b"\n" not in line and len(line) <= MAX_LINE:
        connection.settimeout(max(0.001, until - time.monotonic()))
        try:
            line += connection.recv(MAX_LINE + 1) or b"\n\n"  # hung up in the midst of it
        except OSError:
            raise VerbRefusedError("malformed", f"no whole line within {READ_S:g} s") from None
    if len(line) > MAX_LINE or line.find(b"\n") != len(line) - 1:
        raise VerbRefusedError("malformed", f"one line of at most {MAX_LINE} bytes")
    return line


def listener_of_systemd() -> socket.socket:
    """As sd_listen_fds(3) says. Raises VerbRefusedError."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        raise VerbRefusedError("socket", "myrvm-privileged.socket starts this; it does nothing by hand")
    os.set_inheritable(3, False)
    listener = socket.socket(fileno=3)
    if listener.family != socket.AF_UNIX or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise VerbRefusedError("socket", "a Unix socket that listens is expected")
    return listener


if __name__ == "__main__":
    try:
        Daemon(listener_of_systemd(), *(sys.argv[1:3] or [ALLOWED_FILE])).serve()
    except VerbRefusedError as wrong:
        sys.exit(f"<3>{wrong}")
