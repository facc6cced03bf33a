"""A caller that floods a hub with requests, in a process of its own: what they cost the hub is then not mixed with what
sending them costs the test.

Standard input: the port and, by operation, requests as text; then `go` and `stop`, as often as one likes. After each
`stop` it prints what was answered so far: [operation, status, count].
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
"""Connections of each operation."""


class FloodingCaller:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout
        self.answers: Counter[tuple[str, int]] = Counter()

    async def flood(self) -> None:
        """Until it is cancelled."""
        self._to.write(b"go\n")
        try:
            await asyncio.Event().wait()
        finally:
            self._to.write(b"stop\n")
            line = await self._from.readline()
            assert line, "the caller was answered what it does not expect"
            self.answers = Counter({(name, status): count for name, status, count in json.loads(line)})


@contextlib.asynccontextmanager
async def flooding_caller(port: int, requests: dict[str, list[str]]) -> AsyncIterator[FloodingCaller]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.flooding_caller", cwd=ROOT, limit=2**24,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps([port, requests]).encode() + b"\n")
        yield FloodingCaller(process)
    finally:
        process.kill()
        await process.wait()


async def _call(port: int, name: str, requests: list[str], answers: Counter[tuple[str, int]]) -> None:
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer):
            for request in itertools.cycle(requests):
                writer.write(request.encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
                status = int(head.split()[1])
                answers[name, status] += 1
                assert status != 429 or int(head.partition(b"retry-after: ")[2].split()[0]) >= 1
                if b"connection: close" in head:
                    break


async def _main() -> None:
    lines = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    port, requests = json.loads(await lines.readline())
    answers: Counter[tuple[str, int]] = Counter()
    while await lines.readline():
        wanted = AT_ONCE * list(requests.items())
        calls = [asyncio.ensure_future(_call(port, name, of, answers)) for name, of in wanted]
        await lines.readline()
        for call in calls:
            if call.done():
                call.result()
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        print(json.dumps([[name, status, count] for (name, status), count in answers.items()]), flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
