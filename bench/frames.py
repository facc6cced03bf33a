"""Bytes of WebSocket frames, built once and sent often, and the leanest parser of what a server answers.

A client must mask; the mask here is four zero bytes, which leaves the payload as it is and costs the server the same.
"""

from __future__ import annotations

import datetime as calendar
import struct
from collections.abc import Iterator
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
FIN: Final = 0x80
_MASK: Final = 0x80


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One whole masked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((FIN | opcode, _MASK | size))
    elif size < 65536:
        head = struct.pack("!BBH", FIN | opcode, _MASK | 126, size)
    else:
        head = struct.pack("!BBQ", FIN | opcode, _MASK | 127, size)
    return head + b"\0\0\0\0" + payload


def take_frames(buffer: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames of a server in `buffer` as (first byte, payload), and what is left of it. The first byte of a
    whole message is FIN | opcode; fragments are not joined here."""
    found: list[tuple[int, bytes]] = []
    at, end = 0, len(buffer)
    while end - at >= 2:
        size, start = buffer[at + 1], at + 2
        if size == 126:
            start += 2
            size = int.from_bytes(buffer[at + 2 : start], "big") if end >= start else end
        elif size == 127:
            start += 8
            size = int.from_bytes(buffer[at + 2 : start], "big") if end >= start else end
        if end - start < size or start > end:
            break
        found.append((buffer[at], buffer[start : start + size]))
        at = start + size
    return found, buffer[at:]


class MetricsFrames:
    """Metrics frames of one machine, each a second later than the one before, as cheaply as they can be made.

    The text of a frame is a fixed body in which only the second and the sequence number change.
    """

    def __init__(self, machine: int, samples: int, first_s: int, *, live: bool = False) -> None:
        self.samples = samples
        self.seq = 0
        self._second = first_s
        self._tail = b',"live":true}' if live else b"}"
        self._pieces = list(_pieces(machine, samples))

    def next(self) -> bytes:
        self.seq += self.samples
        second = clock_text(self._second)
        self._second += 1
        body = second.join(self._pieces)
        return client_frame(b'{"type":"metrics","seq":%d,"samples":[%b]%b' % (self.seq, body, self._tail))


def _pieces(machine: int, samples: int) -> Iterator[bytes]:
    """What stands around the text of the second in a list of samples."""
    tail = b""
    for k in range(samples):
        yield tail + (b"," if k else b"") + b'{"timestamp":"'
        a, b, c = (machine * 7 + k) % 100, (machine * 3 + k) % 100, (machine + 2 * k) % 60
        milliseconds, degrees = k * 1000 // samples, 30 + c // 2
        tail = b'.%03dZ","cpu_usage":%d.5,"memory_usage":%d.25,"disk_usage":42.5' % (
            milliseconds,
            a,
            b,
        ) + b',"gpu_usage":%d.0,"temperature":%d.5}' % (c, degrees)
    yield tail


_DAY_S: Final = 86400
_EPOCH: Final = calendar.date(1970, 1, 1).toordinal()
_times_of_day = [b"T%02d:%02d:%02d" % (s // 3600, s // 60 % 60, s % 60) for s in range(_DAY_S)]
_days: dict[int, bytes] = {}


def clock_text(unix_s: int) -> bytes:
    """RFC 3339 up to the second, without zone."""
    day, second = divmod(unix_s, _DAY_S)
    date = _days.get(day)
    if date is None:
        date = _days[day] = calendar.date.fromordinal(_EPOCH + day).isoformat().encode()
    return date + _times_of_day[second]
