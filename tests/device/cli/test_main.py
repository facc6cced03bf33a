"""The command line as a person or a program meets it: exit codes, languages, JSON, secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from device.cli.main import main
from device.status.rules import KEEP
from device.status_mailbox import StatusMailbox
from protocol.version import PRODUCT_VERSION
from tests.support.fake_hub import KEY
from tests.support.two_users import only_root, reachable_folder, visitor

ENVIRON: dict[str, str] = {}


def config(tmp_path: Path, **members: object) -> str:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({"myrvm_base_url": "http://127.0.0.1:1", "api_token": KEY, **members}))
    file.chmod(0o600)
    return str(file)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"], ENVIRON) == main(["--json", "--version"], ENVIRON) == 0
    said, shown = capsys.readouterr().out.splitlines()
    assert said == f"MyRVM agent {PRODUCT_VERSION}"
    assert json.loads(shown).keys() == {"myrvm", "python"}
    for flag, word in [("--help", "doctor"), ("-h", "exit codes")]:
        with pytest.raises(SystemExit) as ended:
            main([flag], ENVIRON)
        assert ended.value.code == 0
        assert word in capsys.readouterr().out


def test_help_follows_the_language(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"], {"RVM_LANG": "id"})
    said = capsys.readouterr().out
    assert "kode keluar" in said
    assert [word for word in ("usage: ", "options:", "positional") if word in said] == []


def test_wrong_usage_is_two_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "--confg"], {"RVM_LANG": "id"})
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "Kesalahan: argumen tidak dikenal: --confg (maksud Anda --config, bukan --confg?)\n"
        "Perbaikan: run_device.py status --help\n"
    )


@pytest.mark.parametrize("where", [[], ["run"], ["doctor"], ["status"]])
def test_an_unknown_key_is_three_with_the_nearest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: list[str]
) -> None:
    assert main([*where, "--config", config(tmp_path, metric_interval=1)], ENVIRON) == 3
    said = capsys.readouterr()
    assert "'metrics_interval'" in said.out + said.err
    assert KEY not in said.out + said.err


def test_the_flags_may_stand_before_or_behind_the_action(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config(tmp_path)
    assert main(["--config", file, "status", "--json"], ENVIRON) == 0
    assert main(["--config", file, "--json", "status"], ENVIRON) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first) == json.loads(second)


@pytest.mark.parametrize("words", [["statuss"], ["status", "--bogus"], ["backup", "bogus"]])
def test_wrong_usage_is_json_for_who_asked_for_json(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["run_device.py", *words, "--json"])
    with pytest.raises(SystemExit) as ended:
        main(None, {})
    assert ended.value.code == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["code"], words[-1].strip("-") in error["hint"]) == ("usage", True)


def test_errors_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "absent"), "--json"], ENVIRON) == 3
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "config_unreadable"
    assert "--config FILE" in error["hint"]


@pytest.mark.parametrize("key", ["api_token", "hub_ca", "client_key"])
def test_a_file_that_stands_elsewhere_is_tried_again(tmp_path: Path, key: str) -> None:
    """Its disk may come later, and only a change beside the machine's file starts an agent that has ended with 3."""
    for place, code in (("k.pem", 3), ("elsewhere/k.pem", 1)):
        named = {key: f"file:{place}" if key == "api_token" else place}
        named |= {"client_cert": "c.pem"} if key == "client_key" else {}
        file = config(tmp_path, **named)
        assert main(["run", "--config", file], ENVIRON) == code
        assert main(["status", "--config", file], ENVIRON) == 3


def test_a_state_folder_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    assert main(["--config", config(tmp_path, state_dir="taken")], ENVIRON) == 1, "systemd tries again: a disk may mend"
    assert "state_dir" in capsys.readouterr().err


def test_a_status_is_shown_and_left_for_the_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config(tmp_path)
    assert main(["status", "--config", file], ENVIRON) == 0
    assert capsys.readouterr().out == "status: active\n"
    assert main(["status", "full", "--capacity", "100", "--reason", "bin", "--config", file], ENVIRON) == 0
    ((_, request),) = StatusMailbox(tmp_path / "machine.json.state").waiting()
    assert (request.status, request.capacity, request.reason) == ("full", 100, "bin")
    assert (request.special_status, request.until) == (KEEP, KEEP), "what is not named stays"
    assert main(["status", "asleep", "--config", file], ENVIRON) == 2
    assert "maintenance" in capsys.readouterr().err


