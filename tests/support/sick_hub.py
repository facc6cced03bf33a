"""A hub in any condition, for `doctor`; and what it finds."""

from __future__ import annotations

import http.server
import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from device.cli.main import main
from tests.device import trees
from tests.support.certificates import server_context
from tests.support.fake_hub import KEY


class SickHub:
    """`paths` maps a path to a status; the Date header is `ahead` of the truth. `machine`: what it says of any machine;
    `page`: what it answers to everything, as a login page does."""

    def __init__(self) -> None:
        self.paths: dict[str, int] = {"/ws/device": 401}
        self.ahead = timedelta()
        self.machine: dict[str, Any] = {}
        self.page = ""
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = (hub.page or json.dumps({"success": True, "data": hub.machine})).encode()
                self.send_response_only(hub.paths.get(self.path, 200))
                self.send_header("Date", format_datetime(datetime.now(timezone.utc) + hub.ahead, usegmt=True))
                if hub.page:
                    self.send_header("Location", "/login")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def examined(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], **members: Any
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and checks by name; what needs root has its verb behind it."""
    root = trees.orin_nano_jetpack6(tmp_path / "root")
    file = tmp_path / "machine.json"
    url = f"http://127.0.0.1:{hub.server.server_address[1]}"
    values = {"myrvm_base_url": url, "api_token": KEY, "rvm_id": 7, "sensor_root": str(root), **members}
    file.write_text(json.dumps(values))
    file.chmod(members.pop("mode", 0o600))
    code = main(["doctor", "--json", "--config", str(file)], {})
    out = capsys.readouterr().out
    assert KEY not in out
    return code, {" ".join([c["check"], *filter(None, [c.get("verb")])]): c for c in json.loads(out)["checks"]}


def over_tls(hub: SickHub, pem: Path) -> str:
    """Its address from now on."""
    hub.server.socket = server_context(pem).wrap_socket(hub.server.socket, server_side=True)
    return f"https://127.0.0.1:{hub.server.server_address[1]}"
