"""Checks a chain in a child process: `python -m archive check` unpacks it into a scratch folder and compares every
file. The child ends when nobody waits for it or the hub is gone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from hub.backups.rules.drill import TOO_SLOW
from hub.kernel.objects.place import ObjectDamagedError, ObjectMissingError, ObjectsError

ROOT: Final = Path(__file__).resolve().parents[2]
SILENCE_S: Final = 600.0
"""A child without a line for so long hangs."""
MAX_LINE: Final = 64 * 1024
FOLDERS: Final = "check-"
"""Prefix of the child's folders in the scratch folder."""
MANIFESTS: Final = "manifest-"
NICE: Final = 15
DAMAGED: Final = "archive_damaged"

Popen = subprocess.Popen[bytes]
ArchiveBytes = Path | Callable[[], AsyncIterator[bytes]]
"""A file, or what gives its bytes from the front."""


class NotCheckedError(Exception):
    pass


async def check(
    archives: Sequence[ArchiveBytes], scratch: Path, room: int, manifest: Path, within: timedelta
) -> dict[str, Any]:
    """The child's last line: `event` is done (sha256 one an archive, files, bytes) or failed (code, detail, path,
    archive: its place). `archives` oldest first; at most `room` bytes are unpacked. Raises NotCheckedError and
    ObjectsError."""
    await anyio.to_thread.run_sync(_make_private, scratch)
    feeds = [_Feed(place, archive) for place, archive in enumerate(archives) if not isinstance(archive, Path)]
    reading = {feed.place: feed.reading for feed in feeds}
    names = [f"fd:{reading[place]}" if place in reading else str(one) for place, one in enumerate(archives)]
    command = [sys.executable, "-m", "archive", "check", *names, "--scratch", str(scratch)]
    command += ["--max-bytes", str(room), "--manifest", str(manifest)]
    async with _running(command, feeds, scratch) as process:
        with anyio.move_on_after(within.total_seconds()):
            return await _watched(process, feeds)
    detail = f"it was not unpacked and compared within {within.total_seconds() / 60:.0f} min"
    return {"event": "failed", "code": TOO_SLOW, "detail": detail, "archive": None}


async def _watched(process: Popen, feeds: Sequence[_Feed]) -> dict[str, Any]:
    last: dict[str, Any] | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_feed, feeds, process)
        last = await _last_line(process)
        tasks.cancel_scope.cancel()
    for feed in feeds:
        if isinstance(feed.failure, (ObjectMissingError, ObjectDamagedError)):
            lost = "the store does not have it any more"
            detail = lost if isinstance(feed.failure, ObjectMissingError) else "the store gave only a part of it"
            return {"event": "failed", "code": DAMAGED, "detail": detail, "archive": feed.place}
        if feed.failure is not None:
            raise feed.failure
    if last is None:
        raise NotCheckedError(f"the child said nothing for {SILENCE_S:.0f} s")
    if last.get("event") not in ("done", "failed"):
        raise NotCheckedError(f"the child ended with {process.returncode} before it was done")
    return last


async def _last_line(process: Popen) -> dict[str, Any] | None:
    """None: silent for too long."""
    output, last, begun = process.stdout, b"", b""
    if output is None:
        return None
    os.set_blocking(output.fileno(), False)
    while len(begun) < MAX_LINE:
        with anyio.move_on_after(SILENCE_S) as silence:
            await anyio.wait_readable(output)
        if silence.cancelled_caught:
            return None
        piece = os.read(output.fileno(), MAX_LINE)
        if not piece:
            await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
            break
        *whole, begun = (begun + piece).split(b"\n")
        last = whole[-1] if whole else last
    with contextlib.suppress(ValueError):
        found = json.loads(last)
        return found if isinstance(found, dict) else {}
    return {}


class _Feed:
    def __init__(self, place: int, pieces: Callable[[], AsyncIterator[bytes]]) -> None:
        self.place = place
        self.pieces = pieces
        self.failure: ObjectsError | None = None
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self._open = {self.reading, self.writing}

    def close(self, *ends: int) -> None:
        for end in ends or tuple(self._open):
            if end in self._open:
                self._open.discard(end)
                os.close(end)


async def _feed(feeds: Sequence[_Feed], process: Popen) -> None:
    """One after the other. A store that fails ends the child, for what it read was cut."""
    try:
        for feed in feeds:
            try:
                async for piece in feed.pieces():
                    await _write(feed.writing, piece)
            except BrokenPipeError:
                return  # the child has seen enough
            except ObjectsError as failure:
                feed.failure = failure
                process.kill()
                return
            feed.close(feed.writing)
    finally:
        for feed in feeds:
            feed.close()


async def _write(end: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        try:
            left = left[os.write(end, left) :]
        except BlockingIOError:  # noqa: PERF203 - the pipe is full as a rule
            await anyio.wait_writable(end)


@contextlib.asynccontextmanager
async def _running(command: list[str], feeds: Sequence[_Feed], scratch: Path) -> AsyncIterator[Popen]:
    """Nothing of the child is left. It begins and ends in threads: the loop would stand still until a busy computer
    gives it a turn."""
    with anyio.CancelScope(shield=True):
        try:
            process = await anyio.to_thread.run_sync(_begin, command, [feed.reading for feed in feeds])
        except BaseException:
            for feed in feeds:
                feed.close()
            raise
        for feed in feeds:
            feed.close(feed.reading)
    try:
        yield process
    finally:
        for feed in feeds:
            feed.close()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_end, process, scratch)


def _begin(command: list[str], inherited: list[int]) -> Popen:
    # Polite from its first instruction: to load a Python would take turns from the loop on a busy computer.
    nice = shutil.which("nice")
    command = command if nice is None else [nice, "-n", str(NICE), *command]
    return subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=ROOT, pass_fds=inherited, bufsize=0
    )  # fmt: skip


def _end(process: Popen, scratch: Path) -> None:
    if process.poll() != 0:
        process.kill()
        process.wait()
        remove_folders(scratch)
    if process.stdout is not None:
        process.stdout.close()


def clean(scratch: Path) -> None:
    """Remove what a killed hub left behind, and nothing else."""
    remove_folders(scratch)
    for left in scratch.glob(f"{MANIFESTS}*.gz*"):
        left.unlink(missing_ok=True)


def remove_folders(scratch: Path) -> None:
    for left in scratch.glob(f"{FOLDERS}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
