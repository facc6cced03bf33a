"""`run_hub.py destination ...` on both databases; a hub that runs sends to what was added beside it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from hub.cli.output import Exit
from tests.doors.conftest import Cli, Said
from tests.support.door_process import DoorProcess
from tests.support.message_sink import Sink, http_sink
from tests.support.until import wait_until

TELEGRAM = "tgram://123456789:AAExampleExampleExampleExampleExampl/-1001234567890"


@pytest.fixture
def hub(cli: Cli, here: list[object]) -> list[object]:
    """With one destination, `Operators`."""
    cli("machine", "add", "RVM-001", *here)
    said = cli("destination", "add", "Operators", "--address-file", "-", *here, stdin=TELEGRAM + "\n")
    assert said.code == 0, said.err
    return here


@pytest.fixture
def sink() -> Iterator[Sink]:
    with http_sink() as found:
        yield found


def refused(said: Said) -> tuple[int, str]:
    assert said.out == ""
    return said.code, json.loads(said.err)["error"]["code"]


def test_a_destination_is_added_and_its_address_never_shown(cli: Cli, hub: list[object], data: Path) -> None:
    words = ("--language", "id", "--kind", "away", "--cause", "full", "--tag", "Mall", "--after", "0", "--remind", "2")
    quiet = ("--quiet", "22:00-06:30", "--over", "no", "--per-hour", "5", "--timezone", "Asia/Makassar")
    made = json.loads(
        cli("destination", "add", "Night", "--address-file", "-", *words, *quiet, "--json", *hub, stdin=TELEGRAM).out
    )
    assert {name: made[name] for name in ("place", "kinds", "causes", "tags", "sites", "after_s", "remind_h")} == {
        "place": "tgram://…", "kinds": ["away"], "causes": ["full"], "tags": ["mall"], "sites": None, "after_s": 0,
        "remind_h": 2,
    }  # fmt: skip
    assert (made["quiet_from"], made["quiet_to"], made["also_over"], made["per_hour"]) == (1320, 390, False, 5)
    assert (made["language"], made["timezone"], made["disabled"]) == ("id", "Asia/Makassar", False)
    listed = cli("destination", "list", "--json", *hub).out
    assert [one["name"] for one in json.loads(listed)["destinations"]] == ["Operators", "Night"]
    text = cli("destination", "list", *hub).out + cli("destination", "show", "night", *hub).out + listed
    assert "tgram://…" in text
    assert "AAExample" not in text
    assert json.loads(cli("destination", "show", str(made["id"]), "--json", *hub).out) == made | {"messages": []}


def test_only_what_is_named_is_changed(cli: Cli, hub: list[object]) -> None:
    def edit(*words: str, stdin: str = "") -> dict[str, object]:
        said = cli("destination", "edit", "Operators", *words, "--json", *hub, stdin=stdin)
        assert said.code == 0, said.err
        found: dict[str, object] = json.loads(said.out)
        return found

    before = json.loads(cli("destination", "show", "Operators", "--json", *hub).out)
    after = edit("--kind", "health", "--site", "Mall", "--pause", "--quiet", "20:00-07:00")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"kinds", "sites", "disabled", "quiet_from", "quiet_to", "updated_at"}
    back = edit("--everything", "--all-machines", "--resume", "--quiet", "none", "--remind", "0")
    assert {name for name in back if back[name] != before[name]} == {"updated_at"}
    moved = edit("--address-file", "-", stdin="ntfys://ntfy.example.com/topic")
    assert moved["place"] == "ntfys://ntfy.example.com"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--after", "86401"), Exit.USAGE, "--after: "),
        (("--timezone", "Mars"), Exit.USAGE, "--timezone: "),
        (("--kind", "weather"), Exit.USAGE, "--kind: "),
        (("--cause", "rain"), Exit.USAGE, "--cause: "),
        (("--tag", "a,b"), Exit.USAGE, "--tag: "),
        (("--quiet", "10pm"), Exit.USAGE, "22:00-06:00"),
        (("--per-hour", "0"), Exit.USAGE, "--per-hour: "),
        (("--address-file", "-"), Exit.USAGE, "--address-file: "),
        (("--address-file", "nowhere.txt"), Exit.CONFIGURATION, "nowhere.txt"),
        (("--pause", "--resume"), Exit.USAGE, "--help"),
        (("--name", "night"), Exit.CONFLICT, "NAME: "),
    ],
)
def test_what_is_wrong_is_named_by_its_flag_and_changes_nothing(
    cli: Cli, hub: list[object], words: tuple[str, ...], code: Exit, told: str
) -> None:
    cli("destination", "add", "Night", "--address-file", "-", *hub, stdin=TELEGRAM)
    before = cli("destination", "list", "--json", *hub).out
    said = cli("destination", "edit", "Operators", *words, *hub, stdin="gopher://x")
    assert (said.code, said.out) == (code, ""), said.err
    assert told in said.err
    assert cli("destination", "list", "--json", *hub).out == before


def test_a_name_is_given_once_and_an_address_never_by_flag(cli: Cli, hub: list[object]) -> None:
    again = cli("destination", "add", "operators", "--address-file", "-", "--json", *hub, stdin=TELEGRAM)
    assert refused(again) == (Exit.CONFLICT, "name_taken")
    assert cli("destination", "add", "Other", *hub).code == Exit.USAGE
    for verb in ("show", "edit", "test"):
        assert refused(cli("destination", verb, "Nobody", "--json", *hub)) == (Exit.NOT_FOUND, "no_such_destination")


def test_one_is_removed_only_with_its_name(cli: Cli, hub: list[object]) -> None:
    assert refused(cli("destination", "remove", "Operators", "--json", *hub)) == (Exit.USAGE, "not_confirmed")
    assert "tgram://…" in cli("destination", "remove", "1", "--dry-run", *hub).out
    assert json.loads(cli("destination", "remove", "1", "--confirm", "Operators", "--json", *hub).out)["removed"]
    assert cli("destination", "list", *hub) == (0, "", "Trouble is sent nowhere yet.\n")


def test_a_test_message_arrives_and_a_failure_says_why(
    cli: Cli, hub: list[object], sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = sink.address("json")
    cli("destination", "add", "Here", "--address-file", "-", *hub, stdin=address)
    shut = cli("destination", "test", "Here", "--json", *hub)
    assert refused(shut)[0] == Exit.FAILED, "this computer is not sent to unless the settings say so"
    failing = json.loads(cli("destination", "show", "Here", "--json", *hub).out)
    assert failing["failing_since"] is not None
    monkeypatch.setenv("RVM_NOTIFY_LOOPBACK", "yes")
    sent = json.loads(cli("destination", "test", "Here", "--json", *hub).out)
    assert sent["sent"] is True
    assert len(sink.texts) == 1
    assert json.loads(cli("destination", "show", "Here", "--json", *hub).out)["failing_since"] is None


def test_a_hub_that_runs_sends_to_what_was_added_beside_it(
    cli: Cli, data: Path, sink: Sink, start_hub: Callable[..., DoorProcess]
) -> None:
    key = json.loads(cli("machine", "add", "RVM-001", "--json").out)["api_key"]
    hub = start_hub("--port", "0", "--data-dir", data, RVM_NOTIFY_LOOPBACK="yes")
    url = hub.wait_for(r"(http://[\d.:]+)")[1]
    words = ("--address-file", "-", "--after", "0", "--language", "id", "--kind", "machine")
    assert cli("destination", "add", "Here", *words, stdin=sink.address("json")).code == 0
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=60) as machine:
        answer = machine.patch("/api/v2/rvms/1/status", json={"status": "error", "reason": "belt"})
        assert answer.status_code == 200, answer.text
    wait_until(lambda: sink.texts)
    assert "RVM-001" in sink.texts[0]
    cli("destination", "remove", "Here", "--confirm", "Here")
    with sqlite3.connect(data / "hub.sqlite3") as database:
        lines = database.execute(
            "SELECT code, actor FROM events WHERE code LIKE 'notification%' ORDER BY id"
        ).fetchall()
    assert lines == [("notification.destination_added", "system"), ("notification.destination_removed", "system")]