def test_none_ends_what_holds_and_a_time_must_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config(tmp_path)
    assert main(["status", "--special-status", "none", "--reason", "none", "--config", file], ENVIRON) == 0
    assert main(["status", "maintenance", "--until", "2999-11-23T14:00:00Z", "--config", file], ENVIRON) == 0
    (_, ended), (_, held) = StatusMailbox(tmp_path / "machine.json.state").waiting()
    assert (ended.special_status, ended.reason, ended.until) == (None, None, KEEP)
    assert held.until == "2999-11-23T14:00:00Z"
    assert main(["status", "maintenance", "--until", "tomorrow", "--config", file], ENVIRON) == 2
    assert "2030" in capsys.readouterr().err
    assert main(["status", "active", "--capacity", "100", "--config", file], ENVIRON) == 2
    assert "empty it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "english", "indonesian"),
    [
        (["active", "--until", "2020-01-01T00:00:00Z"], "past_until", "until: '2020", "masa depan"),
        (["active", "--until", "soon"], "illegal_until", "until: 'soon'", "bukan waktu"),
        (["active", "--capacity", "999"], "illegal_capacity", "capacity: 0 to 100", "kapasitas: 0 sampai 100"),
        (["--special-status", "full"], "illegal_special_status", "one of maintenance", "salah satu dari maintenance"),
        (["error", "--reason", "x" * 501], "illegal_reason", "at most 500", "paling banyak 500"),
        (["active", "--capacity", "100"], "still_full", "empty it", "kosongkan"),
        (["full", "--capacity", "0"], "not_full", "not full", "tidak penuh"),
    ],
)
def test_a_declaration_that_cannot_be_names_the_member_and_the_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: str, english: str, indonesian: str
) -> None:
    file = config(tmp_path)
    said = {}
    for language in ("en", "id"):
        assert main(["status", *arguments, "--json", "--config", file], {"RVM_LANG": language}) == 2
        said[language] = json.loads(capsys.readouterr().err)["error"]
    assert said["en"]["code"] == said["id"]["code"] == code
    assert english in said["en"]["hint"]
    assert indonesian in said["id"]["hint"]
    assert not list(StatusMailbox(tmp_path / "machine.json.state").waiting())


def test_a_return_session_is_begun_shown_and_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config(tmp_path, return_session_file="run/session")
    for word, said in [("on", "true"), ("", "true"), ("off", "false"), ("off", "false")]:
        assert main(["busy", *([word] if word else []), "--json", "--config", file], ENVIRON) == 0
        assert said in capsys.readouterr().out
    assert main(["busy", "on", "--config", file], {"RVM_LANG": "id"}) == 0
    assert "sesi" in capsys.readouterr().out
    assert (tmp_path / "machine.json.state" / "run" / "session").exists()


@only_root
def test_what_root_leaves_in_the_agents_folder_is_the_agents() -> None:
    """A status to take, and a session that its own software can prolong."""
    agent = visitor()
    with reachable_folder() as folder:
        file, state = config(folder), folder / "machine.json.state"
        state.mkdir(mode=0o700)
        os.chown(state, agent.uid, -1)
        assert main(["busy", "on", "--config", file], ENVIRON) == 0
        assert main(["status", "full", "--config", file], ENVIRON) == 0
        assert {path.name for path in state.rglob("*")} >= {"return-session", "requests", "lock"}
        assert {path.stat().st_uid for path in state.rglob("*")} == {agent.uid}
        assert os.geteuid() == 0


def test_a_session_file_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    file = config(tmp_path, return_session_file=str(tmp_path / "taken" / "session"))
    assert main(["busy", "on", "--config", file], ENVIRON) == 1
    assert "taken" in capsys.readouterr().err
    (tmp_path / "pipe").symlink_to(tmp_path / "taken")
    file = config(tmp_path, return_session_file=str(tmp_path / "pipe"))
    assert main(["busy", "on", "--config", file], {"RVM_LANG": "id"}) == 1
    assert "bukan berkas biasa" in capsys.readouterr().err
