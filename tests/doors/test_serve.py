"""Starting the hub as a person does: what it prints, what it refuses, how it stops, and machines added meanwhile."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.cli.output import Exit
from hub.model import credentials
from tests.doors.conftest import Cli
from tests.support.door_process import REPOSITORY, DoorProcess

Start = Callable[..., DoorProcess]
PASSWORD = "sebuah kalimat yang panjang"


def call(url: str, body: dict[str, Any] | None = None, token: str = "") -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_it_prints_where_how_to_sign_in_the_data_and_how_to_stop(start_hub: Start, data: Path) -> None:
    hub = start_hub("--port", "0", "--data-dir", data)
    url = hub.wait_for(r"http://127\.0\.0\.1:\d+")[0]
    hub.wait_for("Ctrl-C")
    assert [line.split()[0] for line in hub.lines] == ["MyRVM", "Open", "Sign", "Data", "Stop"]
    assert hub.wait_for(r"Sign in +(\S+) ")[1].startswith(f"{url}/signin#rvml_")
    assert hub.wait_for(r"Data +(\S+)")[1] == str(data)
    assert call(f"{url}/api/health")[0] == 200
    hub.signal(signal.SIGTERM)
    assert hub.end() == 0, hub.errors
    assert "Traceback" not in hub.errors


def test_a_program_reads_one_object_and_quiet_leaves_out_the_log(start_hub: Start, data: Path) -> None:
    hub = start_hub("--port", "0", "--data-dir", data, "--json", "--quiet")
    shown = json.loads(hub.wait_for(r"^\{.*\}$")[0])
    assert shown.keys() == {"url", "data_dir", "pid", "sign_in_link", "expires_at"}
    assert call(f"{shown['url']}api/health")[0] == 200
    assert (shown["pid"], shown["data_dir"]) == (hub.pid, str(data))
    hub.signal(signal.SIGTERM)
    assert hub.end() == 0
    assert hub.errors == ""


def test_the_password_of_an_unattended_start_signs_in_and_no_link_is_printed(
    start_hub: Start, data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    environment = {"RVM_ADMIN_EMAIL": "Boss@Example.com", "RVM_ADMIN_PASSWORD_FILE": str(file)}
    hub = start_hub("--port", "0", "--data-dir", data, **environment)
    url = hub.wait_for(r"http://\S+:\d+")[0]
    hub.wait_for("Ctrl-C")
    assert not any("rvml_" in line for line in hub.lines)
    status, answer = call(f"{url}/api/v2/auth/login", {"email": "boss@example.com", "password": PASSWORD})
    assert (status, answer["data"]["user"]["role"]) == (200, "admin")
    hub.signal(signal.SIGINT)
    assert hub.end() == 0
    assert PASSWORD not in "".join(hub.lines) + hub.errors


@pytest.mark.parametrize("known", ["changeme123", credentials.EXAMPLE_PASSWORD])
def test_a_known_password_is_refused_before_anything_listens(
    start_hub: Start, data: Path, tmp_path: Path, known: str
) -> None:
    file = tmp_path / "password"
    file.write_text(known)
    file.chmod(0o600)
    hub = start_hub("--port", "0", "--data-dir", data, "--admin-email", "a@b.c", "--admin-password-file", file)
    assert hub.end() == Exit.CONFIGURATION
    assert "attacker" in hub.errors
    assert hub.lines == []


@pytest.mark.parametrize("flag", ["--admin-password-file", "--tls-key"])
def test_a_secret_that_others_can_read_is_refused_before_anything_listens(
    start_hub: Start, data: Path, tmp_path: Path, flag: str
) -> None:
    """At every start: also when the administrator is there already."""
    password, key, cert = (tmp_path / name for name in ("password", "key.pem", "cert.pem"))
    password.write_text(PASSWORD)
    for file in (key, cert):
        file.write_text("-----BEGIN PRIVATE KEY-----\n")
    for file in (password, key):
        file.chmod(0o600)
    words = ["--port", "0", "--data-dir", data, "--admin-email", "a@b.c", "--admin-password-file", password]
    first = start_hub(*words)
    first.wait_for("Ctrl-C")
    first.signal(signal.SIGINT)
    assert first.end() == 0
    exposed = password if flag == "--admin-password-file" else key
    exposed.chmod(0o644)
    hub = start_hub(*words, "--tls-key", key, "--tls-cert", cert)
    assert hub.end() == Exit.CONFIGURATION
    assert f"chmod 600 {exposed}" in hub.errors
    assert hub.lines == []


def test_the_network_is_refused_without_encryption(cli: Cli) -> None:
    said = cli("--host", "0.0.0.0", "--port", "0")
    assert (said.code, said.out) == (Exit.CONFIGURATION, "")
    assert "unencrypted" in said.err
    assert "--behind-proxy" in said.err


def test_a_port_in_use_is_named_with_the_way_out(cli: Cli, data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = cli("--port", port)
    assert said.code == Exit.CONFLICT
    assert str(port) in said.err
    assert "--port N" in said.err
    assert not data.exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--database-url", "postgresql://nobody@127.0.0.1:1/none"], Exit.UNREACHABLE),
        (["--database-url", "sqlite:////nowhere/at/all/hub.sqlite3"], Exit.CONFIGURATION),
        (["--data-dir", "/proc/none"], Exit.CONFIGURATION),
        (["--port", "http"], Exit.CONFIGURATION),
        (["--demo", "--database-url", "sqlite:////x"], Exit.USAGE),
        (["--demo", "--machines", "501"], Exit.USAGE),
    ],
)
def test_what_cannot_be_is_refused_with_its_code(cli: Cli, words: list[str], code: Exit) -> None:
    said = cli("--port", "0", *words)
    assert (said.code, said.out) == (code, ""), said.err
    assert said.err.startswith("Error: ")


def test_what_is_done_to_a_machine_at_the_terminal_reaches_the_running_hub(start_hub: Start, data: Path) -> None:
    """Two processes write one database: the hub learns of the machine, its new key and its end within seconds."""
    hub = start_hub("--port", "0", "--data-dir", data)
    url = hub.wait_for(r"http://\S+:\d+")[0]

    def machine(*words: str) -> Any:
        command = [sys.executable, str(REPOSITORY / "run_hub.py"), "machine", *words, "--json", "--data-dir", str(data)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def until_answered(status: int, key: str) -> Any:
        ends = time.monotonic() + 10
        while (answer := call(f"{url}/api/v2/rvms/{made['id']}", token=key))[0] != status:
            assert time.monotonic() < ends, answer
            time.sleep(0.05)
        return answer[1]

    made = machine("add", "Late arrival")
    assert until_answered(200, made["api_key"])["data"]["name"] == "Late arrival"
    key = machine("key", "Late arrival")["api_key"]
    until_answered(200, key)
    until_answered(401, made["api_key"])
    machine("remove", "Late arrival", "--confirm", "Late arrival")
    until_answered(401, key)


def test_a_second_start_prints_a_link_until_an_administrator_has_a_password(start_hub: Start, data: Path) -> None:
    for _ in range(2):
        hub = start_hub("--port", "0", "--data-dir", data)
        hub.wait_for("rvml_")
        hub.signal(signal.SIGTERM)
        assert hub.end() == 0
