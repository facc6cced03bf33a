"""`restore FILE... --into FOLDER`: unpacks backups without a hub, all or nothing; every file is compared."""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Final, NamedTuple

from archive import age
from archive.errors import WRITE_FAILED, ArchiveError
from archive.owners import Owners
from archive.replay import UNPACKING, ChainLink, Replayed, header_of, make_durable, numbered, replay
from archive.source_file import NotRegularError
from archive.unpack import DiskRoom, Selection
from device.cli.exit_codes import CTRL_C, FAILED, OK, WRONG_USAGE, Complain
from texts.catalogue import Texts

_RESERVE: Final = 64 * 1024 * 1024
"""Stay free on the disk."""


class _Stopped(BaseException):
    """SIGTERM: what was unpacked is removed."""


class Into(NamedTuple):
    """`staging` is beside `folder` until the end."""

    folder: Path
    staging: Path

    @classmethod
    def beside(cls, folder: Path) -> Into:
        folder = Path(os.path.abspath(folder))  # noqa: PTH100 - no link is resolved
        return cls(folder, folder.with_name(f".{folder.name}.myrvm-restore"))


def add_restore_arguments(action: argparse.ArgumentParser, texts: Texts) -> None:
    action.add_argument("files", nargs="+", type=Path, metavar="FILE", help=texts("cli_restore_files"))
    action.add_argument("--into", type=Path, required=True, metavar="FOLDER", help=texts("cli_restore_into"))
    action.add_argument("--identity", type=Path, metavar="FILE", help=texts("cli_restore_identity"))
    action.add_argument("--path", action="append", metavar="PATH", help=texts("cli_restore_path"))
    action.add_argument("--links-outside", action="store_true", help=texts("cli_restore_links"))


def restore(texts: Texts, arguments: argparse.Namespace, complain: Complain) -> int:
    """0; or 1, and then nothing is left behind."""
    into = Into.beside(arguments.into)
    files: list[Path] = arguments.files
    owners = Owners()
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        paths = tuple(path.strip("/") for path in arguments.path or ())
        selection = Selection(paths=paths, outward_links=arguments.links_outside)
        identities = age.read_identities(arguments.identity) if arguments.identity else ()
        files = in_order(files, identities)
        with staging(into) as work:
            done = _unpack(work, files, identities, selection, owners)
            if paths and not (done.compared.files or done.compared.links or done.compared.folders):
                return complain("restore_no_such_path", FAILED, texts("restore_no_such_path", path=", ".join(paths)))
            (work / "tree").rename(into.folder)
    except ArchiveError as error:
        return complain(error.code, FAILED, sentence(error, texts, files))
    except OSError as error:
        return complain(*_refused(error, into, texts))
    except (_Stopped, KeyboardInterrupt):
        return complain("interrupted", CTRL_C, texts("restore_interrupted"))
    finally:
        signal.signal(signal.SIGTERM, before)
    return _show(done, into, texts, owners, as_json=arguments.json)


def in_order(files: Sequence[Path], identities: Sequence[str]) -> list[Path]:
    """Oldest first. Raises ArchiveError, whose `archive` is the place in `files`; OSError."""
    places = []
    for number, file in enumerate(files):
        if not stat.S_ISREG(file.stat().st_mode):  # read twice; and no SIGTERM ends the wait for a pipe's writer
            raise NotRegularError(errno.EINVAL, "no regular file", str(file))
        with numbered(number), file.open("rb", buffering=0) as raw:
            places.append((len(header_of(raw, identities).chain), number))
    return [files[number] for _, number in sorted(places)]


def sentence(error: ArchiveError, texts: Texts, files: Sequence[Path]) -> str:
    """The fault, the file, the path in it, and the fix."""
    what = f"{error.path}: {error.detail}" if error.path else error.detail
    file = files[error.archive] if error.archive is not None and error.archive < len(files) else files[-1]
    return texts(f"restore_{error.code}", file=file, what=printable(what))


