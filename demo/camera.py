"""Serves the camera page of the demo's machine: generated pictures, labelled as such.

python -m demo.camera --port 5000

`/` is a page, `/stream` endless pictures (MJPEG), `/picture.jpg` one. On loopback only; the agent starts it for a
remote session (`remote_services`), and it ends with the agent. A picture is a grey baseline JPEG of the mean (DC
coefficient) of each 8 x 8 square, made without a library."""

from __future__ import annotations

import argparse
import contextlib
import os
import struct
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

WIDTH, HEIGHT = 80, 45
PICTURES_PER_S = 8
BOUNDARY = "picture"
LETTERS = {
    "0": "757557", "1": "262227", "2": "717447", "3": "717117", "4": "557111", "5": "747117", "6": "747557",
    "7": "711222", "8": "757757", "9": "757117", ":": "020020", "D": "655556", "E": "747447", "M": "577555",
    "O": "755557",
}  # fmt: skip
"""Three columns, six rows, a digit a row."""
PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Demo camera</title><style>
body{margin:1rem;font-family:system-ui,sans-serif}img{max-width:100%;height:auto}</style>
<h1>Demo camera</h1>
<p>Generated pictures, no real camera. / <span lang="id">Gambar buatan, bukan kamera sungguhan.</span></p>
<img src="/stream" width="640" height="360" alt="A bottle on a belt, the word DEMO and the time">
"""


def picture(now: float) -> bytes:
    """A bottle on a belt, the word DEMO and the time."""
    rows = [[40 + 2 * y] * WIDTH for y in range(HEIGHT)]
    for x in range(WIDTH):
        rows[36][x] = rows[37][x] = 200 if (x + int(now * 16)) % 8 < 4 else 90
    left = int(now * 10) % (WIDTH + 12) - 12
    for y, (start, width) in enumerate([(5, 2)] * 4 + [(4, 4)] + [(2, 8)] * 13):
        for x in range(left + start, left + start + width):
            if 0 <= x < WIDTH:
                rows[18 + y][x] = 225 if x == left + start + 1 else 150
    _write(rows, "DEMO", 2, 2)
    _write(rows, time.strftime("%H:%M:%S", time.localtime(now)), 2, 10)
    return encode(rows)


def _write(rows: list[list[int]], text: str, left: int, top: int) -> None:
    for place, letter in enumerate(text):
        for y, digit in enumerate(LETTERS[letter]):
            for x in range(3):
                if digit.isdigit() and int(digit) & (4 >> x):
                    rows[top + y][left + 4 * place + x] = 255


class Camera(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer("text/html; charset=utf-8", PAGE)
        elif path == "/picture.jpg":
            self._answer("image/jpeg", picture(time.time()))
        elif path == "/stream":
            with contextlib.suppress(OSError):  # the browser has seen enough
                self._stream()
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        ...

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        while True:
            frame = picture(time.time())
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
            self.wfile.write(head.encode() + frame + b"\r\n")
            time.sleep(1 / PICTURES_PER_S)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo.camera", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--port", type=int, default=5000)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args(argv).port), Camera)
    server.daemon_threads = True
    threading.Thread(target=_follow, args=(server, os.getppid()), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


def _follow(server: ThreadingHTTPServer, parent: int) -> None:
    """End with whoever started it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    server.shutdown()


SQUARE: Final = 8
_MIDDLE: Final = 128
_LENGTHS: Final = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
"""Codes of each length, for sizes 0 to 11 of a difference: the standard's table."""
_CODES: Final = ("00", "010", "011", "100", "101", "110", "1110", "11110", "111110", "1111110", "11111110", "111111110")
_END_OF_SQUARE: Final = "0"


def encode(squares: Sequence[Sequence[int]]) -> bytes:
    """Rows of grey values 0-255; the picture is eight times as large."""
    height, width = len(squares) * SQUARE, len(squares[0]) * SQUARE
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xDB, b"\0" + bytes([SQUARE]) * 64),  # so a coefficient is the mean itself
            _segment(0xC0, struct.pack("!BHHBBBB", 8, height, width, 1, 1, 0x11, 0)),
            _segment(0xC4, b"\0" + _LENGTHS + bytes(range(len(_CODES)))),
            _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0"),
            _segment(0xDA, b"\1\1\0\0\x3f\0"),
            _scan(value for row in squares for value in row),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack("!BBH", 0xFF, marker, len(data) + 2) + data


def _scan(values: Iterable[int]) -> bytes:
    """Each mean as the difference from the last: its size in bits, then its bits."""
    bits: list[str] = []
    before = 0
    for value in values:
        mean = value - _MIDDLE
        difference, before = mean - before, mean
        size = abs(difference).bit_length()
        shown = difference if difference >= 0 else difference + (1 << size) - 1
        bits.append(_CODES[size] + (f"{shown:0{size}b}" if size else "") + _END_OF_SQUARE)
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    packed = int(text, 2).to_bytes(len(text) // 8, "big")
    return packed.replace(b"\xff", b"\xff\0")


if __name__ == "__main__":
    sys.exit(main())
