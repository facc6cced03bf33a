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
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from hub.kernel.objects.place import ObjectDamagedError, ObjectMissingError, ObjectsError

ROOT: Final = Path(__file__).resolve().parents[2]
SILENCE_S: Final = 600.0
"""A child without a line for so long hangs."""
MAX_LINE: Final = 64 * 1024
FOLDERS: Final = "check-"
"""Prefix of the child's folders in the scratch folder."""
MANIFESTS: Final = "manifest-"
DAMAGED: Final = "archive_damaged"

ArchiveBytes = Path | Callable[[], AsyncIterator[bytes]]
"""A file, or what gives its bytes from the front."""


class NotCheckedError(Exception):
    pass


async def check(archives: Sequence[ArchiveBytes], scratch: Path, room: int, manifest: Path) -> dict[str, Any]:
    """The child's last line: `event` is done (sha256 one an archive, files, bytes) or failed (code, detail, path,
    archive: its place). `archives` oldest first; at most `room` bytes are unpacked. Raises NotCheckedError and
    ObjectsError."""
    await anyio.to_thread.run_sync(_make_private, scratch)
    feeds = [_Feed(place, archive) for place, archive in enumerate(archives) if not isinstance(archive, Path)]
    reading = {feed.place: feed.reading for feed in feeds}
    names = [f"fd:{reading[place]}" if place in reading else str(one) for place, one in enumerate(archives)]
    command = [sys.executable, "-m", "archive", "check", *names, "--scratch", str(scratch)]
    command += ["--max-bytes", str(room), "--manifest", str(manifest)]
    try:
        process = await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stderr=None, cwd=ROOT, pass_fds=list(reading.values())
        )
    except BaseException:
        for feed in feeds:
            feed.close()
        raise
    async with _ended(process, scratch):
        return await _watched(process, feeds)


async def _watched(process: Process, feeds: Sequence[_Feed]) -> dict[str, Any]:
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


async def _last_line(process: Process) -> dict[str, Any] | None:
    """None: silent for too long."""
    if process.stdout is None:
        return None
    lines, last = BufferedByteReceiveStream(process.stdout), b""
    with contextlib.suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound):
        while True:
            with anyio.move_on_after(SILENCE_S) as silence:
                last = await lines.receive_until(b"\n", MAX_LINE)
            if silence.cancelled_caught:
                return None
    await process.wait()
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


async def _feed(feeds: Sequence[_Feed], process: Process) -> None:
    """One after the other. A store that fails ends the child, for what it read was cut."""
    try:
        for feed in feeds:
            feed.close(feed.reading)
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
async def _ended(process: Process, scratch: Path) -> AsyncIterator[None]:
    """Nothing of the child is left, whatever happens."""
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode != 0:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                await anyio.to_thread.run_sync(remove_folders, scratch)
            await process.aclose()


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
