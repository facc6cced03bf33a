"""`python -m archive check|manifest`: reads archives in a process of its own, polite, and reports in JSON lines."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from archive import age
from archive.errors import DAMAGED, DISK_FULL, WRITE_FAILED, ArchiveError, printable
from archive.packing import PIECE
from archive.replay import COMPARING, UNPACKING, ChainLink, Replayed, replay
from archive.unpack import DiskRoom, Unpacked, unpack

EVERY_S: Final = 0.25
NICE: Final = 15
WAKE_S: Final = 0.5
"""How long a SIGTERM may go unheard: one that comes just before a read of a pipe would wait until the pipe has more."""
RESERVE: Final = 64 * 1024 * 1024
"""Bytes of the scratch folder's disk that stay free whatever is unpacked."""


class _Ended(BaseException):
    """SIGTERM or SIGINT: what was unpacked is removed on the way out."""


class _Report:
    """JSON lines on standard output, progress at most four times a second."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._last = ("", 0.0)
        self.unpacked = 0

    def phase(self, phase: str, done: int) -> None:
        now = time.monotonic()
        if phase == self._last[0] and now - self._last[1] < EVERY_S:
            return
        self._last = (phase, now)
        total = self._total if phase == UNPACKING else self.unpacked
        self.line(event="progress", phase=phase, done=done, total=max(total, done))

    def line(self, **members: Any) -> None:
        _write_line(members)


def main(argv: Sequence[str]) -> int:
    """0: done, 1: reported as failed, 2: wrong usage."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGALRM, _wake)
    signal.setitimer(signal.ITIMER_REAL, WAKE_S, WAKE_S)
    try:
        return _run(arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # Python's own end takes the handler away: an alarm then would kill it


def _run(arguments: argparse.Namespace) -> int:
    with contextlib.suppress(OSError):
        os.nice(NICE)
    try:
        archives = [_opened(name) for name in arguments.archives]
        report = _Report(sum(each.size or 0 for each in archives))
        identities = age.read_identities(arguments.identity) if arguments.identity else ()
        started = time.monotonic()
        if arguments.verb == "check":
            members = _check(archives, identities, arguments, report)
        else:
            members = _manifest(archives[0], identities, arguments.out, report)
    except ArchiveError as error:
        return _failed(error.code, error.detail, error.path, error.archive)
    except OSError as error:
        return _failed(WRITE_FAILED, f"{error.strerror or error}", str(error.filename or ""), None)
    except (_Ended, KeyboardInterrupt):
        return _failed("interrupted", "ended from outside", "", None)
    except MemoryError:
        return _failed(DAMAGED, "it asks for more memory than there is", "", None)
    report.line(event="done", **members, seconds=round(time.monotonic() - started, 3))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m archive")
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("check", help="unpack a chain into a scratch folder and compare every file")
    check.add_argument("archives", nargs="+", metavar="ARCHIVE", help="a path, fd:N or fd:N:SIZE; oldest first")
    check.add_argument("--scratch", type=Path, required=True)
    check.add_argument("--max-bytes", type=int, default=None)
    check.add_argument("--manifest", type=Path, default=None)
    listing = verbs.add_parser("manifest", help="write the manifest of one archive, gzipped")
    listing.add_argument("archives", nargs=1, metavar="ARCHIVE")
    listing.add_argument("out", type=Path)
    for parser_of_verb in (check, listing):
        parser_of_verb.add_argument("--identity", type=Path, default=None)
    return parser


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Ends a blocking call, so that Python looks for signals; it goes on with the call by itself."""


def _failed(code: str, detail: str, path: str, archive: int | None) -> int:
    shown = printable(path[:1000])
    with contextlib.suppress(_Ended):
        _write_line({"event": "failed", "code": code, "detail": detail, "path": shown, "archive": archive})
    return 1


def _write_line(members: Mapping[str, Any]) -> None:
    """Raises _Ended when whoever asked has died."""
    try:
        print(json.dumps(members), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes at its end
        raise _Ended from None


def _opened(name: str) -> ChainLink:
    """An archive by its path, or by a descriptor that the caller has left open."""
    if name.startswith("fd:"):
        number, _, size = name[3:].partition(":")
        fd = int(number)
        return ChainLink(lambda: os.fdopen(fd, "rb", buffering=0), int(size) if size else None)
    path = Path(name)
    return ChainLink(lambda: path.open("rb", buffering=0), path.stat().st_size)


def _check(archives: list[ChainLink], identities: Sequence[str], arguments: argparse.Namespace, report: _Report) -> Any:
    with _scratch(arguments.scratch) as (work, root):
        room = DiskRoom(_free(work) if arguments.max_bytes is None else min(arguments.max_bytes, _free(work)))

        def phase(name: str, done: int) -> None:
            if name == COMPARING and not report.unpacked:
                report.unpacked = _size(root)
            report.phase(name, done)

        done = replay(archives, root, work, identities=identities, room=room, phase=phase)
        if arguments.manifest:
            _save(done.manifests[-1], arguments.manifest)
    return _checked(done)


def _checked(done: Replayed) -> dict[str, Any]:
    return {
        **_listed(done.archives[-1]),
        "sha256": [each.sha256 for each in done.archives],
        "archive_bytes": [each.size for each in done.archives],
        "compared_files": done.compared.files,
        "compared_bytes": done.compared.bytes,
    }


def _listed(one: Unpacked) -> dict[str, Any]:
    header, totals = one.header, one.totals
    return {
        "backup_id": header.backup_id, "rvm_id": header.rvm_id, "backup_type": header.backup_type,
        "chain": list(header.chain), "files": totals.files, "bytes": totals.bytes, "entries": totals.entries,
        "deleted": totals.deleted, "sha256": [one.sha256], "archive_bytes": [one.size],
    }  # fmt: skip


def _manifest(archive: ChainLink, identities: Sequence[str], out: Path, report: _Report) -> Any:
    with tempfile.TemporaryDirectory(prefix="manifest-", dir=out.parent) as work, archive.open() as raw:
        file = Path(work) / "manifest.jsonl"
        one = unpack(raw, None, file, identities=identities, progress=lambda done: report.phase(UNPACKING, done))
        _save(file, out)
    return _listed(one)


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[tuple[Path, int]]:
    """A new folder with an open empty one in it; removed whatever happens."""
    work = Path(tempfile.mkdtemp(prefix="check-", dir=folder))
    try:
        (work / "tree").mkdir(0o700)
        root = os.open(work / "tree", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield work, root
        finally:
            os.close(root)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing may end the removal half way
        shutil.rmtree(work, ignore_errors=True)


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize - RESERVE
    if free <= 0:
        raise ArchiveError(DISK_FULL, f"no room to unpack in {folder}")
    return free


def _size(root: int) -> int:
    return sum(os.stat(name, dir_fd=fd, follow_symlinks=False).st_size
               for _, _, names, fd in os.fwalk(".", dir_fd=root) for name in names)  # fmt: skip


def _save(file: Path, out: Path) -> None:
    """The manifest, gzipped, whole or not at all."""
    half = out.with_name(f"{out.name}.half")
    with file.open("rb") as source, half.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        shutil.copyfileobj(source, packed, PIECE)
    half.replace(out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
