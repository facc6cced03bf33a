"""`run_device.py remote`: a session on site is asked of the hub with the machine's key; what it says is shown."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.cli.main import main
from tests.support.fake_hub import KEY

SESSION = {"id": 7, "admin_name": "Siti", "reason": "belt", "expires_at": "2030-01-01T00:30:00Z", "status": "active"}


class Asked(list[tuple[str, str, Any]]):
    """What the hub was asked: method, path, body."""

    status = 200
    url = ""


@contextlib.contextmanager
def hub(data: Any) -> Iterator[Asked]:
    asked = Asked()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            asked.append((self.command, self.path, json.loads(self.rfile.read(size) or b"null")))
            assert self.headers["Authorization"] == f"Bearer {KEY}"
            content = json.dumps({"success": True, "data": data, "message": "admin_ips does not name it"}).encode()
            self.send_response(asked.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    asked.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def run(folder: Path, url: str, *words: str, language: str = "en") -> int:
    config = folder / "machine.json"
    config.write_text(json.dumps({"myrvm_base_url": url, "api_token": KEY, "rvm_id": 1, "retry_attempts": 1}))
    config.chmod(0o600)
    return main(["remote", *words, "--config", str(config)], {"LANG": language})


def test_a_session_is_begun_with_what_was_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hub(SESSION) as asked:
        assert run(tmp_path, asked.url, "start", "--reason", "belt", "--duration", "900", "--admin", "3") == 0
    assert asked == [
        ("POST", "/api/v2/rvms/1/remote-access/start", {"admin_id": 3, "reason": "belt", "duration": 900.0})
    ]
    assert "session 7 is open until 2030-01-01T00:30:00Z" in capsys.readouterr().out


def test_it_is_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hub(SESSION) as asked:
        assert run(tmp_path, asked.url, "stop", language="id") == 0
    assert asked == [("POST", "/api/v2/rvms/1/remote-access/stop", {})]
    assert "sesi 7 telah berakhir" in capsys.readouterr().out


def test_what_is_open_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hub({"sessions": [SESSION]}) as asked:
        assert run(tmp_path, asked.url) == 0
        assert run(tmp_path, asked.url, "status", "--json") == 0
    assert {(method, path) for method, path, _ in asked} == {("GET", "/api/v2/rvms/1/remote-access/status")}
    text, as_json = capsys.readouterr().out.splitlines()
    assert text == "session 7: Siti, until 2030-01-01T00:30:00Z (belt)"
    assert json.loads(as_json) == {"sessions": [SESSION]}
    with hub({"sessions": []}) as asked:
        assert run(tmp_path, asked.url) == 0
    assert "no session is open" in capsys.readouterr().out


def test_a_refusal_is_shown_with_the_hubs_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hub(None) as asked:
        asked.status = 403
        assert run(tmp_path, asked.url, "start") == 2
    assert len(asked) == 1
    assert "admin_ips does not name it" in capsys.readouterr().err


def test_a_beginning_that_got_no_answer_is_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hub(None) as asked:
        asked.status = 503
        assert run(tmp_path, asked.url, "start") == 1
    assert len(asked) == 1
    assert run(tmp_path, asked.url, "start", "--json") == 1
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["error"]["code"] == "remote_unreachable"
