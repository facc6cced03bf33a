"""`run_hub.py user ...` for people who are there already: edit, invite, unlock, sessions, sign-out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from db.columns import to_microseconds
from hub.cli.output import Exit
from hub.lifespan import utc_now
from hub.model import credentials
from tests.doors.conftest import Cli
from tests.support.door_process import DoorProcess

BUDI = "budi@example.com"


def rows(data: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(data / "hub.sqlite3") as database:
        return database.execute(query).fetchall()


@pytest.fixture
def people(cli: Cli) -> None:
    """An administrator, a technician, and three machines at two sites."""
    cli("user", "add", "boss@example.com", "--role", "admin")
    cli("user", "add", BUDI, "--role", "technician")
    for name, site in (("RVM-001", "Mall"), ("RVM-002", "Mall"), ("RVM-003", "Stasiun")):
        cli("machine", "add", name, "--location", site)


@pytest.mark.usefixtures("people")
def test_a_person_is_edited_by_what_is_named(cli: Cli, data: Path) -> None:
    words = ("--name", "Budi S.", "--timezone", "Asia/Jayapura", "--language", "id", "--site", "Mall", "--machine", "3")
    edited = json.loads(cli("user", "edit", BUDI, *words, "--json").out)
    assert edited["machines"] == [1, 2, 3]
    assert (edited["name"], edited["timezone"], edited["language"]) == ("Budi S.", "Asia/Jayapura", "id")
    again = json.loads(cli("user", "edit", BUDI, "--machine", "RVM-002", "--timezone", "site", "--json").out)
    assert (again["machines"], again["timezone"], again["name"]) == ([2], None, "Budi S.")
    (listed,) = [u for u in json.loads(cli("user", "list", "--json").out)["users"] if u["email"] == BUDI]
    assert (listed["machines"], listed["language"]) == ([2], "id")
    tagged = json.loads(cli("user", "edit", BUDI, "--tag", "Mall", "--tag", "south  west", "--json").out)
    assert (tagged["machines"], tagged["tags"], tagged["reaches"]) == ([2], ["mall", "south west"], [2])
    none = json.loads(cli("user", "edit", BUDI, "--no-machines", "--json").out)
    assert (none["machines"], none["tags"]) == ([], [])
    cli("user", "edit", BUDI, "--site", "Mall")
    assert json.loads(cli("user", "edit", BUDI, "--role", "operator", "--json").out)["machines"] == []
    assert json.loads(cli("user", "edit", BUDI, "--disable", "--json").out)["disabled"] is True
    since = rows(data, "SELECT disabled_at FROM users WHERE id = 2")
    assert BUDI in cli("user", "edit", BUDI, "--disable").out
    assert rows(data, "SELECT disabled_at FROM users WHERE id = 2") == since
    assert json.loads(cli("user", "edit", BUDI, "--enable", "--json").out)["disabled"] is False
    assert {actor for (actor,) in rows(data, "SELECT actor FROM events WHERE code = 'user.edited'")} == {"system"}


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((BUDI, "--timezone", "Mars"), Exit.USAGE, "Asia/Makassar"),
        ((BUDI, "--site", "Bandara"), Exit.NOT_FOUND, "Mall, Stasiun"),
        ((BUDI, "--tag", "a,b"), Exit.USAGE, "without a comma"),
        (("boss@example.com", "--tag", "mall"), Exit.USAGE, "Only a technician"),
        ((BUDI, "--machine", "RVM-9"), Exit.NOT_FOUND, "machine list"),
        ((BUDI, "--role", "viewer", "--machine", "1"), Exit.USAGE, "--role technician"),
        ((BUDI, "--role", "king"), Exit.USAGE, "viewer"),
        ((BUDI, "--disable", "--enable"), Exit.USAGE, "--help"),
        (("who@example.com", "--name", "x"), Exit.NOT_FOUND, "user list"),
        (("boss@example.com", "--role", "viewer"), Exit.CONFLICT, "--role admin"),
        (("boss@example.com", "--disable"), Exit.CONFLICT, "last administrator"),
    ],
)
def test_what_cannot_be_is_refused_with_the_fix_and_changes_nothing(
    cli: Cli, data: Path, words: tuple[str, ...], code: Exit, told: str
) -> None:
    before = rows(data, "SELECT * FROM users"), rows(data, "SELECT * FROM user_machines")
    said = cli("user", "edit", *words)
    assert (said.code, said.out, told in said.err) == (code, "", True), said.err
    assert (rows(data, "SELECT * FROM users"), rows(data, "SELECT * FROM user_machines")) == before


@pytest.mark.usefixtures("people")
def test_an_invitation_is_printed_once_for_three_days(cli: Cli, data: Path) -> None:
    made = json.loads(cli("user", "invite", BUDI, "--url", "https://hub.example", "--json").out)
    secret = made["sign_in_link"].partition("#")[2]
    assert made["sign_in_link"].startswith("https://hub.example/signin#rvml_")
    ((stored, ends),) = rows(data, "SELECT hash, expires_at FROM sign_in_links WHERE user_id = 2")
    assert stored == credentials.hash_of(secret), "and the one of `user add` is gone"
    hours = (int(str(ends)) - to_microseconds(utc_now())) / 3.6e9
    assert 71.9 < hours <= 72
    cli("user", "edit", BUDI, "--disable")
    assert cli("user", "invite", BUDI).code == Exit.NOT_ALLOWED


@pytest.mark.usefixtures("people")
def test_a_lock_is_ended_and_sessions_are(cli: Cli, data: Path) -> None:
    now = to_microseconds(utc_now())
    with sqlite3.connect(data / "hub.sqlite3") as database:
        for name in (BUDI, f" 10.0.0.1 {BUDI}", f"x{BUDI}"):
            database.execute("INSERT INTO sign_in_failures VALUES (?, 5, ?, ?)", (name, now, now + 10**9))
        for number in (1, 2):
            values = (f"h{number}", now, now + 10**9, "10.0.0.1", "Firefox \x1b[2J")
            columns = "user_id, hash, created_at, expires_at, ip, user_agent"
            database.execute(f"INSERT INTO sessions ({columns}) VALUES (2, ?, ?, ?, ?, ?)", values)
    assert json.loads(cli("user", "unlock", BUDI, "--json").out)["was_locked"] is True
    assert rows(data, "SELECT email FROM sign_in_failures") == [(f"x{BUDI}",)]
    assert "not locked" in cli("user", "unlock", BUDI).out
    listed = cli("user", "sessions", BUDI).out
    assert listed.count("10.0.0.1") == 2
    assert "\x1b" not in listed
    assert json.loads(cli("user", "sign-out", BUDI, "--json").out)["sessions"] == 2
    assert rows(data, "SELECT 1 FROM sessions") == []
    codes = [code for (code,) in rows(data, "SELECT code FROM events ORDER BY id")]
    assert codes[-2:] == ["sign_in.unlocked", "sign_in.sessions_ended"]


@pytest.mark.usefixtures("people")
def test_two_steps_are_reset(cli: Cli, data: Path) -> None:
    now = to_microseconds(utc_now())
    with sqlite3.connect(data / "hub.sqlite3") as database:
        database.execute("INSERT INTO two_steps (user_id, secret, since, last_step) VALUES (2, 'sealed', ?, 0)", (now,))
        database.execute("INSERT INTO recovery_codes (hash, user_id) VALUES ('h', 2)")
        columns = "user_id, hash, created_at, expires_at"
        database.execute(f"INSERT INTO sessions ({columns}) VALUES (2, 'h', ?, ?)", (now, now + 10**9))
    listed = json.loads(cli("user", "list", "--json").out)["users"]
    assert [each["two_step"] for each in listed if each["email"] == BUDI] == [True]
    assert json.loads(cli("user", "reset-2step", BUDI, "--json").out)["had_two_step"] is True
    for table in ("two_steps", "recovery_codes", "sessions"):
        assert rows(data, f"SELECT 1 FROM {table}") == [], table
    assert "one step" in cli("user", "reset-2step", BUDI).out
    assert rows(data, "SELECT count(*) FROM events WHERE code = 'sign_in.two_step_reset'") == [(1,)]


def test_somebody_is_added_with_what_is_theirs(cli: Cli, data: Path) -> None:
    cli("machine", "add", "RVM-001")
    words = ("--role", "technician", "--machine", "RVM-001", "--timezone", "Asia/Makassar", "--language", "id")
    assert cli("user", "add", BUDI, *words).code == Exit.OK
    assert rows(data, "SELECT timezone, language FROM users") == [("Asia/Makassar", "id")]
    assert rows(data, "SELECT user_id, rvm_id FROM user_machines") == [(1, 1)]
    assert cli("user", "add", "ana@example.com", "--machine", "RVM-001").code == Exit.USAGE
    cli("user", "add", "ana@example.com")
    assert rows(data, "SELECT language FROM users WHERE id = 2") == [(None,)], "the browser's, at the first sign-in"


@pytest.mark.parametrize("more", [(), ("--base-path", "/rvm")], ids=["at its root", "below a path"])
def test_a_link_is_of_the_hub_that_runs_wherever_it_listens(
    cli: Cli, data: Path, start_hub: Callable[..., DoorProcess], more: tuple[str, ...]
) -> None:
    cli("user", "add", "boss@example.com", "--role", "admin")
    hub = start_hub("--port", "0", "--data-dir", data, *more)
    url = hub.wait_for(r"(http://[\d.:]+(/rvm)?)/?(\s|$)")[1]
    for words in (("link",), ("user", "invite", "boss@example.com")):
        made = json.loads(cli(*words, "--json").out)["sign_in_link"]
        assert made.startswith(f"{url}/signin#"), made
        assert httpx.get(made, trust_env=False).status_code == 200
    hub.close()
    assert json.loads(cli("link", "--json").out)["sign_in_link"].startswith("http://127.0.0.1:8001/signin#")


@pytest.mark.usefixtures("people")
def test_a_token_is_made_with_less_than_its_owner_may(cli: Cli) -> None:
    words = ("--user", "boss@example.com", "--role", "viewer", "--site", "Mall", "--machine", "3", "--tag", "Pusat")
    made = json.loads(cli("token", "create", "laporan", *words, "--json").out)
    assert (made["role"], made["machines"], made["tags"]) == ("viewer", [1, 2, 3], ["pusat"])
    (listed,) = json.loads(cli("token", "list", "--json").out)["tokens"]
    assert (listed["role"], listed["machines"], listed["tags"]) == ("viewer", [1, 2, 3], ["pusat"])
    (line,) = [line for line in cli("token", "list").out.splitlines() if "laporan" in line]
    assert "viewer  1, 2, 3   pusat" in line
    cli("user", "edit", BUDI, "--machine", "RVM-001")
    for given, code, told in (
        (("--role", "operator"), Exit.USAGE, "has the role technician"),
        (("--machine", "RVM-002"), Exit.USAGE, f"not one of {BUDI}'s"),
        (("--machine", "RVM-9"), Exit.NOT_FOUND, "RVM-9"),
        (("--site", "Bandara"), Exit.NOT_FOUND, "Mall, Stasiun"),
    ):
        said = cli("token", "create", "x", "--user", BUDI, *given)
        assert (said.code, told in said.err) == (code, True), said.err
    assert json.loads(cli("token", "create", "x", "--user", BUDI, "--site", "Stasiun", "--json").err)["error"]
    assert json.loads(cli("token", "create", "x", "--user", BUDI, "--role", "viewer", "--json").out)["machines"] is None
