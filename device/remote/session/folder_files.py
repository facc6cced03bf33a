"""Opens, lists, names and removes files below a declared folder, in a process with the rights of the terminal's user.

`file_process` starts it as root; `serve` drops root's rights before the first request. Handles go to the agent,
which moves the bytes. No link is followed on the way to a declared folder, which must be the one that was there when
the agent started. Standard library only; knows no secret."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from device.remote.rules.folders import TEMPORARY, PathRefusedError, Pin, can_travel

MAX_LISTED: Final = 2000
KEEP_FREE: Final = 64 * 1024 * 1024
"""Left on the disk by an upload."""
STALE_S: Final = 86400.0
LENGTH: Final = 4
"""Of a message's length on the socket, sent with a handle if there is one; its JSON follows."""
MOST: Final = 8 * 1024 * 1024
"""Of a message: more than the longest listing."""
_WAY: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""A folder on the way has to be open to its user, not readable."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_LINKS: Final = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def opened_folder(pin: Pin, parts: Sequence[str], last: int = _FOLDER) -> Iterator[int]:
    """Of `parts` below the declared folder, opened with `last`. Follows no link."""
    above = [part for part in pin.path.split("/") if part]
    with explained():
        handle = os.open("/", _WAY)
    try:
        for count, part in enumerate([*above, *parts], 1):
            flags = last if count == len(above) + len(parts) else _WAY
            try:
                with explained():
                    following = os.open(part, flags, dir_fd=handle)
            except PathRefusedError as refused:
                if refused.code == "not_declared" and count <= len(above):  # where no link was at the start
                    raise _changed(pin) from refused
                raise
            os.close(handle)
            handle = following
            if count == len(above):
                facts = os.fstat(handle)
                if (facts.st_dev, facts.st_ino) != (pin.device, pin.inode):
                    raise _changed(pin)
        yield handle
    finally:
        os.close(handle)


def _changed(pin: Pin) -> PathRefusedError:
    why = "is another folder than the one that was there when the agent started; restart the agent if that is meant"
    return PathRefusedError("folder_changed", f"{pin.path} {why}")


def listing(pin: Pin, parts: Sequence[str]) -> tuple[list[dict[str, Any]], bool]:
    """By name, without links; whether more were left out. A name that no path can hold is shown as far as possible,
    and marked."""
    entries: list[dict[str, Any]] = []
    with opened_folder(pin, parts) as folder, explained(), os.scandir(folder) as found:
        for entry in found:
            if len(entries) == MAX_LISTED:
                return _sorted(entries), True
            if entry.name.startswith(TEMPORARY):
                continue
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                kind = "folder" if stat.S_ISDIR(facts.st_mode) else "file"
                if kind == "folder" or stat.S_ISREG(facts.st_mode):
                    row = {"name": entry.name, "kind": kind, "size": facts.st_size, "mtime": int(facts.st_mtime)}
                    entries.append(row if can_travel(entry.name) else row | _marked(entry.name))
    return _sorted(entries), False


def opened_file(pin: Pin, parts: Sequence[str], limit: int) -> int:
    """Checked before it is opened, as opening anything but a plain file may have an effect."""
    *above, name = _file(parts)
    with opened_folder(pin, above, _WAY) as folder, explained():
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise PathRefusedError("not_found", "this is no plain file")
        handle = os.open(name, _FILE, dir_fd=folder)
    facts = os.fstat(handle)
    if stat.S_ISREG(facts.st_mode) and facts.st_size <= limit:
        return handle
    os.close(handle)
    if not stat.S_ISREG(facts.st_mode):
        raise PathRefusedError("not_found", "this is no plain file")
    raise PathRefusedError("too_large", f"it has {facts.st_size} bytes, and {limit} are allowed")


class Incoming:
    """It has its name only when all is on disk."""

    def __init__(self, pin: Pin, parts: Sequence[str], size: int, *, overwrite: bool) -> None:
        *above, self._name = _file(parts)
        self._overwrite = overwrite
        self._temporary = TEMPORARY + secrets.token_hex(8)
        self._exists = False
        self._open = contextlib.ExitStack()
        try:
            self._folder = self._open.enter_context(opened_folder(pin, above))
            with explained():
                self.handle = self._begun(size)
        except PathRefusedError:
            self.drop()
            raise

    def keep(self) -> None:
        with explained():
            self._name_it()
            os.fsync(self._folder)

    def drop(self) -> None:
        """Leave nothing under its temporary name."""
        if self._exists:
            self._exists = False
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
        self._open.close()

    def _begun(self, size: int) -> int:
        _sweep(self._folder)
        replaced = self._look_at_target()
        check_room(self._folder, size)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self._temporary, flags, 0o644, dir_fd=self._folder)
        self._exists = True
        self._open.callback(os.close, handle)
        if replaced is not None:
            os.fchmod(handle, replaced.st_mode & 0o777)
        return handle

    def _name_it(self) -> None:
        """In one step; a hard link does not replace a file that appeared meanwhile, a rename does."""
        both = {"src_dir_fd": self._folder, "dst_dir_fd": self._folder}
        if not self._overwrite:
            with contextlib.suppress(PermissionError, NotImplementedError):  # a stick's FAT knows no links
                os.link(self._temporary, self._name, **both, follow_symlinks=False)
                return
        self._look_at_target()
        os.rename(self._temporary, self._name, **both)  # noqa: PTH104 - Path.rename knows no folder's handle

    def _look_at_target(self) -> os.stat_result | None:
        try:
            found = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise PathRefusedError("exists", "there is something of that name that is no plain file")
        if not self._overwrite:
            raise PathRefusedError("exists", "there is a file of that name; say that it may be replaced")
        return found


