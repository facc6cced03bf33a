"""`doctor` on the way to the hub: each step that may fail, played by a real process, with its fix."""

from __future__ import annotations

import errno
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from device.cli import reach
from device.cli.main import main
from tests.support.certificates import TestAuthority
from tests.support.fake_hub import KEY
from tests.support.sick_hub import SickHub, examined, over_tls

ROOT = Path(__file__).parents[3]
BEHIND = ["hub", "clock", "key", "socket"]


def test_nothing_listens_at_the_address(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = examined(tmp_path, hub, capsys, myrvm_base_url="http://127.0.0.1:1")
    assert (code, checks["port"]["result"]) == (1, "fail")
    assert "nothing listens at port 1" in checks["port"]["what"]
    assert "myrvm_base_url" in checks["port"]["fix"]
    assert [checks[name]["result"] for name in BEHIND] == ["skip"] * 4
    assert checks["spool"]["result"] == "ok"


def test_a_name_that_nobody_knows(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = examined(tmp_path, hub, capsys, myrvm_base_url="https://no-such-hub.invalid")
    assert (code, checks["name"]["result"]) == (1, "fail")
    assert "no-such-hub.invalid" in checks["name"]["what"]
    assert "resolvectl status" in checks["name"]["fix"]
    assert not {"port", "tls"} & checks.keys()
    assert [checks[name]["result"] for name in BEHIND] == ["skip"] * 4


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.ECONNREFUSED, "closed"), (errno.ETIMEDOUT, "silent"), (errno.ENETUNREACH, "route"),
        (errno.EHOSTUNREACH, "route"), (errno.EINVAL, "route"),
    ],
)  # fmt: skip
def test_why_a_port_is_not_reached(number: int, fault: str) -> None:
    assert reach.port_fault(OSError(number, os.strerror(number))) == fault
    assert reach.port_fault(TimeoutError("timed out")) == "silent"


