"""`machine show`, `set-status`, `sync-timezone` and `backup` on both databases, no hub running; with one:
tests/end_to_end/test_machine_verbs.py."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import ModuleType
from typing import Any, get_args

import pytest

from db.backup_records import BACKUP_COUNTER, BackupRow
from db.engine.row_writes import insert, update
from db.engine.store import Store
from db.errors import Unavailable
from db.queries import backups, commands, events
from db.queries import machines as machine_rows
from db.records import CommandRow, CounterRow, EventRow, MachineSettingsRow
from db.trouble_records import TroubleRow
from hub.cli import machine_commands, machines, output, parser
from hub.cli.output import Exit
from hub.lifespan import utc_now
from hub.machines.api import MachineView
from protocol.kinds import Status
from tests.doors.conftest import Cli, Said, recorded, stored

BEGAN = datetime(2026, 11, 29, 20, 0, tzinfo=timezone.utc)


@pytest.fixture
def machine(cli: Cli, here: list[object]) -> list[object]:
    """RVM-001, which nobody has seen yet."""
    cli("machine", "add", "RVM-001", "--device-id", "gambir-1", "--location", "Stasiun Gambir", *here)
    return here


def pending(here: list[object]) -> list[CommandRow]:
    async def read(store: Store) -> list[CommandRow]:
        return sorted(await commands.pending_commands(store), key=lambda command: command.id)

    return stored(here, read)


def issued(here: list[object]) -> list[EventRow]:
    async def read(store: Store) -> list[EventRow]:
        newest = await events.newest_event_id(store)
        return list(await events.events_by_system(store, 0, newest, 100))

    return [event for event in stored(here, read) if event.code == "command.issued"]


def shown(said: Said) -> dict[str, Any]:
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def refused(said: Said) -> tuple[int, str]:
    assert said.out == ""
    return said.code, json.loads(said.err)["error"]["code"]


def test_a_machine_is_shown_as_rest_shows_it_without_what_only_the_running_hub_knows(
    cli: Cli, machine: list[object]
) -> None:
    for named in ("RVM-001", "gambir-1", "1"):
        found = shown(cli("machine", "show", named, "--json", *machine))
        assert found.keys() == set(MachineView.__struct_fields__) - machines.OBSERVED | {"close_reason"}
        assert (found["id"], found["device_id"], found["effective_status"]) == (1, "gambir-1", "active")
        assert not {"api_key", "connection"} & found.keys()
    assert refused(cli("machine", "show", "RVM-9", "--json", *machine)) == (Exit.NOT_FOUND, "no_machine")
    assert cli("machine", "show", *machine).code == Exit.USAGE


def test_people_read_what_is_wrong_and_what_is_asked_for(
    cli: Cli, machine: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = cli("machine", "show", "RVM-001", *machine).out
    lines = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert (lines["name"], lines["location_description"], lines["device_id"]) == (
        "RVM-001", "Stasiun Gambir", "gambir-1",
    )  # fmt: skip
    assert "TROUBLE" not in text
    assert "last_seen_at" not in text, "never"
    recorded(machine, TroubleRow(rvm_id=1, cause="full", value=100, began_at=BEGAN, noticed_at=BEGAN))
    cli("machine", "set-status", "1", "maintenance", "--reason", "belt", *machine)
    text = cli("machine", "show", "RVM-001", *machine).out
    assert "2026-11-29T20:00:00.000Z" in text
    assert "set_status" in text
    assert "an administrator (command line)" in text
    monkeypatch.setenv("RVM_LANG", "id")
    assert "administrator (baris perintah)" in cli("machine", "show", "RVM-001", *machine).out.lower()


def test_a_status_is_asked_for_once_with_its_event_and_waits_for_the_machine(cli: Cli, machine: list[object]) -> None:
    before = utc_now()
    words = ("maintenance", "--reason", "New belt", "--capacity", "40", "--until", "2030-01-02T14:00")
    made = shown(cli("machine", "set-status", "RVM-001", *words, "--json", *machine))
    (command,) = pending(machine)
    assert (command.id, command.name, command.issued_by, command.reason) == (
        made["command"], "set_status", "system", "New belt",
    )  # fmt: skip
    assert command.args == {
        "status": "maintenance", "reason": "New belt", "capacity": 40, "until": "2030-01-02T07:00:00.000Z",
    }  # fmt: skip
    assert (made["state"], made["id"], made["name"]) == ("queued", 1, "RVM-001")
    assert made["url"].endswith(f"/jobs/{command.id}")
    assert timedelta(hours=23) < command.expires_at - before <= timedelta(hours=24, minutes=1)
    (event,) = issued(machine)
    assert (event.actor, event.rvm_id, (event.params or {})["command_id"]) == ("system", 1, command.id)


def test_what_was_asked_for_before_goes_first(cli: Cli, machine: list[object]) -> None:
    """The hub that runs would not learn that it was superseded, and send it."""
    for status in ("full", "active"):
        cli("machine", "set-status", "1", status, "--capacity", "50", *machine)
    assert [(one.args["status"], one.state) for one in pending(machine)] == [("full", "queued"), ("active", "queued")]
    assert len(issued(machine)) == 2


def test_a_zone_is_asked_for_by_look_up_or_by_name(cli: Cli, machine: list[object]) -> None:
    cli("machine", "sync-timezone", "1", *machine)
    cli("machine", "sync-timezone", "1", "--timezone", "Asia/Makassar", *machine)
    assert [(one.name, one.args) for one in pending(machine)] == [
        ("sync_timezone", {"trigger": "command_line"}),
        ("sync_timezone", {"trigger": "command_line", "timezone": "Asia/Makassar"}),
    ]
    off = MachineSettingsRow(
        rvm_id=1, values={"manual_sync_enabled": False}, version=1, updated_at=BEGAN, updated_by="system"
    )
    recorded(machine, off)
    said = cli("machine", "sync-timezone", "1", "--json", *machine)
    assert refused(said) == (Exit.CONFLICT, "manual_sync_off")
    assert "manual_sync_enabled" in json.loads(said.err)["error"]["message"]
    assert len(pending(machine)) == 2


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("set-status", "1", "maintenance"), (Exit.USAGE, "reason_missing")),
        (("set-status", "1", "error", "--reason", " "), (Exit.USAGE, "reason_missing")),
        (("set-status", "1", "error", "--reason", "x" * 501), (Exit.USAGE, "note_bad")),
        (("set-status", "1", "broken"), (Exit.USAGE, "usage")),
        (("set-status", "1", "active", "--capacity", "101"), (Exit.USAGE, "usage")),
        (("set-status", "1", "active", "--capacity", "-1"), (Exit.USAGE, "usage")),
        (("set-status", "1", "active", "--until", "tomorrow"), (Exit.USAGE, "until_bad")),
        (("set-status", "1", "active", "--until", "9999-12-31T23:59Z"), (Exit.USAGE, "until_bad")),
        (("set-status", "1", "active", "--until", "2020-01-01"), (Exit.USAGE, "until_past")),
        (("set-status", "1", "active", "--capacity", "100"), (Exit.CONFLICT, "still_full")),
        (("set-status", "9", "active"), (Exit.NOT_FOUND, "no_machine")),
        (("set-status", "1", "active", "--wait"), (Exit.UNREACHABLE, "no_hub")),
        (("sync-timezone", "1", "--timezone", "Asia/Bandung"), (Exit.USAGE, "timezone_bad")),
        (("sync-timezone", "1", "--wait"), (Exit.UNREACHABLE, "no_hub")),
        (("sync-timezone", "1", "--timeout", "5"), (Exit.USAGE, "usage")),
        (("sync-timezone", "1", "--wait", "--timeout", "0"), (Exit.USAGE, "usage")),
        (("backup", "1"), (Exit.UNREACHABLE, "no_hub")),
        (("backup", "1", "--type", "half"), (Exit.USAGE, "usage")),
        (("backup", "1", "--images", "maybe"), (Exit.USAGE, "usage")),
        (("backup", "1", "--idempotency-key", "two words"), (Exit.USAGE, "usage")),
        (("backup", "1", "--reason", "x" * 501), (Exit.USAGE, "note_bad")),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_fix_and_asks_nothing(
    cli: Cli, machine: list[object], words: tuple[str, ...], wanted: tuple[int, str]
) -> None:
    assert refused(cli("machine", *words, "--json", *machine)) == wanted
    assert pending(machine) == []


def test_in_indonesian_a_refusal_names_field_and_fix(
    cli: Cli, machine: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LANG", "id")
    said = cli("machine", "set-status", "1", "error", *machine)
    assert "--reason belum ada" in said.err
    assert "Perbaikan: tulis sebabnya dengan --reason TEKS" in said.err
    said = cli("machine", "set-status", "1", "active", *machine)
    assert said.out.startswith("Tercatat. Dikirim begitu RVM-001 terhubung ke hub, sampai ")
    assert "Mesin dengan isi 100 %" in cli("machine", "set-status", "1", "active", "--capacity", "100", *machine).err


@pytest.fixture
def beside(machine: list[object]) -> list[object]:
    """A hub elsewhere on that database has just shown a sign of life; it takes over nothing."""

    async def alive(store: Store) -> None:
        await store.write(insert(machine_rows.life_sign(utc_now()), over=("value",)))

    stored(machine, alive)
    return machine


def test_a_backup_is_asked_for_once_by_its_key(cli: Cli, beside: list[object]) -> None:
    words = ("--type", "incremental", "--images", "no", "--reason", "Before the new belt", "--idempotency-key", "n-1")
    made = shown(cli("machine", "backup", "RVM-001", *words, "--json", *beside))
    (command,) = pending(beside)
    assert (command.id, command.name, command.issued_by, command.reason) == (
        made["command"], "start_backup", "system", "Before the new belt",
    )  # fmt: skip
    assert command.args == {
        "backup_id": made["backup"], "backup_type": "incremental", "include_images": False, "include_logs": True,
    }  # fmt: skip
    row = stored(beside, lambda store: backups.of_command(store, command.id))
    assert row is not None
    assert (row.id, row.upload_status, row.trigger, row.requested_by) == (1, "pending", "manual", "system")
    assert (made["upload_status"], made["backup_type"], made["url"][-len(command.id) :]) == (
        "pending", "incremental", command.id,
    )  # fmt: skip
    assert len(issued(beside)) == 1
    assert shown(cli("machine", "backup", "1", *words, "--json", *beside)) == made
    other = cli("machine", "backup", "1", "--idempotency-key", "n-1", "--json", *beside)
    assert refused(other) == (Exit.CONFLICT, "key_used")
    assert refused(cli("machine", "backup", "1", "--json", *beside)) == (Exit.CONFLICT, "backup_open")
    assert len(pending(beside)) == len(issued(beside)) == 1


def test_a_number_that_a_hub_has_just_drawn_is_left_to_it(
    cli: Cli, beside: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It, or a command for each machine at once, draws one between the look and the commit, again and again."""

    last_id = backups.last_id

    async def then_drawn(store: Store) -> int:
        number = await last_id(store)
        if number < 20:
            await store.write(insert(CounterRow(name=BACKUP_COUNTER, value=number + 1), over=("value",)))
        return number

    monkeypatch.setattr(backups, "last_id", then_drawn)
    made = shown(cli("machine", "backup", "1", "--json", *beside))
    assert made["backup"] == 21


