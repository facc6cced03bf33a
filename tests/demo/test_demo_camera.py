"""The demo's camera page: a page, a picture, a stream that goes on, and an end with whoever started it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest

from bench.processes import ROOT
from demo import camera as demo_camera
from tests.demo.test_mosaic_jpeg import decode
from tests.support.free_ports import free_port
from tests.support.until import wait_until

START_S = 30.0


@pytest.fixture
def url() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "demo.camera", "--port", str(port)], cwd=ROOT)
    try:
        answers(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=0), trust_env=False, timeout=60) as client:
        wait_until(lambda: _listens(client, url), START_S)


def _listens(client: httpx.Client, url: str) -> bool:
    try:
        client.get(url)
    except httpx.TransportError:
        return False
    return True


def test_it_shows_generated_pictures_that_say_so(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as browser:
        assert "no real camera" in browser.get("/").text
        picture = browser.get("/picture.jpg")
        assert picture.headers["content-type"] == "image/jpeg"
        squares = decode(picture.content)
        assert (len(squares), len(squares[0])) == (demo_camera.HEIGHT, demo_camera.WIDTH)
        assert browser.get("/etc/passwd").status_code == 404


def test_its_stream_goes_on_with_new_pictures(url: str) -> None:
    with httpx.stream("GET", url + "/stream", trust_env=False) as stream:
        assert stream.headers["content-type"] == "multipart/x-mixed-replace; boundary=picture"
        seen, pieces = b"", stream.iter_raw()
        while seen.count(b"--picture") < 4:
            seen += next(pieces)
    pictures = [part.partition(b"\r\n\r\n")[2][:-2] for part in seen.split(b"--picture")[1:-1]]
    assert len({*pictures}) == len(pictures)
    assert decode(pictures[0])


def test_time_and_word_are_written_into_the_picture() -> None:
    squares = decode(demo_camera.picture(1_000_000.0))
    assert sum(row.count(255) for row in squares[2:16]) > 80


def test_it_ends_when_whoever_started_it_is_gone() -> None:
    port = free_port()
    script = f"""import subprocess, sys
print(subprocess.Popen([sys.executable, "-m", "demo.camera", "--port", "{port}"]).pid, flush=True)
sys.stdin.read()"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    camera = psutil.Process(int(parent.stdout.readline()))
    answers(f"http://127.0.0.1:{port}/")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert psutil.wait_procs([camera], timeout=30)[1] == []
