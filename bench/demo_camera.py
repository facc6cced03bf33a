"""The camera page of the demo's machine: generated pictures, labelled as such, as a machine's own camera page is.

    python -m bench.demo_camera --port 5000

`/` is a page, `/stream` the pictures without an end (MJPEG), `/picture.jpg` one. On loopback only; the agent starts it
when somebody opens it through a lease (`remote_services`), and it ends when the agent is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.mosaic_jpeg import encode

WIDTH, HEIGHT = 80, 45
PICTURES_PER_S = 8
BOUNDARY = "picture"
LETTERS = {
    "0": "757557", "1": "262227", "2": "717447", "3": "717117", "4": "557111", "5": "747117", "6": "747557",
    "7": "711222", "8": "757757", "9": "757117", ":": "020020", "D": "655556", "E": "747447", "M": "577555",
    "O": "755557",
}  # fmt: skip
"""Three columns and six rows each, a digit a row."""
PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Demo camera</title><style>
body{margin:1rem;font-family:system-ui,sans-serif}img{max-width:100%;height:auto}</style>
<h1>Demo camera</h1>
<p>Generated pictures, no real camera. / <span lang="id">Gambar buatan, bukan kamera sungguhan.</span></p>
<img src="/stream" width="640" height="360" alt="A bottle on a belt, the word DEMO and the time">
"""


def picture(now: float) -> bytes:
    """A bottle on its way along a belt, the word DEMO and the time of day."""
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
    """One browser."""

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
        """Nobody reads a demo's access log."""

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
    parser = argparse.ArgumentParser(prog="bench.demo_camera", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--port", type=int, default=5000)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args(argv).port), Camera)
    server.daemon_threads = True
    threading.Thread(target=_follow, args=(server, os.getppid()), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


def _follow(server: ThreadingHTTPServer, parent: int) -> None:
    """Whoever started it is gone: so is it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
