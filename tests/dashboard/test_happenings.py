"""What the Events page tells of many events: one line a job, a session, and an hour of what repeats."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dashboard.event_lines import Line, event_line, happening_line
from dashboard.event_reading import Names
from dashboard.happenings import fold
from hub.audit.rules import CODES
from tests.dashboard.test_event_sentences import BARE, NOW, fullest, reader

PEOPLE = {"3": "Budi", "4": "Siti"}
MACHINES = {n: f"RVM-{n:03}" for n in range(1, 30)}
ACTIVE: dict[str, Any] = {"status": "active", "special_status": None, "capacity": 20, "reason": None, "until": None}
SENSOR = {**ACTIVE, "special_status": "maintenance", "reason": "Ganti sensor"}


class Log:
    """Events in the order in which they happened, a second apart unless given otherwise."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.at = NOW - 1800_000

    def add(self, code: str, rvm: int = 1, actor: str = "machine:1", after_s: float = 1, **members: Any) -> None:
        self.at += int(after_s * 1000)
        made = {"params": {}, "before": None, "after": None, **members}
        self.events.append(
            {"id": len(self.events) + 1, "at": self.at, "code": code, "rvm_id": rvm, "actor": actor, **made}
        )

    def job(self, job: str, name: str, state: str, rvm: int = 1, status: Any = None, **params: Any) -> None:
        args = params.pop("args", {})
        self.add("command.issued", rvm, "user:3", params={"command_id": job, "name": name, "args": args, **params})
        own = {"command_id": job, "name": name, "state": state} | {n: params[n] for n in ("group_id",) if n in params}
        self.add("command.finished", rvm, f"machine:{rvm}", params=own)
        if status is not None:
            before, after = status
            self.add("status.changed", rvm, "user:3", 0, before=before, after=after, params={"reason": after["reason"]})

    def lines(self, *kinds: str, language: str = "en") -> list[Line]:
        r, names = reader(language), Names(PEOPLE, MACHINES)
        return [
            happening_line(
                r, one, [event_line(r, event, names, "Asia/Jakarta", one_machine=False) for event in one.events], names
            )
            for one in fold(self.events[::-1], kinds)
        ]

    def sentences(self, *kinds: str, language: str = "en") -> list[str]:
        return [line.sentence for line in self.lines(*kinds, language=language)]


def test_a_change_of_status_is_one_line_by_who_asked() -> None:
    log = Log()
    log.job("1-a", "set_status", "succeeded", status=(ACTIVE, SENSOR), args={"status": "maintenance"})
    (line,) = log.lines()
    assert line.sentence == "Active → Maintenance, reason: Ganti sensor"
    assert (line.who, line.job_at, line.machine, len(line.steps)) == ("Budi", "/jobs/1-a", "RVM-001", 3)
    assert log.sentences(language="id") == ["Aktif → Pemeliharaan, alasan: Ganti sensor"]


def test_a_job_grows_in_its_line() -> None:
    log = Log()
    params = {"command_id": "1-a", "name": "reboot", "args": {}, "reason": "hangs"}
    log.add("command.issued", actor="user:3", params=params)
    assert log.sentences() == ["Requested: Reboot machine, reason: hangs"]
    asked = log.lines()[0]
    log.add("command.cancel_asked", actor="user:4", params={"command_id": "1-a", "name": "reboot"})
    assert log.sentences() == ["Cancel requested: Reboot machine, reason: hangs"]
    log.add("command.finished", params={"command_id": "1-a", "name": "reboot", "state": "failed", "error": "busy"})
    (line,) = log.lines()
    assert line.sentence.startswith("Reboot machine: Failed, the machine is busy")
    assert line.sentence.endswith("reason: hangs")
    assert line.key == asked.key != ""
    assert line.id > asked.id


def test_one_job_of_many_machines_is_one_line() -> None:
    log = Log()
    for rvm in (1, 2, 3):
        state = "failed" if rvm == 3 else "succeeded"
        log.job(f"1-{rvm}", "sync_timezone", state, rvm, group_id="ab12")
    (line,) = log.lines()
    assert line.sentence == "Sync time zone: 2 of 3 done, 1 failed"
    assert (line.machine, line.job_at, line.who) == ("3 machines", "/jobs?group=ab12", "Budi")


