"""`run_hub.py trouble ...` on both databases, and beside a hub that runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo

import httpx
import pytest

from db.trouble_records import TroubleRow
from hub.attention import api, rules
from hub.cli import parser
from hub.cli.output import Exit
from hub.lifespan import utc_now
from tests.doors.conftest import Cli, Said, recorded
from tests.support.door_process import DoorProcess
from tests.support.until import wait_until

BUDI = "budi@example.com"
BEGAN = datetime(2026, 11, 29, 20, 0, tzinfo=timezone.utc)


@pytest.fixture
def sick(cli: Cli, here: list[object]) -> list[object]:
    """Two machines: 1 is offline and was hot, 2 is full. An operator, a technician of machine 2, a viewer."""
    for name in ("RVM-001", "RVM-002"):
        cli("machine", "add", name, *here)
    cli("user", "add", BUDI, "--name", "Budi", "--role", "operator", *here)
    cli("user", "add", "tono@example.com", "--name", "Tono", "--role", "technician", "--machine", "RVM-002", *here)
    cli("user", "add", "vera@example.com", "--role", "viewer", *here)
    recorded(
        here,
        TroubleRow(rvm_id=1, cause="offline", began_at=BEGAN, noticed_at=BEGAN),
        TroubleRow(rvm_id=2, cause="full", value=100, began_at=BEGAN, noticed_at=BEGAN),
        TroubleRow(rvm_id=1, cause="hot", value=81.5, began_at=BEGAN, noticed_at=BEGAN, ended_at=BEGAN),
    )
    return here


def found(said: Said) -> list[dict[str, Any]]:
    assert said.code == 0, said.err
    listed: list[dict[str, Any]] = json.loads(said.out)["troubles"]
    return listed


def refused(said: Said) -> tuple[int, str]:
    assert said.out == ""
    return said.code, json.loads(said.err)["error"]["code"]


def test_troubles_are_listed_by_state_machine_and_cause(cli: Cli, sick: list[object]) -> None:
    def ids(*words: str) -> list[int]:
        return [one["id"] for one in found(cli("trouble", "list", "--json", *words, *sick))]

    assert ids() == [2, 1]
    assert ids("--state", "over") == [3]
    assert ids("--machine", "RVM-001") == [1]
    assert ids("--cause", "full") == [2]
    assert ids("--limit", "1") == [2]
    assert ids("--limit", "1", "--before", "2") == [1]
    assert (ids("--state", "taken"), ids("--state", "snoozed")) == ([], [])
    (full,) = found(cli("trouble", "list", "--cause", "full", "--json", *sick))
    assert (full["machine"], full["value"], full["began_at"]) == ("RVM-002", 100, "2026-11-29T20:00:00Z")
    said = cli("trouble", "list", "--limit", "1", *sick)
    assert "RVM-002" in said.out
    assert "--before 2" in said.err, "there are more"
    assert cli("trouble", "list", "--state", "taken", *sick) == (0, "", "Nobody has taken an alert.\n")


def test_one_is_shown_with_all_that_is_known(cli: Cli, sick: list[object]) -> None:
    cli("trouble", "snooze", "2", "1h", "--user", BUDI, "--note", "belt", *sick)
    shown = json.loads(cli("trouble", "show", "2", "--json", *sick).out)
    assert (shown["cause"], shown["snoozed_by"], shown["note"], shown["owner"]) == ("full", "Budi", "belt", None)
    text = cli("trouble", "show", "2", *sick).out
    assert "Budi" in text
    assert "owner" not in text, "nobody"


def test_who_is_on_it_is_one_person_until_released(cli: Cli, sick: list[object]) -> None:
    taken = found(cli("trouble", "take", "1", "2", "--user", BUDI, "--json", *sick))
    assert [(one["id"], one["owner"]) for one in taken] == [(1, "Budi"), (2, "Budi")]
    again = found(cli("trouble", "take", "2", "--user", BUDI, "--json", *sick))
    assert again[0]["taken_at"] == taken[1]["taken_at"]
    tono = ("trouble", "take", "2", "--user", "tono@example.com", "--json")
    assert refused(cli(*tono, *sick)) == (Exit.CONFLICT, "held")
    assert found(cli(*tono, "--take-over", *sick))[0]["owner"] == "Tono"
    assert found(cli("trouble", "release", "2", "--json", *sick))[0]["owner"] is None
    assert [one["id"] for one in found(cli("trouble", "list", "--state", "taken", "--json", *sick))] == [1]


def test_of_several_all_are_taken_or_none(cli: Cli, sick: list[object]) -> None:
    assert refused(cli("trouble", "take", "1", "3", "--user", BUDI, "--json", *sick)) == (
        Exit.CONFLICT,
        "trouble_over",
    )
    assert found(cli("trouble", "list", "--state", "taken", "--json", *sick)) == []


def test_a_snooze_ends_by_itself_or_by_hand(cli: Cli, sick: list[object]) -> None:
    before = utc_now()
    (one,) = found(cli("trouble", "snooze", "1", "4h", "--user", BUDI, "--json", *sick))
    until = datetime.fromisoformat(one["snoozed_until"].replace("Z", "+00:00"))
    assert timedelta(0) <= until - (before + timedelta(hours=4)) + timedelta(seconds=1) < timedelta(minutes=2)
    (one,) = found(cli("trouble", "snooze", "1", "tomorrow", "--user", BUDI, "--json", *sick))
    there = datetime.fromisoformat(one["snoozed_until"].replace("Z", "+00:00")).astimezone(ZoneInfo("Asia/Jakarta"))
    assert (there.hour, there.minute) == (7, 0), "where the machine stands"
    (one,) = found(cli("trouble", "unsnooze", "1", "--json", *sick))
    assert (one["snoozed_until"], one["snoozed_by"]) == (None, None)


def test_a_note_is_of_one_that_somebody_is_on_or_that_is_over(cli: Cli, sick: list[object]) -> None:
    words = ("--user", BUDI, "--json", *sick)
    assert refused(cli("trouble", "note", "1", "Replaced the fuse", *words)) == (Exit.CONFLICT, "not_taken")
    cli("trouble", "take", "1", *words)
    assert found(cli("trouble", "note", "1", "Replaced the fuse", *words))[0]["note"] == "Replaced the fuse"
    assert found(cli("trouble", "note", "3", "Cleaned the fan", *words))[0]["note_by"] == "Budi"
    assert refused(cli("trouble", "note", "3", " ", *words)) == (Exit.USAGE, "note_empty")
    assert refused(cli("trouble", "note", "3", "x" * 501, *words)) == (Exit.USAGE, "note_bad")


def test_only_who_may_do_it_in_the_dashboard_is_named(cli: Cli, sick: list[object]) -> None:
    for who, number in (("vera", "1"), ("tono", "1")):
        said = cli("trouble", "take", number, "--user", f"{who}@example.com", "--json", *sick)
        assert refused(said) == (Exit.NOT_ALLOWED, "not_theirs")
    assert cli("trouble", "take", "1", *sick).code == Exit.USAGE
    cli("user", "edit", BUDI, "--disable", *sick)
    assert refused(cli("trouble", "take", "1", "--user", BUDI, "--json", *sick))[0] == Exit.NOT_ALLOWED
    for number in ("99", "x", "0"):
        assert refused(cli("trouble", "show", number, "--json", *sick)) == (Exit.NOT_FOUND, "no_such_trouble")
    assert cli("trouble", "list", "--machine", "RVM-9", *sick).code == Exit.NOT_FOUND
    assert cli("trouble", "list", "--limit", "1001", *sick).code == Exit.USAGE


def test_parser_and_rest_know_the_choices_of_the_rules() -> None:
    assert parser.SNOOZES == rules.CHOICES == get_args(get_type_hints(api.Snoozing)["choice"])
    assert get_args(api.State) == parser.TROUBLE_STATES


def test_in_indonesian(cli: Cli, sick: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LANG", "id")
    said = cli("trouble", "take", "1", "--user", BUDI, *sick)
    assert said.out == "Ditangani Budi: RVM-001, Offline: sambungan terputus (1).\n"
    assert "Masalah 3 sudah selesai." in cli("trouble", "unsnooze", "3", *sick).err


def test_a_hub_that_runs_takes_it_over_with_its_line_in_the_record(
    cli: Cli, data: Path, start_hub: Callable[..., DoorProcess]
) -> None:
    cli("machine", "add", "RVM-001")
    cli("user", "add", BUDI, "--name", "Budi", "--role", "operator")
    token = json.loads(cli("token", "create", "tests", "--user", BUDI, "--json").out)["token"]
    with sqlite3.connect(data / "hub.sqlite3") as database:
        database.execute("UPDATE reverse_vending_machines SET created_at = created_at - 86400000000")
    hub = start_hub("--port", "0", "--data-dir", data)
    url = hub.wait_for(r"(http://[\d.:]+)")[1]
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60) as rest:

        def of_machine() -> list[dict[str, Any]]:
            there: list[dict[str, Any]] = rest.get("/api/v2/rvms/1").json()["data"]["troubles"]
            return there

        wait_until(of_machine)
        (standing,) = of_machine()
        assert standing["cause"] == "never"
        assert cli("trouble", "take", standing["id"], "--user", BUDI).code == 0
        wait_until(lambda: of_machine()[0]["owner"] == "Budi")
        cli("trouble", "snooze", standing["id"], "1h", "--user", BUDI, "--note", "waits for the electrician")
        wait_until(lambda: of_machine()[0]["note"] == "waits for the electrician")
        assert of_machine()[0]["snoozed_until"] is not None
        lines = rest.get("/api/v2/events", params={"kind": "trouble"}).json()["data"]
    assert [(line["code"], line["actor"], line["params"]["person"]) for line in lines] == [
        ("trouble.snoozed", "system", "Budi"),
        ("trouble.taken", "system", "Budi"),
    ]
