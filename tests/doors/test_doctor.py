"""`run_hub.py doctor`: each check with its fix, exit codes, no secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.cli.output import Exit
from tests.doors.conftest import Cli
from tests.support.certificates import TestAuthority
from tests.support.s3_server import s3_server

PASSWORD = "sebuah kalimat yang panjang"


def test_all_is_well(cli: Cli) -> None:
    cli("user", "add", "boss@example.com", "--role", "admin", "--password-file", "-", stdin=PASSWORD)
    said = cli("doctor", "--port", "0")
    assert said.code == 0, said.out
    assert " 1. Python" in said.out
    assert "fail" not in said.out


def test_what_is_missing_has_a_fix(cli: Cli, data: Path) -> None:
    said = cli("doctor", "--port", "0", "--json")
    report = json.loads(said.out)
    assert (said.code, report["ok"]) == (Exit.FAILED, False)
    found = {check["name"]: check for check in report["checks"]}
    assert found["database"]["verdict"] == "fail"
    assert found["database"]["fix"]
    assert not data.exists()


def test_secrets_others_can_read_are_found(cli: Cli, data: Path) -> None:
    cli("user", "add", "boss@example.com", "--role", "admin")
    data.chmod(0o755)
    (data / "agent.json").write_text("{}")
    (data / "agent.json").chmod(0o644)
    report = json.loads(cli("doctor", "--port", "0", "--json").out)
    found = next(check for check in report["checks"] if check["name"] == "secrets")
    assert (found["verdict"], str(data / "agent.json") in found["fix"]) == ("warn", True)


@pytest.mark.parametrize(
    ("days", "ago", "verdict", "fix"),
    [
        (90, 0, "ok", ""), (20, 0, "warn", "certs renew hub"), (5, 0, "warn", "certs renew hub"),
        (20, 30, "fail", "certs renew hub"),
    ],
)  # fmt: skip
def test_certificates_are_looked_at(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, ago: int, verdict: str, fix: str
) -> None:
    authority = TestAuthority(tmp_path / "own")
    pem = authority.hub(days=days, ago=ago)
    for name, file in (("CERT", pem), ("KEY", pem), ("AUTHORITY", authority.crt)):
        monkeypatch.setenv(f"RVM_TLS_{name}", str(file))
    found = check(cli, "tls")
    assert (found["verdict"], fix in found["fix"]) == (verdict, True)
    assert f"{authority.identity.certificate.not_valid_after_utc:%Y-%m-%d}" in found["detail"]


def test_a_certificate_that_cannot_be_used_is_named(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "plain HTTP" in check(cli, "tls")["detail"]
    monkeypatch.setenv("RVM_BEHIND_PROXY", "127.0.0.1")
    assert "proxy in front" in check(cli, "tls")["detail"]
    pem = TestAuthority(tmp_path / "own").hub()
    other = TestAuthority(tmp_path / "other").hub()
    monkeypatch.delenv("RVM_BEHIND_PROXY")
    monkeypatch.setenv("RVM_TLS_CERT", str(pem))
    monkeypatch.setenv("RVM_TLS_KEY", str(other))
    found = check(cli, "tls")
    assert (found["verdict"], "certs show FILE" in found["fix"]) == ("fail", True)


def test_an_object_store_that_refuses_differs_from_one_that_is_away(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server(tmp_path) as server:
        monkeypatch.setenv("RVM_OBJECT_STORE", server.url("bucket"))
        monkeypatch.setenv("RVM_S3_ACCESS_KEY", server.access_key)
        monkeypatch.setenv("RVM_S3_SECRET_KEY", "hidden-canary")
        refused = store_check(cli)
        monkeypatch.setenv("RVM_S3_SECRET_KEY", server.secret_key)
        found = store_check(cli)
    assert refused["verdict"] == "fail"
    assert "SignatureDoesNotMatch" in refused["detail"]
    assert "RVM_S3_SECRET_KEY" in refused["fix"]
    assert "hidden-canary" not in str(refused)
    assert (found["verdict"], server.endpoint in found["detail"]) == ("ok", True)
    away = store_check(cli)
    assert (away["verdict"], "endpoint" in away["fix"]) == ("fail", True)


def test_settings_that_cannot_be_are_a_finding(cli: Cli) -> None:
    report = json.loads(cli("doctor", "--port", "99999", "--json").out)
    assert [check["verdict"] for check in report["checks"] if check["name"] == "settings"] == ["fail"]


def test_a_report_for_others_holds_no_secret(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_DATABASE_URL", "postgresql://me:hidden-canary@127.0.0.1:1/none")
    said = cli("doctor", "--port", "0", "--report", tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text()
    assert "hidden-canary" not in text + said.out + said.err
    assert json.loads(text)["myrvm"]


def test_a_report_that_cannot_be_written_is_named(cli: Cli, tmp_path: Path) -> None:
    said = cli("doctor", "--port", "0", "--report", tmp_path / "none" / "report.json")
    assert said.code == Exit.CONFIGURATION
    assert said.err.startswith(f"Error: {tmp_path}/none/report.json cannot be used: No such file or directory\n")


def store_check(cli: Cli) -> dict[str, str]:
    return check(cli, "objects")


def check(cli: Cli, name: str) -> dict[str, str]:
    report = json.loads(cli("doctor", "--port", "0", "--json").out)
    found: dict[str, str] = next(each for each in report["checks"] if each["name"] == name)
    return found
