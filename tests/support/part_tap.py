"""A network between an agent and its hub that counts the bytes of backups' parts, and those that came before."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.support.chaos_proxy import ChaosProxy

_PART = re.compile(rb"PUT [^ ]*/parts/([0-9]+) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_RANGE = re.compile(rb"\r\ncontent-range: *bytes ([0-9]+)-", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


@dataclass
class _Requests:
    """Those of one connection. `number` 0: what follows is no part's; `left`: of the body, None: never a request."""

    head: bytes = b""
    number: int = 0
    place: int = 0
    left: int | None = 0


class PartTap(ChaosProxy):
    """`twice`: bytes of parts that had gone before, since each `cut`; `sent`: all of them, once."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.twice = [0]
        self._spans: dict[int, list[tuple[int, int]]] = {}  # Bound: the parts of one test
        self._requests: dict[int, _Requests] = {}  # Bound: the connections of one test

    @property
    def sent(self) -> int:
        return sum(end - first for spans in self._spans.values() for first, end in spans)

    def cut(self) -> None:
        """What goes from now on is counted apart."""
        self.twice.append(0)

    def taken(self, connection: int, data: bytes) -> None:
        requests = self._requests.setdefault(connection, _Requests())
        while data and requests.left is not None:
            if requests.left:
                piece, data = data[: requests.left], data[requests.left :]
                requests.left -= len(piece)
                if requests.number:
                    self._count(requests.number, requests.place, requests.place + len(piece))
                requests.place += len(piece)
                continue
            head, end, data = (requests.head + data).partition(b"\r\n\r\n")
            if not end:
                requests.head = head
                return
            _begin(requests, head)

    def _count(self, number: int, first: int, end: int) -> None:
        spans = self._spans.setdefault(number, [])
        before = sum(e - f for f, e in spans)
        for f, e in spans:
            self.twice[-1] += max(0, min(e, end) - max(f, first))
        apart = [(f, e) for f, e in spans if e < first or f > end]
        touched = [(f, e) for f, e in spans if not (e < first or f > end)]
        whole = min([first, *(f for f, _ in touched)]), max([end, *(e for _, e in touched)])
        self._spans[number] = sorted([*apart, whole])
        assert sum(e - f for f, e in self._spans[number]) >= before


def _begin(requests: _Requests, head: bytes) -> None:
    part, length, span = _PART.match(head), _LENGTH.search(head), _RANGE.search(head)
    requests.head = b""
    requests.number = int(part[1]) if part is not None else 0
    requests.place = int(span[1]) if span is not None else 0
    requests.left = None if _UPGRADE.search(head) else int(length[1]) if length is not None else 0


@contextlib.asynccontextmanager
async def part_tap(target: int) -> AsyncIterator[PartTap]:
    """In front of the hub at this port."""
    tap = PartTap(target)
    await tap.open()
    try:
        yield tap
    finally:
        await tap.close()