@pytest.mark.parametrize("status", [200, 302, 511])
def test_a_login_page_of_the_network_is_no_hub(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    hub.page = "<html>Sign in to this hotspot</html>"
    hub.paths["/api/health"] = status
    code, checks = examined(tmp_path, hub, capsys)
    assert (code, checks["hub"]["result"]) == (1, "fail")
    assert ("hotspot" in checks["hub"]["fix"]) == (status != 511)
    assert str(status) in checks["hub"]["what"]
    assert [checks[name]["result"] for name in BEHIND[1:]] == ["skip"] * 3


def test_another_program_at_the_address(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.page = '{"name": "another program"}'
    _, checks = examined(tmp_path, hub, capsys)
    assert (checks["hub"]["result"], "myrvm_base_url" in checks["hub"]["fix"]) == ("fail", True)


def test_two_machines_with_one_key_and_another_board(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]
) -> None:
    until = datetime.now(timezone.utc) + timedelta(minutes=5)
    hub.machine = {"quarantined_until": f"{until:%Y-%m-%dT%H:%M:%SZ}", "board_question": None}
    code, checks = examined(tmp_path, hub, capsys)
    assert (code, checks["board"]["result"]) == (1, "fail")
    assert f"keeps both out until {until:%Y-%m-%d %H:%M} UTC" in checks["board"]["what"]
    for question, word in (("connected", "warn"), ("waits", "fail"), ("copy", "fail")):
        hub.machine = {"quarantined_until": "2026-11-01T00:00:00Z", "board_question": question}
        _, checks = examined(tmp_path, hub, capsys)
        assert (checks["board"]["result"], "Settings, Enrolment" in checks["board"]["fix"]) == (word, True)
    hub.machine = {"quarantined_until": "soon", "hardware": None}
    assert "board" not in examined(tmp_path, hub, capsys)[1]


def test_a_board_that_was_refused(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.machine = {"hardware": {"board_serial": "1422"}}
    assert "board" not in examined(tmp_path, hub, capsys)[1], "this board does not tell its serial"
    serial = tmp_path / "root/proc/device-tree/serial-number"
    serial.parent.mkdir(parents=True, exist_ok=True)
    serial.write_text("1423\0")
    _, checks = examined(tmp_path, hub, capsys)
    assert (checks["board"]["result"], "1422, this one 1423" in checks["board"]["what"]) == ("warn", True)
    hub.machine = {"hardware": {"board_serial": "1423"}}
    assert "board" not in examined(tmp_path, hub, capsys)[1]


@pytest.mark.parametrize(
    ("names", "days", "ago", "trusted", "word", "what", "fix"),
    [
        (("127.0.0.1",), 90, 0, True, "ok", "hub_ca", None),
        (("127.0.0.1",), 20, 10, True, "warn", "TLSv1.3", "certs renew"),
        (("127.0.0.1",), 90, 0, False, "fail", "authority", "set hub_ca"),
        (("hub.example",), 90, 0, True, "fail", "not for 127.0.0.1", "certs hub 127.0.0.1"),
        (("127.0.0.1",), 30, 60, True, "fail", "expired", "certs renew"),
        (("127.0.0.1",), 90, -5, True, "fail", "not valid yet, or this clock is wrong", "timedatectl set-ntp true"),
    ],
)
def test_the_hubs_certificate_is_looked_at_as_the_agent_does(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], days: int, ago: int,
    trusted: bool, word: str, what: str, fix: str | None,
) -> None:  # fmt: skip
    authority = TestAuthority(tmp_path / "own")
    url = over_tls(hub, authority.hub(*names, days=days, ago=ago))
    crt = authority.crt if trusted else TestAuthority(tmp_path / "other").crt
    _, checks = examined(tmp_path, hub, capsys, myrvm_base_url=url, hub_ca=str(crt))
    check = checks["tls"]
    assert check["result"] == word
    assert what in check["what"]
    assert fix is None or fix in str(check["fix"])
    assert checks["hub"]["result"] == ("fail" if word == "fail" else "ok")


def test_a_hub_without_tls_is_named_as_that(tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"https://127.0.0.1:{hub.server.server_address[1]}"
    _, checks = examined(tmp_path, hub, capsys, myrvm_base_url=url)
    assert "without encryption" in checks["tls"]["what"]
    _, checks = examined(tmp_path, hub, capsys)
    assert "tls" not in checks  # on this computer there is nothing to look at


@pytest.mark.parametrize(("days", "ago", "word"), [(90, 0, "ok"), (20, 0, "warn"), (5, 0, "warn"), (10, 20, "fail")])
def test_the_machines_own_certificate_and_the_pinned_authority_are_dated(
    tmp_path: Path, hub: SickHub, capsys: pytest.CaptureFixture[str], days: int, ago: int, word: str
) -> None:
    authority = TestAuthority(tmp_path / "own")
    url, pem = over_tls(hub, authority.hub()), authority.client("7", days=days, ago=ago)
    files = {"hub_ca": str(authority.crt), "client_cert": str(pem), "client_key": str(pem)}
    _, checks = examined(tmp_path, hub, capsys, myrvm_base_url=url, **files)
    assert checks["certificate"]["result"] == word
    assert "python3 -m certs renew 7" in checks["certificate"]["fix"]
    ends = authority.identity.certificate.not_valid_after_utc
    assert (checks["authority"]["result"], checks["authority"]["not_after"]) == ("ok", f"{ends:%Y-%m-%dT%H:%M:%SZ}")
    assert checks["tls"]["not_after"]


def test_in_indonesian(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({"myrvm_base_url": "http://127.0.0.1:1", "api_token": KEY}))
    main(["doctor", "--config", str(file)], {"RVM_LANG": "id"})
    assert "tidak ada yang menerima sambungan di port 1" in capsys.readouterr().out


@pytest.mark.parametrize(("language", "guide"), [("en", "field_guide.md"), ("id", "panduan_lapangan.md")])
def test_the_field_guide_has_each_step_of_a_machine_that_does_not_connect(language: str, guide: str) -> None:
    words = json.loads((ROOT / "device" / "locales" / f"{language}.json").read_text(encoding="utf-8"))
    lines = (ROOT / "docs" / guide).read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1] for line in lines if "|" in line]
    steps = (
        "config", "keys", "name", "port", "tls", "authority", "certificate", "hub", "clock", "key", "board", "socket",
        "spool",
    )  # fmt: skip
    missing = [name for name in steps if not any(words[f"check_{name}"] in row for row in rows)]
    assert missing == []
