"""The verbs of run_hub.py on a data folder of their own: results, refusals, exit codes, languages."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from certs.bundle import read_bundle
from hub.cli.output import Exit
from hub.model import credentials
from tests.doors.conftest import Cli
from tests.support.certificates import TestAuthority
from tests.support.door_process import REPOSITORY

PASSWORD = "sebuah kalimat yang panjang"


def rows(data: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(data / "hub.sqlite3") as database:
        return database.execute(query).fetchall()


def test_adding_a_machine_prints_its_key_once_and_stores_only_the_hash(cli: Cli, data: Path) -> None:
    said = cli("machine", "add", "RVM-001 Gambir", "--device-id", "gambir-1", "--location", "Aula", "--json")
    assert (said.code, said.err) == (0, "")
    made = json.loads(said.out)
    assert made.keys() == {"id", "device_id", "name", "api_key"}
    assert made["device_id"] == "gambir-1"
    stored = rows(data, "SELECT api_key, api_key_prefix, location_description FROM reverse_vending_machines")
    assert stored == [(credentials.hash_of(made["api_key"]), made["api_key"][:13], "Aula")]
    assert made["api_key"].encode() not in b"".join(path.read_bytes() for path in data.iterdir())
    events = rows(data, "SELECT code, actor FROM events")
    assert events == [("machine.added", "system")]


@pytest.mark.parametrize(("zone", "label"), [("Asia/Jayapura", "WIT"), ("America/New_York", "E[SD]T"), ("UTC", "UTC")])
def test_until_when_a_link_counts_has_its_zone(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, zone: str, label: str
) -> None:
    """It is sent on to somebody who is elsewhere."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        invited = cli("user", "add", "siti@example.com", "--role", "admin").out
        link = cli("link", "siti@example.com").out
    finally:
        monkeypatch.undo()
        time.tzset()
    assert re.search(rf"until \d{{4}}-\d\d-\d\d \d\d:\d\d {label}:\n", invited), invited
    assert re.search(rf"until \d\d:\d\d {label}:\n", link), link


def test_a_machine_gets_an_id_made_from_its_name_and_is_listed(cli: Cli) -> None:
    said = cli("machine", "add", "RVM-002 Mall Kelapa Gading")
    assert "rvm-002-mall-kelapa-gading-" in said.out
    listed = json.loads(cli("machine", "list", "--json").out)["machines"]
    assert [machine["name"] for machine in listed] == ["RVM-002 Mall Kelapa Gading"]
    assert "RVM-002 Mall Kelapa Gading" in cli("machine", "list").out