def test_a_job_of_many_machines_is_one_line_also_where_it_was_asked_for_on_an_older_page() -> None:
    log = Log()
    for rvm in (1, 2, 3):
        status = (ACTIVE, SENSOR)
        log.job(f"1-{rvm}", "set_status", "succeeded", rvm, status, group_id="ab12", args={"status": "maintenance"})
    log.events = [one for one in log.events if one["code"] != "command.issued"]
    (line,) = log.lines()
    assert line.sentence == "Change status: 3 of 3 done"
    assert (line.machine, line.job_at) == ("3 machines", "/jobs?group=ab12")


def test_a_remote_session_is_one_line_from_its_request_to_its_end() -> None:
    log = Log()
    inside = {**ACTIVE, "special_status": "maintenance", "reason": "remote access: kamera gelap"}
    asked = {"holder": "Siti", "reason": "kamera gelap", "duration_s": 1800, "origin": "hub"}
    held = {"session_id": 4, "holder": "Siti"}
    log.add("remote.requested", actor="user:4", params=asked)
    log.add("command.issued", actor="user:4", params={"command_id": "2-a", "name": "start_remote_access", "args": {}})
    assert log.sentences() == ["Remote access requested, 30 min, for Siti, reason: kamera gelap"]
    log.add("command.finished", params={"command_id": "2-a", "name": "start_remote_access", "state": "succeeded"})
    log.add("remote.started", actor="user:4", params=held)
    log.add("status.changed", before=ACTIVE, after=inside, params={"reason": inside["reason"]})
    log.add("remote.terminal_opened", actor="user:4", params={"session_id": 4})
    log.add("remote.file_uploaded", actor="user:4", params={"session_id": 4, "path": "/x", "size": 9})
    log.add("remote.ended", actor="user:3", after_s=600, params={**held, "reason": "stopped", "note": "selesai"})
    stop = {"command_id": "2-b", "name": "stop_remote_access", "args": {"session_id": 4, "reason": "stopped"}}
    log.add("command.issued", actor="user:3", params=stop)
    log.add("command.finished", params={"command_id": "2-b", "name": "stop_remote_access", "state": "succeeded"})
    log.add("status.changed", before=inside, after=ACTIVE)
    (line,) = log.lines(language="id")
    assert line.sentence == (
        "Akses jarak jauh: diakhiri, Siti, 10\u202fmnt, alasan: kamera gelap, 1 terminal, 1 berkas diunggah, "
        "alasan diakhiri: selesai"
    )
    assert line.who == "Budi"
    # Among the statuses alone the maintenance of the session is shown, in the reader's words.
    assert "alasan: akses jarak jauh: kamera gelap" in " ".join(log.sentences("status", language="id"))


def test_nothing_english_stands_in_a_list_in_indonesian() -> None:
    log = Log()
    stop = {"command_id": "2-b", "name": "stop_remote_access", "args": {"session_id": 4, "reason": "stopped"}}
    log.add("command.issued", params=stop)
    assert log.sentences("command", language="id") == ["Diminta: Akhiri akses jarak jauh, alasan: diakhiri"]
    log.add("command.finished", params={"command_id": "2-b", "name": "stop_remote_access", "state": "succeeded"})
    assert log.sentences("command", language="id") == ["Akhiri akses jarak jauh: Selesai, alasan: diakhiri"]


def test_a_bin_is_shown_when_it_crosses_a_limit() -> None:
    log = Log()
    for was, now in ((20, 60), (60, 79), (79, 80), (80, 94), (94, 96), (96, 97), (97, 3)):
        log.add("status.changed", before={**ACTIVE, "capacity": was}, after={**ACTIVE, "capacity": now})
    assert (
        log.sentences() == log.sentences("status") == ["Bin 97 → 3\u202f%", "Bin 94 → 96\u202f%", "Bin 79 → 80\u202f%"]
    )


