"""Starts and asks the process that opens a session's files; its answers are trusted no more than its user. Blocks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import select
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from device.remote.rules.folders import PathRefusedError, Pin
from device.remote.service_user import ServiceUser
from device.remote.session.folder_files import check_room, explained, receive, send
from device.remote.session.unit_client import connected

END_S: Final = 5.0
ANSWER_S: Final = 30.0
"""Its user may stop it, a file system may hang."""
_ROOT: Final = str(Path(__file__).resolve().parents[3])
_CODE: Final = """
import sys
sys.path.append(sys.argv[1])
from device.remote.session.folder_files import serve
serve(sys.argv[2:])
"""
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
_NOT_STARTED: Final = "the machine could not start what opens its files"
_GONE: Final = "the process that opens files for this session has ended"


class FileProcess:
    """With the rights of `user`. Methods but `hang_up` block and raise PathRefusedError."""

    def __init__(self, user: ServiceUser) -> None:
        """Raises NoUserError as well."""
        self._is_usable = True
        self._process: subprocess.Popen[bytes] | None = None
        if not user.socket:
            self._process = self._started(user)
            return
        try:
            self._socket, _ = connected(user, {"kind": "files"})
        except (OSError, ValueError) as error:
            raise PathRefusedError("internal", _NOT_STARTED) from error
        self._socket.settimeout(ANSWER_S)

    def _started(self, user: ServiceUser) -> subprocess.Popen[bytes]:
        drop = [str(user.uid), str(user.gid), ",".join(map(str, user.groups()))] if user.drop else []
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(ANSWER_S)
        try:
            # Interpreter and code may lie where only root gets: so it starts as root and gives its rights away itself.
            return subprocess.Popen(  # noqa: S603 - our own interpreter with our own code
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", _CODE, _ROOT, *drop],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True, cwd="/", env=_ENVIRONMENT,
            )  # fmt: skip
        except OSError as error:
            self._socket.close()
            raise PathRefusedError("internal", _NOT_STARTED) from error
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """Of our child; 0: systemd's."""
        return 0 if self._process is None else self._process.pid

    def is_alive(self) -> bool:
        return self._is_usable and (not self._has_hung_up() if self._process is None else self._process.poll() is None)

    def _has_hung_up(self) -> bool:
        look = select.poll()
        look.register(self._socket, select.POLLRDHUP)
        return bool(look.poll(0))

    def call(self, op: str, **args: Any) -> tuple[dict[str, Any], int | None]:
        try:
            send(self._socket, {"op": op, **args})
            answer, handle = receive(self._socket)
        except (OSError, ValueError) as error:
            self._is_usable = False
            if self._process is not None:
                self._process.kill()
            raise PathRefusedError("internal", _GONE) from error
        if answer is None:
            self._is_usable = False
            raise PathRefusedError("internal", _GONE)
        if "refused" in answer:
            raise PathRefusedError(*answer["refused"])
        if handle is not None and not _is_plain(handle):
            os.close(handle)
            raise PathRefusedError("not_found", "this is no plain file")
        return answer, handle

    def hang_up(self) -> None:
        """End it and pending calls; does not block."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        self.hang_up()
        self._socket.close()
        if self._process is None:
            return
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(END_S)


def _is_plain(handle: int) -> bool:
    """False also for what root may not look at, as on a user's own file system."""
    try:
        return stat.S_ISREG(os.fstat(handle).st_mode)
    except OSError:
        return False


class Way(NamedTuple):
    """To a file: who opens it, the declared folder, the way down."""

    process: FileProcess
    pin: Pin
    parts: tuple[str, ...]

    def ask(self, op: str, **args: Any) -> tuple[dict[str, Any], int | None]:
        return self.process.call(op, pin=self.pin, parts=self.parts, **args)

    def handle(self, op: str, **args: Any) -> int:
        _, handle = self.ask(op, **args)
        if handle is None:
            raise PathRefusedError("internal", _GONE)
        return handle


class OutgoingFile:
    """A plain file; `end` always."""

    def __init__(self, way: Callable[[], Way], limit: int) -> None:
        self._way = way
        self._limit = limit
        self._handle = -1
        self.size = 0
        self.mtime = 0

    def begin(self) -> None:
        self._handle = self._way().handle("get", limit=self._limit)
        facts = os.fstat(self._handle)
        self.size, self.mtime = facts.st_size, int(facts.st_mtime)

    def read(self, size: int, offset: int) -> bytes:
        """Raises OSError."""
        return os.pread(self._handle, size, offset)

    def end(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class Reception:
    """`begin`, `write` all of it, then `keep`; `drop` always."""

    def __init__(self, way: Callable[[], Way], size: int, *, overwrite: bool) -> None:
        self._way = way
        self._size = size
        self._overwrite = overwrite
        self._process: FileProcess | None = None
        self._of = secrets.token_hex(8)
        self._hash = hashlib.sha256()
        self._handle = -1
        self.received = 0
        self.is_kept = False

    def begin(self) -> None:
        way = self._way()
        self._handle = way.handle("put", of=self._of, size=self._size, overwrite=self._overwrite)
        self._process = way.process

    def write(self, data: bytes) -> None:
        if self.received + len(data) > self._size:
            raise PathRefusedError("too_large", "more bytes came than were announced")
        with explained():
            check_room(self._handle, len(data))  # others write as well, further uploads among them
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        self._hash.update(data)
        self.received += len(data)

    def keep(self) -> str:
        if self.received != self._size:
            raise PathRefusedError("invalid", f"{self._size} bytes were announced and {self.received} came")
        with explained():
            os.fsync(self._handle)
        if self._process is not None:
            self._process.call("keep", of=self._of)
        self.is_kept = True
        return self._hash.hexdigest()

    def drop(self) -> None:
        """Leave nothing under its temporary name."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self._process is not None and not self.is_kept:
            with contextlib.suppress(PathRefusedError):
                self._process.call("drop", of=self._of)
        self._process = None