def test_a_code_for_new_machines_is_printed_once_with_the_command_to_run(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("machine", "add", "RVM-001")
    shown = cli("machine", "code").out
    assert shown.startswith("A code for one machine, valid until ")
    assert "enrol http://127.0.0.1:8001 --code -\n" in shown
    authority = TestAuthority(tmp_path / "certs")
    monkeypatch.setenv("RVM_PUBLIC_URL", "https://hub.example.com")
    monkeypatch.setenv("RVM_TLS_AUTHORITY", str(authority.crt))
    words = ("--uses", "10", "--hours", "24", "--at-once", "--name", "Bandung", "--json")
    made = json.loads(cli("machine", "code", *words).out)
    pin = read_bundle(authority.crt).fingerprints[0]
    assert made["command"] == (
        f"printf '%s\\n' {made['code']} | sudo myrvm-agent enrol https://hub.example.com --code - --authority {pin}"
    )
    stored = rows(data, "SELECT hash, name, uses, approval, created_by FROM enrolment_codes ORDER BY id DESC LIMIT 1")
    assert stored == [(credentials.hash_of(made["code"]), "Bandung", 10, "at_once", "system")]
    assert made["code"].encode() not in b"".join(path.read_bytes() for path in data.iterdir())
    assert rows(data, "SELECT code FROM events WHERE code LIKE 'enrol%'") == [("enrolment.code_made",)] * 2
    for wrong in (("--uses", "0"), ("--hours", "2161"), ("--uses", "ten")):
        assert cli("machine", "code", *wrong).code == Exit.USAGE


def test_a_new_key_replaces_the_old_one_and_is_printed_once(cli: Cli, data: Path) -> None:
    old = json.loads(cli("machine", "add", "RVM-001", "--device-id", "gambir-1", "--json").out)
    for named in ("gambir-1", "RVM-001", str(old["id"])):
        made = json.loads(cli("machine", "key", named, "--json").out)
        assert made | {"api_key": ""} == old | {"api_key": ""}
        (stored,) = rows(data, "SELECT api_key, api_key_prefix FROM reverse_vending_machines")
        assert stored == (credentials.hash_of(made["api_key"]), made["api_key"][:13])
        assert made["api_key"] != old["api_key"]
        old = made
    assert old["api_key"].encode() not in b"".join(path.read_bytes() for path in data.iterdir())
    events = rows(data, "SELECT code, actor, rvm_id FROM events WHERE code = 'machine.key_rotated'")
    assert events == [("machine.key_rotated", "system", old["id"])] * 3
    assert cli("machine", "key", "nobody").code == Exit.NOT_FOUND


def test_a_machine_is_removed_only_when_its_name_is_reported(cli: Cli, data: Path) -> None:
    cli("machine", "add", "RVM-001", "--device-id", "gambir-1")
    for words in ((), ("--confirm", "RVM-002")):
        said = cli("machine", "remove", "gambir-1", *words)
        assert (said.code, said.out) == (Exit.USAGE, "")
        assert '--confirm "RVM-001"' in said.err
    assert "gambir-1" in cli("machine", "remove", "gambir-1", "--dry-run").out
    assert len(rows(data, "SELECT 1 FROM reverse_vending_machines")) == 1
    assert json.loads(cli("machine", "remove", "1", "--confirm", "RVM-001", "--json").out)["removed"] is True
    assert rows(data, "SELECT 1 FROM reverse_vending_machines") == []
    assert rows(data, "SELECT code, actor FROM events ORDER BY id") == [
        ("machine.added", "system"),
        ("machine.removed", "system"),
    ]
    assert cli("machine", "remove", "1", "--confirm", "RVM-001").code == Exit.NOT_FOUND
    cli("machine", "add", "Caf\u00e9")
    assert cli("machine", "remove", "Cafe\u0301", "--confirm", "Cafe\u0301").code == Exit.OK


def test_a_name_that_is_taken_is_a_conflict_and_changes_nothing(cli: Cli, data: Path) -> None:
    cli("machine", "add", "RVM-001")
    said = cli("machine", "add", "RVM-001", "--json")
    assert (said.code, said.out) == (Exit.CONFLICT, "")
    error = json.loads(said.err)["error"]
    assert error["code"] == "name_taken"
    assert "machine list" in error["hint"]
    assert len(rows(data, "SELECT 1 FROM events")) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("machine", "add", "  "),
        ("machine", "add", "two\nlines"),
        ("machine", "add", "x" * 101),
        ("machine", "add", "fine", "--device-id", "12"),
        ("machine", "add", "fine", "--device-id", "a/b"),
        ("user", "add", "nobody"),
        ("user", "add", "a@b", "--role", "king"),
        ("token", "create", "x", "--user", "a@b", "--expires-days", "0"),
        ("machine",),
        ("machine", "paint"),
        ("--machines", "3"),
        ("--no-such-flag",),
    ],
)
def test_wrong_usage_is_code_2_with_a_hint_on_stderr(cli: Cli, words: tuple[str, ...], data: Path) -> None:
    said = cli(*words)
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert said.err.startswith("Error: ")
    assert not data.exists()


def test_a_person_without_a_password_gets_a_link_that_works_once(cli: Cli, data: Path) -> None:
    made = json.loads(cli("user", "add", "Budi@Example.com", "--role", "operator", "--json").out)
    base, _, secret = made["sign_in_link"].partition("/signin#")
    assert base == "http://127.0.0.1:8001"
    assert made["email"] == "budi@example.com"
    assert rows(data, "SELECT hash FROM sign_in_links") == [(credentials.hash_of(secret),)]
    assert rows(data, "SELECT code FROM events ORDER BY id") == [("user.added",), ("sign_in.link_made",)]