def printable(text: str) -> str:
    """Names come from an archive: none may steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text.encode("utf-8", "replace").decode())


@contextlib.contextmanager
def staging(into: Into) -> Iterator[Path]:
    """Empty, beside the target, locked, gone at the end. Raises OSError."""
    if into.folder.is_symlink() or (into.folder.exists() and (not into.folder.is_dir() or any(into.folder.iterdir()))):
        raise FileExistsError(str(into.folder))
    into.staging.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(into.staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in into.staging.iterdir():  # of one that was killed
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        try:
            yield into.staging
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing ends the removal half way
            shutil.rmtree(into.staging, ignore_errors=True)
    finally:
        os.close(lock)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _unpack(
    work: Path, files: Sequence[Path], identities: Sequence[str], selection: Selection, owners: Owners
) -> Replayed:
    (work / "tree").mkdir(0o755)
    room = DiskRoom(_most(work))
    chain = [ChainLink(partial(_opened, file)) for file in files]
    total = sum(file.stat().st_size for file in files)
    root = os.open(work / "tree", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        done = replay(
            chain, root, work, identities=identities, selection=selection, room=room, owners=owners,
            phase=_Percent(total).show,
        )  # fmt: skip
        make_durable(root)
    finally:
        os.close(root)
    return done


def _opened(file: Path) -> BinaryIO:
    return file.open("rb", buffering=0)


def _most(folder: Path) -> int:
    disk = os.statvfs(folder)
    return max(0, disk.f_bavail * disk.f_frsize - _RESERVE)


class _Percent:
    def __init__(self, total: int) -> None:
        self._total = max(1, total)
        self._last = -1
        self._is_shown = sys.stderr.isatty()

    def show(self, phase: str, done: int) -> None:
        percent = min(100, 100 * done // self._total) if phase == UNPACKING else 100
        if self._is_shown and percent != self._last:
            self._last = percent
            print(f"\r{percent:>3} %", end="\r" if percent < 100 else "\r     \r", file=sys.stderr, flush=True)


def _refused(error: OSError, into: Into, texts: Texts) -> tuple[str, int, str]:
    if isinstance(error, FileExistsError) and str(error) == str(into.folder):
        return "restore_not_empty", WRONG_USAGE, texts("restore_not_empty", folder=into.folder)
    if isinstance(error, BlockingIOError):
        return "restore_running", FAILED, texts("restore_running", folder=into.folder)
    if isinstance(error, NotRegularError):
        return "restore_no_file", FAILED, texts("restore_no_file", path=error.filename)
    where = error.filename or into.folder
    if where == str(into.staging):  # a name that nobody gave
        where = into.folder.parent
    return WRITE_FAILED, FAILED, texts("restore_unwritable", path=where, why=error.strerror or error)


def _show(done: Replayed, into: Into, texts: Texts, owners: Owners, *, as_json: bool) -> int:
    newest, compared = done.newest, done.compared
    noted = {
        "unknown_owners": owners.unknown, "set_id_removed": owners.set_id, "without_attributes": owners.without,
    }  # fmt: skip
    if as_json:
        print(json.dumps({
            "into": str(into.folder), "backup_id": newest.backup_id, "chain": list(newest.chain),
            "created_at": newest.created_at, "device_id": newest.device_id, "files": compared.files,
            "bytes": compared.bytes, "links": compared.links, "folders": compared.folders,
            **{name: [printable(each) for each in listed] for name, listed in noted.items()},
        }))  # fmt: skip
    else:
        print(texts(
            "restore_done", count=compared.files, bytes=compared.bytes, folder=into.folder, id=newest.backup_id,
            machine=printable(newest.device_id), at=printable(newest.created_at),
        ))  # fmt: skip
        for name, listed in noted.items():
            if listed:
                print(texts(f"restore_{name}", what=", ".join(map(printable, listed))))
    return OK