def test_what_repeats_is_one_line_an_hour() -> None:
    log = Log()
    for rvm in range(1, 21):
        log.add("connection.changed", rvm, f"machine:{rvm}", params={"connection": "live", "was": "never"})
    for _ in range(5):
        log.add("machine.event", params={"code": "door.open", "params": {}})
    log.add("machine.event", params={"code": "door.jam", "params": {}})
    jam, door, live = log.lines()
    assert (jam.sentence, jam.steps) == ("The machine reports door.jam", ())
    assert (door.sentence, door.machine) == ("The machine reports door.open, 5 times within the hour", "RVM-001")
    assert (live.sentence, live.machine, len(live.steps)) == ("Connection: Not connected yet → Live", "20 machines", 20)
    log.add("connection.changed", 1, after_s=7200, params={"connection": "live", "was": "late"})
    assert len(log.lines()) == 4, "another hour"


def backed_up(log: Log, rvm: int, state: str = "succeeded", actor: str = "clock") -> None:
    params = {"command_id": f"{rvm}-b", "name": "start_backup"}
    args = {"backup_id": 40 + rvm, "backup_type": "full"}
    log.add("command.issued", rvm, actor, 5, params={**params, "args": args})
    if state == "succeeded":
        done = {"backup_id": 40 + rvm, "backup_type": "full", "size": 3_000_000}
        log.add("backup.completed", rvm, f"machine:{rvm}", params=done)
    else:
        log.add("backup.failed", rvm, f"machine:{rvm}", params={"backup_id": 40 + rvm, "code": "disk_full"})
    log.add("command.finished", rvm, f"machine:{rvm}", params={**params, "state": state})


def test_a_backup_is_one_line_with_its_job() -> None:
    """And so is its verification and a restore that waited for its safety backup."""
    log = Log()
    backed_up(log, 1, actor="user:3")
    (line,) = log.lines()
    assert (line.sentence, line.who, line.job_at) == ("Back up everything: Done, 3.0\u202fMB", "Budi", "/jobs/1-b")
    assert [step.sentence.partition(",")[0] for step in line.steps] == [
        "Back up: Done", "Backup 41 is complete", "Requested: Back up everything",
    ]  # fmt: skip
    restored = {"command_id": "1-r", "name": "restore_backup"}
    log.add("backup.restore_asked", actor="user:4", params={"backup_id": 41, "safety_backup_id": 42})
    log.add("command.issued", actor="user:4", params={**restored, "args": {"backup_id": 41, "dry_run": False}})
    log.add("backup.restored", params={"backup_id": 41, "restore_id": 1, "files": 3})
    log.add("command.finished", params={**restored, "state": "succeeded"})
    first, _ = log.lines()
    assert (len(first.steps), first.who) == (4, "Siti")
    previewed = {"command_id": "1-p", "name": "restore_backup"}
    log.add("command.issued", actor="user:4", params={**previewed, "args": {"backup_id": 41, "dry_run": True}})
    assert len(log.lines()) == 3, "a preview is another job"


def test_a_night_of_backups_is_one_line() -> None:
    """Nobody asked for them; those that failed are counted in it."""
    log = Log()
    for rvm in range(1, 21):
        backed_up(log, rvm, "failed" if rvm == 7 else "succeeded")
    (line,) = log.lines()
    assert line.sentence == "Back up everything: 19 of 20 done, 1 failed"
    assert (line.machine, line.shape, len(line.steps)) == ("20 machines", "error", 60)
    for rvm in range(1, 4):
        log.add("backup.verify_asked", rvm, "clock", params={"backup_id": 40 + rvm})
        log.add("backup.verified", rvm, "clock", params={"backup_id": 40 + rvm, "files": 2})
    assert log.sentences()[:2] == ["3 backups verified: restored and compared", "3 test restores requested"]
    log.events = [event for event in log.events if event["code"].startswith("backup.")]  # as that filter reads them
    done, failed = log.sentences("backup")[2:]
    assert (done, failed.partition(":")[0]) == ("19 backups are complete", "Backup 47 failed")
    assert log.sentences("backup", language="id")[2] == "19 cadangan selesai"
    alone = Log()
    for rvm in (1, 2):
        backed_up(alone, rvm)
    assert len(alone.lines()) == 2, "few stand for themselves"