def test_a_password_comes_from_stdin_or_a_file_and_never_from_the_command_line(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    said = cli(
        "user", "add", "ana@example.com", "--role", "admin", "--password-file", "-", "--json", stdin=PASSWORD + "\n"
    )
    assert json.loads(said.out)["sign_in_link"] is None
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    assert cli("user", "add", "eko@example.com", "--password-file", file).code == 0
    for (stored,) in rows(data, "SELECT password_hash FROM users"):
        assert credentials.password_matches(PASSWORD, str(stored))
    assert "--password " not in cli("user", "add", "-h").out


@pytest.mark.parametrize(
    ("content", "mode", "fix"),
    [
        (PASSWORD.encode(), 0o644, "chmod 600"),
        (b"\xef\xbb\xbf" + PASSWORD.encode(), 0o600, "without BOM"),
        (b"", 0o600, "on one line"),
        (PASSWORD.encode() + b"\nsecond\n", 0o600, "on one line"),
    ],
)
def test_a_password_file_that_cannot_be_meant_is_refused_with_the_fix(
    cli: Cli, data: Path, tmp_path: Path, content: bytes, mode: int, fix: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(mode)
    said = cli("user", "add", "ana@example.com", "--password-file", file)
    assert (said.code, fix in said.err, str(file) in said.err) == (Exit.CONFIGURATION, True, True)
    assert PASSWORD not in said.err
    assert not data.exists()


@pytest.mark.parametrize("password", ["short", "password123", "aaaaaaaaaaaa", "x" * 201])
def test_a_known_or_weak_password_is_refused(cli: Cli, password: str, data: Path) -> None:
    said = cli("user", "add", "ana@example.com", "--password-file", "-", stdin=password + "\n")
    assert said.code == Exit.CONFIGURATION
    assert password not in said.err
    assert not data.exists()


def test_a_token_is_shown_once_and_has_its_owners_rights(cli: Cli, data: Path) -> None:
    cli("user", "add", "ana@example.com")
    made = json.loads(
        cli("token", "create", "reports", "--user", "ANA@example.com", "--expires-days", "90", "--json").out
    )
    assert rows(data, "SELECT hash, user_id FROM tokens") == [(credentials.hash_of(made["token"]), 1)]
    assert made["expires_at"].endswith("Z")


def test_nobody_by_that_name_is_code_5(cli: Cli) -> None:
    cli("user", "add", "ana@example.com")
    assert cli("token", "create", "x", "--user", "who@example.com").code == Exit.NOT_FOUND
    assert cli("link", "who@example.com").code == Exit.NOT_FOUND
    assert "--role admin" in cli("link").err  # there is no administrator either


def test_tokens_are_listed_and_revoked_by_id_or_prefix(cli: Cli, data: Path) -> None:
    for email in ("ana@example.com", "budi@example.com"):
        cli("user", "add", email)
    made = [
        json.loads(cli("token", "create", name, "--user", email, "--json").out)
        for name, email in (("reports", "ana@example.com"), ("sync", "ana@example.com"), ("x", "budi@example.com"))
    ]
    listed = json.loads(cli("token", "list", "--json").out)["tokens"]
    assert [(t["name"], t["user"]) for t in listed] == [
        ("x", "budi@example.com"), ("sync", "ana@example.com"), ("reports", "ana@example.com"),
    ]  # fmt: skip
    assert not any(token["token"] in cli("token", "list").out for token in made)
    prefix = made[1]["token"][:13]
    assert "sync" in cli("token", "revoke", prefix).out
    assert cli("token", "revoke", str(made[0]["id"])).code == Exit.OK
    for gone in (prefix, str(made[0]["id"]), "999", "rvmu_NOTTHERE", "\x1b[2J"):
        said = cli("token", "revoke", gone)
        assert (said.code, "token list" in said.err) == (Exit.NOT_FOUND, True)
    assert json.loads(cli("token", "list", "--user", "ANA@example.com", "--json").out)["tokens"] == []
    assert (
        rows(data, "SELECT code, actor FROM events WHERE code = 'token.revoked'") == [("token.revoked", "system")] * 2
    )


def test_somebody_disabled_gets_neither_link_nor_token(cli: Cli, data: Path) -> None:
    cli("user", "add", "ana@example.com")
    with sqlite3.connect(data / "hub.sqlite3") as database:
        database.execute("UPDATE users SET disabled_at = 1")
    assert cli("link", "ana@example.com").code == Exit.NOT_ALLOWED
    assert cli("token", "create", "x", "--user", "ana@example.com").code == Exit.NOT_ALLOWED


def test_a_link_for_the_first_administrator_as_the_browser_reaches_the_hub(cli: Cli) -> None:
    cli("user", "add", "boss@example.com", "--role", "admin")
    made = json.loads(cli("link", "--url", "https://hub.example/", "--json").out)
    assert made["email"] == "boss@example.com"
    assert made["sign_in_link"].startswith("https://hub.example/signin#rvml_")


@pytest.mark.parametrize(
    "words",
    [
        ("machine", "list"),
        ("user", "list"),
        *(("user", verb, "a@b") for verb in ("edit", "invite", "unlock", "reset-2step", "sessions", "sign-out")),
        ("link",),
        ("token", "create", "x", "--user", "a@b"),
        ("token", "list"),
        ("token", "revoke", "1"),
        ("trouble", "list"),
        ("trouble", "release", "1"),
        ("destination", "list"),
        ("destination", "test", "1"),
    ],
)
def test_looking_at_data_that_is_not_there_makes_none(cli: Cli, words: tuple[str, ...], data: Path) -> None:
    said = cli(*words)
    assert (said.code, data.exists()) == (Exit.CONFIGURATION, False)
    assert "There is no database" in said.err


def test_a_database_folder_that_is_missing_is_refused(cli: Cli, tmp_path: Path) -> None:
    said = cli("machine", "add", "x", "--database-url", f"sqlite:///{tmp_path / 'nowhere' / 'hub.sqlite3'}")
    assert said.code == Exit.CONFIGURATION


def test_a_database_that_is_away_is_code_6(cli: Cli) -> None:
    said = cli("machine", "list", "--json", "--database-url", "postgresql://nobody@127.0.0.1:1/none")
    assert said.code == Exit.UNREACHABLE, said
    assert json.loads(said.err)["error"]["code"] == "database_unavailable"


def test_a_database_nobody_knows_is_code_3(cli: Cli) -> None:
    assert cli("machine", "list", "--database-url", "mysql://x").code == Exit.CONFIGURATION


def test_the_data_is_for_its_owner_alone(cli: Cli, data: Path) -> None:
    cli("machine", "add", "x")
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_indonesian_on_request(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LANG", "id_ID.UTF-8")
    assert "Kunci hanya ditampilkan sekali" in cli("machine", "add", "x").out
    said = cli("machine", "add", "x")
    assert said.err.startswith("Kesalahan: ")
    assert "Perbaikan: " in said.err
    assert cli("machine", "list", "--jsn").err == (
        "Kesalahan: argumen tidak dikenal: --jsn (maksud Anda --json, bukan --jsn?)\n"
        "Perbaikan: run_hub.py machine list --help\n"
    )
    assert "--machines memerlukan --demo" in cli("--machines", "3").err


def test_text_of_others_cannot_command_the_terminal(cli: Cli, data: Path) -> None:
    cli("machine", "add", "x")
    with sqlite3.connect(data / "hub.sqlite3") as database:
        database.execute("UPDATE reverse_vending_machines SET location_description = 'a\x1b[31m\u202eb'")
    out = cli("machine", "list").out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_help_names_examples_environment_defaults_and_exit_codes(cli: Cli) -> None:
    said = cli("--help")
    assert (said.code, said.err) == (0, "")
    for expected in ("examples:", "exit codes:", "130 Ctrl-C", "RVM_DATA_DIR", "(default 8001)", "--behind-proxy"):
        assert expected in said.out
    for verb in (["machine", "add"], ["user", "add"], ["token", "create"], ["link"], ["doctor"]):
        text = cli(*verb, "-h").out
        assert "example" in text
        assert "--json" in text


def test_version_shows_python_and_plotly_js(cli: Cli) -> None:
    facts = cli("--version").out
    assert "python 3." in facts
    assert "plotly.js 4." in facts


def test_json_is_whole_on_a_terminal_without_every_character(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("machine", "add", "Toko “Sinar” 東", "--location", "東")
    with (tmp_path / "out").open("w", encoding="latin-1", errors="replace") as out:
        monkeypatch.setattr("sys.stdout", out)
        cli("machine", "list", "--json")
    (shown,) = json.loads((tmp_path / "out").read_text("latin-1"))["machines"]
    assert shown["name"] == "Toko “Sinar” 東"


def test_a_result_that_has_no_room_is_refused_with_a_sentence() -> None:
    environ = os.environ | {"RVM_BOOTSTRAP": "off", "RVM_LANG": "en"}
    words = [sys.executable, "run_hub.py", "--version"]
    with Path("/dev/full").open("w") as out:
        ended = subprocess.run(words, check=False, stdout=out, stderr=subprocess.PIPE, cwd=REPOSITORY, env=environ)
    assert ended.returncode == Exit.FAILED
    assert ended.stderr.startswith(b"Error: stdout cannot be used: No space left on device\n")


def test_versions_are_json_for_programs(cli: Cli) -> None:
    for words in (("--version", "--json"), ("--json", "--version")):
        assert json.loads(cli(*words).out).keys() == {"myrvm", "python", "plotly.js", "git"}


def test_quiet_leaves_out_hints_and_verbose_adds_causes(cli: Cli) -> None:
    cli("user", "add", "a@example.com", "--role", "admin")
    assert "No machines yet" in cli("machine", "list").err
    for words in (("--quiet", "machine", "list"), ("machine", "list", "-q")):
        assert cli(*words) == (0, "", "")
    assert cli("machine", "show", "x", "-q").err.startswith("Error: "), "an end is no hint"
    away = ("machine", "list", "--database-url", "postgresql://rvm:secret@127.0.0.1:1/rvm")
    assert "Cause" not in cli(*away).err
    said = cli(*away, "--verbose").err
    assert "Cause: ConnectionRefusedError: " in said
    assert "secret" not in said
    assert json.loads(cli("-v", *away, "--json").err)["error"]["causes"][-1].startswith("ConnectionRefusedError: ")


def test_help_and_wrong_usage_need_no_environment_and_answer_at_once() -> None:
    """The door reads with the standard library only: here with a Python that has nothing else."""
    for words, code in ((["--help"], 0), (["machine", "add"], 2)):
        ended = subprocess.run(
            [sys.executable, "-S", str(REPOSITORY / "run_hub.py"), *words],
            check=False,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == code, ended.stderr
