"""Puts staged files in place by rename, a class at a time, all of it or nothing, whatever is killed.

The decision is on disk before the first rename, each place with the inode that will be there. The old tree stays
whole until all is done."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from device.backups.mounts import remove_tree
from device.kernel import state_file
from protocol.kinds import BackupClass

FILE: Final = "restore.json"
MARK: Final = "command"
MAX_PAIRS: Final = 100_000
"""Names of a folder whose own place cannot be renamed: photographs, say."""
SYNC_EVERY: Final = 500
_RENAMEAT2: Final = {"x86_64": 316, "aarch64": 276, "armv7l": 382}
_AT_FDCWD: Final = -100
_EXCHANGE: Final = 2
_UNKNOWN: Final = (errno.ENOSYS, errno.EINVAL, errno.EPERM)
"""Of a kernel or file system that cannot exchange."""

Inode = tuple[int, int]


class Pair(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rename. `new`: the inode that comes to `target` from `staged`; None: the target only goes away, to
    `staged`."""

    data_class: BackupClass
    target: str
    staged: str
    new: Inode | None = None


class RestoreState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`staging`: folders to remove at the end; `marked`: each holds this command's mark, which shows after a boot
    whether its disk is mounted. `failed`: classes left as they were, by why; `result`: of the command."""

    command_id: str
    backup_id: int
    step: Literal["staging", "stopping", "exchanging", "exchanged", "ended"] = "staging"
    staging: tuple[str, ...] = ()
    marked: bool = False
    pairs: tuple[Pair, ...] = ()
    services: tuple[str, ...] = ()
    failed: dict[str, str] = {}
    result: dict[str, Any] = {}


def load(state_dir: Path) -> RestoreState | None:
    return state_file.read_value(state_dir / FILE, RestoreState)


def save(state_dir: Path, state: RestoreState) -> RestoreState:
    """Raises OSError; nothing has changed then."""
    state_file.write_value(state_dir / FILE, state)
    return state


def drop(state_dir: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (state_dir / FILE).unlink()
        state_file.sync_folder(state_dir)


def mark(state: RestoreState) -> RestoreState:
    """Before the first rename. Raises OSError."""
    for folder in state.staging:
        Path(folder).mkdir(parents=True, exist_ok=True)
        state_file.write_bytes(Path(folder) / MARK, state.command_id.encode())
    return msgspec.structs.replace(state, marked=True)


def away(state: RestoreState) -> list[str]:
    """Staging folders that are not there: their disks are not mounted (yet), and nobody can tell how far they are."""
    folders = state.staging if state.marked else ()
    return [one for one in folders if not _is_marked(one, state.command_id) and not _is_done(one, state.pairs)]


def _is_done(folder: str, pairs: Sequence[Pair]) -> bool:
    """Whether it was removed when all was in its place, and only the note of that was lost."""
    own = [pair for pair in pairs if pair.staged.startswith(f"{folder}/")]
    return any(pair.new for pair in own) and all(inode(pair.target) == pair.new for pair in own)


def _is_marked(folder: str, command_id: str) -> bool:
    try:
        return (Path(folder) / MARK).read_bytes() == command_id.encode()
    except OSError:
        return False


def with_devices_of_now(state: RestoreState) -> RestoreState:
    """A disk may have another device number after a boot; its inodes stay."""
    marked = [folder for folder in state.staging if state.marked and _is_marked(folder, state.command_id)]
    devices = {folder: os.lstat(folder).st_dev for folder in marked}
    pairs = tuple(_on(devices, pair) for pair in state.pairs)
    return msgspec.structs.replace(state, pairs=pairs)


def _on(devices: Mapping[str, int], pair: Pair) -> Pair:
    device = next((number for folder, number in devices.items() if pair.staged.startswith(f"{folder}/")), None)
    if pair.new is None or device is None:
        return pair
    return msgspec.structs.replace(pair, new=(device, pair.new[1]))


def inode(path: str) -> Inode | None:
    """Of the place itself, no link followed; None: nothing there."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def exchange_all(pairs: Sequence[Pair], between: Callable[[Pair], None] = lambda _pair: None) -> dict[str, str]:
    """Each class by itself; those left as they were, with why.

    `between` is called before each rename: tests end the process there. Repeated after a kill, it goes on."""
    failed: dict[str, str] = {}
    for data_class in dict.fromkeys(pair.data_class for pair in pairs):
        one = [pair for pair in pairs if pair.data_class == data_class]
        try:
            for number, pair in enumerate(one, 1):
                between(pair)
                put(pair)
                if number % SYNC_EVERY == 0:
                    _sync(one[number - SYNC_EVERY : number])
        except OSError as error:
            failed[data_class] = f"{error.filename or one[0].target}: {error.strerror or error}"
            for pair in reversed(one):
                take_back(pair)
        _sync(one)
    return failed


def put(pair: Pair) -> None:
    """Put the new in place, if it is not there. Raises OSError."""
    if pair.new is None:
        if inode(pair.target) is not None and inode(pair.staged) is None:
            Path(pair.staged).parent.mkdir(parents=True, exist_ok=True)
            _rename(pair.target, pair.staged)
        return
    if inode(pair.target) != pair.new:
        if inode(pair.staged) != pair.new:
            raise FileNotFoundError(errno.ENOENT, "what was to be put there is gone", pair.staged)
        if inode(pair.target) is None:
            Path(pair.target).parent.mkdir(parents=True, exist_ok=True)
            _rename(pair.staged, pair.target)
        else:
            _exchange(pair.target, pair.staged)
    if inode(_aside(pair)) is not None:
        _rename(_aside(pair), pair.staged)


def take_back(pair: Pair) -> None:
    """Put the old back, if it is not there. Raises OSError."""
    if pair.new is None:
        if inode(pair.target) is None and inode(pair.staged) is not None:
            _rename(pair.staged, pair.target)
        return
    if inode(_aside(pair)) is not None:
        if inode(pair.target) == pair.new:
            _rename(pair.target, pair.staged)
        _rename(_aside(pair), pair.target)
    elif inode(pair.target) == pair.new:
        if inode(pair.staged) is None:
            _rename(pair.target, pair.staged)
        else:
            _exchange(pair.target, pair.staged)


def remove_staging(folders: Iterable[str]) -> None:
    """Not what is mounted in them meanwhile."""
    for folder in folders:
        remove_tree(folder)


def _aside(pair: Pair) -> str:
    return f"{pair.staged}.old"


def _rename(source: str, target: str) -> None:
    os.rename(source, target)  # noqa: PTH104 - as the paths are kept


def _exchange(target: str, staged: str) -> None:
    """Swap both names at once; where the file system cannot, by a third name."""
    number = _RENAMEAT2.get(platform.machine())
    if number is not None:
        libc = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(target), os.fsencode(staged)
        if libc.syscall(number, _AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _UNKNOWN:
            raise OSError(code, os.strerror(code), target)
    _exchange_in_steps(target, staged)


def _exchange_in_steps(target: str, staged: str) -> None:
    _rename(target, f"{staged}.old")
    _rename(staged, target)
    _rename(f"{staged}.old", staged)


def _sync(pairs: Iterable[Pair]) -> None:
    """Each name stands where it was or where it is to be, whatever of it a power cut takes: a folder at a time."""
    for folder in {Path(path).parent for pair in pairs for path in (pair.target, pair.staged)}:
        with contextlib.suppress(OSError):  # some file systems cannot; the rename stands
            state_file.sync_folder(folder)