@pytest.mark.parametrize(
    ("code", "found", "sentence"),
    [
        ("backup.verified", {"files": 2}, "Backup 41 verified: restored and compared"),
        ("backup.drill_failed", {"error": {"code": "missing"}}, "Test restore of backup 41 failed"),
    ],
)
def test_a_verification_that_a_person_asked_for_is_one_line_by_them(
    code: str, found: dict[str, Any], sentence: str
) -> None:
    log, backup = Log(), {"backup_id": 41}
    log.add("backup.verify_asked", actor="user:3", params=backup)
    (asked,) = log.lines()
    assert (asked.sentence, asked.who) == ("Test restore of backup 41 requested", "Budi")
    log.add(code, actor="clock", params=backup | found)
    (done,) = log.lines("backup")
    assert done.sentence.startswith(sentence)
    assert (done.who, len(done.steps)) == ("Budi", 2)
    log.add("backup.verify_asked", actor="clock", params=backup)
    log.add(code, actor="clock", params=backup | found)
    assert len(log.lines()) == 3, "the next one is the hub's own"


def test_an_hour_that_is_dense_is_few_lines() -> None:
    """A loose door switch, a guessed password, a file of machines, a tag for all."""
    log = Log()
    broken = {**ACTIVE, "status": "error"}
    for _ in range(30):
        log.add("status.changed", before=ACTIVE, after=broken)
        log.add("status.changed", before=broken, after=ACTIVE)
    (door,) = log.lines()
    assert (door.sentence, len(door.steps)) == ("Error → Active, 60 times within the hour", 60)
    log.add("status.changed", actor="user:3", before=ACTIVE, after=SENSOR)
    assert len(log.lines()) == 2, "what a person does stands for itself"
    for ip in ("10.0.0.1", "10.0.0.2"):
        for failures in range(1, 4):
            log.add("sign_in.failed", actor="system", params={"email": "a@b", "ip": ip, "failures": failures})
    assert len(log.lines()) == 4
    for rvm in range(1, 21):
        log.add("machine.added", rvm, "user:3", params={"name": f"RVM-{rvm}", "device_id": f"d{rvm}"})
    for rvm in range(1, 21):
        log.add("machine.edited", rvm, "user:3", before={"tags": None}, after={"tags": ["mall"]})
        log.add("trouble.taken", rvm, "user:4", params={"trouble_id": rvm, "cause": "offline"})
    taken, tagged, added, *_ = log.lines()
    assert (added.sentence, added.who, added.machine) == ("20 machines added", "Budi", "20 machines")
    assert (tagged.machine, taken.machine) == ("20 machines", "20 machines")
    assert len(log.lines()) == 7


def test_a_password_that_was_right_is_not_hidden_among_guesses() -> None:
    log = Log()
    tries: list[dict[str, Any]] = [{}, {}, {"second": True, "by": "password"}, {}]
    for more in tries:
        log.add("sign_in.failed", params={"email": "a@b", "ip": "10.0.0.1", "failures": 1, **more})
    assert sum("password right, code wrong" in line for line in log.sentences()) == 1
    assert len(log.sentences()) == 2


def test_a_relay_to_the_agent_is_no_job_of_anybody() -> None:
    log = Log()
    params = {"command_id": "3-a", "name": "set_status", "args": {"status": "full"}}
    log.add("command.issued", actor="machine:1", params=params)
    log.add("command.finished", params={"command_id": "3-a", "name": "set_status", "state": "succeeded"})
    assert log.sentences() == []


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize("junk", [None, {}, {"x": [1]}, 10**400])
def test_whatever_events_hold_they_are_lines(language: str, junk: Any) -> None:
    """Every code, three of each, whole and with junk in every member."""
    log = Log()
    for code in sorted(CODES):
        for _ in range(3):
            full = fullest(code)
            log.add(code, params=full["params"], before=full["before"], after=full["after"])
            log.add(code, params=dict.fromkeys(BARE, junk), before=junk, after=junk)
            log.add(code, params={**full["params"], "session_id": 4, "command_id": "1-a"})
    shown = log.sentences(language=language)
    assert all(sentence.strip() and not re.search(r"\{\w+\}", sentence) for sentence in shown)