def serve(argv: Sequence[str]) -> None:
    """Becomes the user of `argv` (uid, gid, comma-separated further groups; empty: stays), then answers on standard
    input, a socket, until it closes."""
    os.umask(0o022)
    if argv:
        _become(int(argv[0]), int(argv[1]), [int(group) for group in argv[2].split(",") if group])
    agent = socket.socket(fileno=0)
    # Bound: one a stream of the session.
    incoming: dict[str, Incoming] = {}
    try:
        while (asked := receive(agent)[0]) is not None:
            handle = None
            try:
                answer, handle = _answer(asked, incoming)
            except PathRefusedError as refused:
                answer = {"refused": [refused.code, str(refused)]}
            send(agent, answer, handle)
            if handle is not None and asked["op"] == "get":
                os.close(handle)
    finally:
        for one in incoming.values():
            one.drop()


def send(to: socket.socket, message: dict[str, Any], handle: int | None = None) -> None:
    """Raises OSError."""
    body = json.dumps(message).encode()
    socket.send_fds(to, [len(body).to_bytes(LENGTH, "big")], [] if handle is None else [handle])
    to.sendall(body)


def receive(of: socket.socket) -> tuple[dict[str, Any] | None, int | None]:
    """With its handle; None: no more. Raises OSError."""
    head, handles, _, _ = socket.recv_fds(of, LENGTH, 1)
    length = int.from_bytes(head, "big") if len(head) == LENGTH else 0
    body = bytearray()
    while len(body) < length <= MOST and (part := of.recv(min(length - len(body), 65536))):
        body += part
    handle = handles[0] if handles else None
    if handle is not None:
        os.set_inheritable(handle, False)
    if body and len(body) == length:
        return json.loads(body), handle
    if handle is not None:
        os.close(handle)
    return None, None


def _become(uid: int, gid: int, groups: list[int]) -> None:
    """Drop root's rights for good. Raises OSError."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid) or 0 in (uid, gid) or _has_capabilities():
        raise PermissionError("the rights of root could not be given away")


def _has_capabilities() -> bool:
    """A unit's `SecureBits=` may keep them."""
    with open("/proc/self/status", "rb") as facts:  # noqa: PTH123 - what is not loaded yet may lie where only root gets
        return any(int(line.split()[1], 16) for line in facts if line.startswith((b"CapEff:", b"CapPrm:")))


def _answer(asked: dict[str, Any], incoming: dict[str, Incoming]) -> tuple[dict[str, Any], int | None]:
    if asked["op"] in ("keep", "drop"):
        one = incoming.pop(asked["of"], None)
        if one is not None:
            try:
                if asked["op"] == "keep":
                    one.keep()
            finally:
                one.drop()
        return {}, None
    pin, parts = Pin(*asked["pin"]), asked["parts"]
    if asked["op"] == "list":
        entries, more = listing(pin, parts)
        return {"entries": entries, "more": more}, None
    if asked["op"] == "look":
        with opened_folder(pin, parts) as folder:
            return {"writable": os.access(".", os.W_OK | os.X_OK, dir_fd=folder)}, None
    if asked["op"] == "get":
        return {}, opened_file(pin, parts, asked["limit"])
    one = Incoming(pin, parts, asked["size"], overwrite=asked["overwrite"])
    incoming[asked["of"]] = one
    return {}, one.handle


def check_room(handle: int, size: int) -> None:
    """Of the disk where `handle` is. Raises PathRefusedError, OSError."""
    disk = os.fstatvfs(handle)
    if disk.f_bavail * disk.f_frsize < size + KEEP_FREE:
        raise PathRefusedError("disk", "there is not enough room on the machine's disk")


def _file(parts: Sequence[str]) -> Sequence[str]:
    if not parts:
        raise PathRefusedError("not_found", "this is a folder")
    return parts


def _marked(name: str) -> dict[str, Any]:
    shown = name.encode(errors="surrogateescape").decode(errors="replace")
    return {"name": "".join(c if can_travel(c) else "\N{REPLACEMENT CHARACTER}" for c in shown), "unreachable": True}


def _sorted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: (entry["kind"] == "file", entry["name"]))


def _sweep(folder: int) -> None:
    """Remove what a killed agent has half received."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(TEMPORARY):
                with contextlib.suppress(OSError):
                    if time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_S:
                        os.unlink(entry.name, dir_fd=folder)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """The kernel's refusals as the stream's."""
    try:
        yield
    except OSError as error:
        if error.errno in _LINKS:
            raise PathRefusedError("not_declared", "a link, or no folder where the path goes through one") from error
        if error.errno == errno.EEXIST:
            raise PathRefusedError("exists", "there is a file of that name") from error
        if error.errno in _FULL:
            raise PathRefusedError("disk", "there is no room on the machine's disk") from error
        if error.errno in (errno.EROFS, errno.EIO):
            raise PathRefusedError("disk", "the machine's disk does not take it") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise PathRefusedError("no_rights", "the user of the machine's terminal may not do this there") from error
        raise PathRefusedError("not_found", "there is no such file on the machine") from error