def test_one_that_a_hub_asks_for_meanwhile_is_the_open_one(
    cli: Cli, beside: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the command line's look and its commit."""
    last_id = backups.last_id

    async def then_asked(store: Store) -> int:
        number = await last_id(store)
        if not number:
            row = BackupRow(id=1, rvm_id=1, backup_type="full", created_at=utc_now())
            await store.write(insert(CounterRow(name=BACKUP_COUNTER, value=1), over=("value",)), insert(row))
        return number

    monkeypatch.setattr(backups, "last_id", then_asked)
    assert refused(cli("machine", "backup", "1", "--json", *beside)) == (Exit.CONFLICT, "backup_open")
    assert pending(beside) == []


def test_who_stops_waiting_reads_where_it_goes_on(cli: Cli, beside: list[object]) -> None:
    said = cli("machine", "backup", "1", "--wait", "--timeout", "1", "--json", *beside)
    assert refused(said) == (Exit.TIMED_OUT, "timed_out")
    (command,) = pending(beside)
    assert json.loads(said.err)["error"]["hint"].endswith(f"/jobs/{command.id}")
    said = cli("machine", "sync-timezone", "1", "--wait", "--timeout", "1", *beside)
    assert said.code == Exit.TIMED_OUT
    assert "RVM-001 has not done it within 1 s." in said.err
    assert [one.state for one in pending(beside)] == ["queued", "queued"]


def away_for(times: int, monkeypatch: pytest.MonkeyPatch, *reads: tuple[ModuleType, str]) -> None:
    """The database refuses the first `times` of each of these reads."""

    def refusing(read: Callable[..., Any]) -> Callable[..., Any]:
        left = iter(range(times))

        async def refuse_first(*asked: object) -> object:
            if next(left, None) is not None:
                raise Unavailable("the connection is closed")
            return await read(*asked)

        return refuse_first

    for module, name in reads:
        monkeypatch.setattr(module, name, refusing(getattr(module, name)))


def test_who_waits_goes_on_waiting_while_the_database_is_away(
    cli: Cli, beside: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_commands, "LOOK_S", 0.0)
    words = ("machine", "backup", "1", "--idempotency-key", "n-1")
    made = shown(cli(*words, "--json", *beside))

    async def succeed(store: Store) -> None:
        await store.write(update(CommandRow, made["command"], {"state": "succeeded", "finished_at": utc_now()}))
        await store.write(update(BackupRow, made["backup"], {"upload_status": "completed", "file_size": 9}))

    stored(beside, succeed)
    away_for(3, monkeypatch, (commands, "find_command"), (backups, "find"))
    said = cli(*words, "--wait", *beside)
    assert said.code == 0, said.err
    assert said.err.count("The database does not answer now (the connection is closed)") == 2, "once a time"
    assert said.err.count("The database answers again.") == 2
    away_for(3, monkeypatch, (commands, "find_command"))
    assert cli(*words, "--wait", "--json", *beside).err == "", "a program reads its result alone"


def test_the_timeout_counts_while_the_database_is_away(
    cli: Cli, beside: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    away_for(10**9, monkeypatch, (commands, "find_command"))
    said = cli("machine", "sync-timezone", "1", "--wait", "--timeout", "1", "--json", *beside)
    assert refused(said) == (Exit.TIMED_OUT, "timed_out")


def test_a_machine_that_has_sent_nothing_has_made_no_backup(cli: Cli, beside: list[object]) -> None:
    words = ("machine", "backup", "1", "--idempotency-key", "n-1", "--json")
    made = shown(cli(*words, *beside))

    async def succeed(store: Store) -> None:
        await store.write(update(CommandRow, made["command"], {"state": "succeeded", "finished_at": utc_now()}))

    stored(beside, succeed)
    said = cli(*words, "--wait", *beside)
    assert refused(said) == (Exit.FAILED, "not_uploaded")
    assert "the hub does not have all of it" in json.loads(said.err)["error"]["message"]


@pytest.mark.parametrize(("done", "total", "percent"), [(1e308, 1.0, 100), (5.0, 1e-308, 100), (-1e308, 1.0, 0)])
def test_progress_without_measure_is_shown(
    done: float, total: float, percent: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine may report any number."""
    running = CommandRow(
        id="c1", rvm_id=1, name="start_backup", args={}, state="running", issued_by="system", issued_at=BEGAN,
        expires_at=BEGAN, progress={"phase": "sending", "done": done, "total": total},
    )  # fmt: skip
    machine_commands._show_progress(output.ProgressLine(shown=True), running)
    assert capsys.readouterr().err.startswith(f"{percent:>3} %  Sending: ")


@pytest.mark.parametrize("on_terminal", [False, True])
def test_progress_is_one_line_a_tenth_where_nothing_can_be_written_over(
    on_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return on_terminal

    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    line = output.ProgressLine(shown=True)
    line.show("scanning", None, "Looking at the files")
    for percent in range(0, 25, 2):
        line.show("sending", percent, "Sending\x1b]0;evil")
    line.end()
    written = screen.getvalue()
    assert "\x1b]" not in written, "a machine's words do not command the terminal"
    if on_terminal:
        assert written.count("\r\x1b[K") == 1 + 13 + 1
        assert "\n" not in written
    else:
        assert [text[:5] for text in written.splitlines()] == ["Looki", "  0 %", " 10 %", " 20 %"]


def test_the_parser_knows_the_statuses_of_the_protocol() -> None:
    assert get_args(Status) == parser.STATUSES
