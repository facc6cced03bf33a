"""The child process as the agent sees it: started, followed, made to yield, ended."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from device.backups.control import MAX_LINE, Assignment, ChildReport, Yielding
from device.kernel.tasks import until_one_ends, within
from device.settings import without_key

END_S: Final = 2.0
_ROOT: Final = str(Path(__file__).resolve().parents[2])
_CODE: Final = """
import sys
sys.path.append(sys.argv[1])
from device.backups.child import main
sys.exit(main())
"""
_MEMORY: Final = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "262144"}
"""What is freed goes back at once: a part is as large as the rest of the child."""
LAST_WORDS: Final = 8


class Child:
    """The key goes in by its input: arguments and environment are for others to see."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stderr: deque[str] = deque(maxlen=LAST_WORDS)

    @classmethod
    async def start(cls, assignment: Assignment) -> Child:
        """Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-X", "utf8", "-c", _CODE, _ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True, cwd="/", env={**without_key(), **_MEMORY}, limit=MAX_LINE,
        )  # fmt: skip
        made = cls(process)
        made._write(assignment)
        return made

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def last_words(self) -> str:
        return "; ".join(self._stderr)[-400:] or f"it ended with {self._process.returncode}"

    def obey(self, wanted: Yielding) -> None:
        """Never waits: one line at a time."""
        self._write(wanted)

    async def follow(self, handle: Callable[[ChildReport], None]) -> None:
        await until_one_ends(self._reports(handle), self._complaints())

    async def end(self) -> None:
        """Kill it: what must last is on disk at any moment."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:
                self._process.kill()
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await within(END_S, self._process.wait())

    def _write(self, message: msgspec.Struct) -> None:
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(msgspec.json.encode(message) + b"\n")

    async def _reports(self, handle: Callable[[ChildReport], None]) -> None:
        decoder = msgspec.json.Decoder(ChildReport)
        stdout = self._process.stdout
        while stdout is not None and (line := await stdout.readline()):
            with contextlib.suppress(msgspec.DecodeError):
                handle(decoder.decode(line))
        await self._process.wait()

    async def _complaints(self) -> None:
        stderr = self._process.stderr
        while stderr is not None and (line := await stderr.readline()):
            self._stderr.append(line.decode(errors="replace").strip())
        await self._process.wait()
        await asyncio.sleep(END_S)  # what it reported is read first
