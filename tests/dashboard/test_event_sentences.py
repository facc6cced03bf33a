"""Every event in words, in both languages, whatever it holds."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest

from dashboard import event_sentences
from dashboard.event_reading import Names
from dashboard.foreign_text import plain
from dashboard.pages import FOLDER
from dashboard.reader import Reader
from dashboard.texts import texts_in
from hub.audit.rules import CODES

NOW = 1795370531000
NAMES = Names({"3": "Budi"}, {1: "RVM-001", 2: "RVM-002"}, {7: "RVM-007 (removed)"})
BARE: dict[str, Any] = {
    "place": "tgram://…", "sent": True,
    "connection": "offline", "was": "live", "command_id": "1-a", "name": "ping", "args": {}, "state": "succeeded",
    "scope": "machine", "version": 7, "errors": {"cpu_threshold": "too high"}, "timezone": "Asia/Jakarta",
    "method": "manual", "error": "not_permitted", "guess": "Asia/Makassar", "pinned": "Asia/Jakarta",
    "device_id": "rvm-7", "agent_version": "0.2.0", "takeovers": 3, "addresses": ["10.0.0.1", "10.0.0.2"],
    "code": "door.open", "params": {"side": "left"}, "count": 5, "email": "a@b.c", "user_id": 3, "prefix": "rvmt_ab",
    "by": "password", "failures": 2, "reason": "timed_out", "duration_s": 1800, "session_id": 4,
    "port": 5000, "path": "/var/log/x", "size": 10,
    "recording_id": 9, "mib_per_day": 64, "backup_id": 12, "backup_type": "full", "message": "cut", "damaged_id": 11,
    "restore_id": 6, "view_id": 7, "uses": 2, "approval": "waiting", "fingerprint": "4F:1A", "board": "Orin NX, 1599",
    "fault": "certificate_missing", "address": "10.8.0.7", "rows": 1234, "made_at": "2026-11-24T07:00:00Z",
    "expires_at": "2026-11-24T07:00:00.000Z", "trouble_id": 8, "cause": "hot", "until": "2026-11-24T07:00:00Z",
    "note": "Replaced the fan",
}  # fmt: skip
"""A value for every parameter the table of codes names."""


def reader(language: str = "en") -> Reader:
    return Reader(language=language, theme="auto", zone="Asia/Jakarta", now=NOW)


def event(code: str, params: Any = None, before: Any = None, after: Any = None) -> dict[str, Any]:
    return {"code": code, "params": {} if params is None else params, "before": before, "after": after}


def said(code: str, language: str = "en", **members: Any) -> str:
    return event_sentences.describe(reader(language), event(code, **members), NAMES).sentence


def fullest(code: str) -> dict[str, Any]:
    """An event of that code with all it must have, and nothing else."""
    has = CODES[code]
    state = {"status": "active", "special_status": None, "capacity": 1, "timezone": "Asia/Jakarta", "name": "x"}
    return event(
        code,
        {name: BARE[name] for name in has.params},
        state | {"capacity": 2} if has.before else None,
        state if has.after else None,
    )


def test_every_code_has_a_sentence_and_no_sentence_is_without_a_code() -> None:
    assert set(CODES) == set(event_sentences.SENTENCES)


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize("code", sorted(CODES))
def test_an_event_with_what_its_code_must_have_is_rendered_in_full(code: str, language: str) -> None:
    found = event_sentences.describe(reader(language), fullest(code), NAMES)
    assert not re.search(r"\{\w+\}", found.sentence), "a place without a value"
    if code != "config.changed":
        assert "—" not in found.sentence or code.startswith("machine.key_"), found.sentence
    other = event_sentences.describe(reader("id" if language == "en" else "en"), fullest(code), NAMES)
    same_words = code in ("command.finished", "connection.changed", "status.changed")
    assert same_words or found.sentence != other.sentence


@pytest.mark.parametrize("code", [*sorted(CODES), "from.a_newer_hub"])
def test_an_event_that_lacks_everything_or_is_nonsense_is_still_a_line(code: str) -> None:
    for junk in ({}, None, {name: {"x": [1]} for name in BARE}, dict.fromkeys(BARE, 10**400), dict.fromkeys(BARE)):
        for language in ("en", "id"):
            found = event_sentences.describe(reader(language), event(code, junk, junk, junk), Names())
            assert found.sentence.strip()
            assert not re.search(r"\{\w+\}", found.sentence)


def test_every_shape_is_in_the_sprite() -> None:
    symbols = set(re.findall(r'<symbol id="(\w+)"', (FOLDER / "sprite.html").read_text("utf-8")))
    shapes = {event_sentences.describe(reader(), fullest(code), Names()).shape for code in CODES}
    shapes |= set(event_sentences.SHAPES.values())
    assert shapes <= symbols


def test_status_says_what_was_what_is_why_and_until_when() -> None:
    before = {"status": "active", "special_status": None, "capacity": 20}
    after = {"status": "active", "special_status": "maintenance", "capacity": 20, "until": "2026-11-24T07:00:00+00:00"}
    assert said("status.changed", params={"reason": "Ganti sensor"}, before=before, after=after) == (
        "Active → Maintenance, reason: Ganti sensor, until 24 Nov 2026 14:00:00 WIB"
    )
    assert said("status.changed", "id", params={"returned": True}, before=after, after=before) == (
        "Pemeliharaan → Aktif, otomatis: waktunya habis"
    )
    filled = said("status.changed", before=before, after={**before, "capacity": 85})
    assert filled == "Bin 20 → 85\u202f%"
    inside = {**before, "special_status": "maintenance", "reason": "Technician inside"}
    covered = {**inside, "status": "full", "capacity": 98}
    assert said("status.changed", before=inside, after=covered) == ("Bin 20 → 98\u202f%, underneath Active → Full")
    assert said("status.changed", "id", before=inside, after=covered) == (
        "Isi bak 20 → 98\u202f%, di bawahnya Aktif → Penuh"
    )
    found = event_sentences.describe(reader(), event("status.changed", {}, before, after), Names())
    assert (found.shape, found.look) == ("maintenance", "maintenance")


def test_what_was_edited_reads_as_its_form_has_it() -> None:
    before = {"after_s": 120, "quiet_from": None, "quiet_to": None, "remind_h": None, "kinds": ["away", "machine"]}
    after = {
        "after_s": 300,
        "quiet_from": 1320,
        "quiet_to": 365,
        "remind_h": 4,
        "kinds": ["backups"],
        "causes": ["hot"],
    }
    params = {"name": "Jakarta"}
    assert said("notification.destination_edited", params=params, before=before, after=after) == (
        "Notifications: destination Jakarta changed, sent after: 2\u202fmin → 5\u202fmin, quiet from: none → 22:00, "
        "quiet until: none → 06:05, reminder: none → Every 4 hours, "
        "what is sent: Offline, not back, shut down, never connected; Error, full, status unknown → Backups, "
        "single causes: none → Hot"
    )
    shown = said("notification.destination_edited", "id", params=params, before=before, after=after)
    assert "tenang dari: tidak ada → 22.00" in shown
    assert "→ Cadangan, penyebab" in shown
    roles = {"before": {"role": "operator", "theme": "auto"}, "after": {"role": "technician", "theme": "dark"}}
    assert "peran: Operator → Teknisi, tema: Ikuti perangkat → Gelap" in said("user.edited", "id", **roles)


def test_what_a_machine_refused_is_shown_in_the_readers_language() -> None:
    errors = {"cpu_threshold": "environment: it is set there (CPU_THRESHOLD)", "belts": "worn out", "junk": ["x"]}
    params = {"version": 7, "errors": errors}
    assert said("config.refused", params=params) == (
        "Settings version 7: not all accepted, Warn when the CPU is above: its agent's environment sets it, and that "
        "has precedence (CPU_THRESHOLD), belts: worn out, junk: x"
    )
    assert "environment agen di mesin" in said("config.refused", "id", params=params)


def test_settings_are_named_as_their_page_names_them() -> None:
    before = {
        "metrics_interval": 300.0,
        "confidence_threshold": None,
        "backup_enabled": True,
        "admin_ips": ["10.0.0.0/8"],
    }
    after = {"metrics_interval": 60, "confidence_threshold": 0.5, "backup_enabled": False, "admin_ips": []}
    sentence = said("config.changed", params={"scope": "machine", "version": 7}, before=before, after=after)
    assert sentence == (
        "Settings of this machine, version 7, Keep a reading every: 5\u202fmin → 1\u202fmin, "
        "confidence_threshold: none → 0.5, Backups: On → Off, Networks allowed to open sessions: 10.0.0.0/8 → none"
    )
    off = {"before": {"auto_sync_enabled": True}, "after": {"auto_sync_enabled": False}}
    assert said("config.changed", "id", params={"scope": "machine", "version": 8}, **off) == (
        "Pengaturan mesin ini, versi 8, Sinkron otomatis: Aktif → Nonaktif"
    )
    degrees: dict[str, Any] = {"before": {"temperature_threshold": 80.0}, "after": {"temperature_threshold": 72.5}}
    assert said("config.changed", "id", params={"scope": "fleet", "version": 9}, **degrees).endswith(
        ": 80\u202f°C → 72,5\u202f°C"
    )
    days: dict[str, Any] = {"before": {"backup_retention": None}, "after": {"backup_retention": 30}}
    assert said("config.changed", "id", params={"scope": "fleet", "version": 9}, **days).endswith(
        ": tidak ada → 30\u202fhari"
    )
    odd: dict[str, Any] = {"before": {"sync_interval": 3600}, "after": {"sync_interval": 3601}}
    assert said("config.changed", params={"scope": "fleet", "version": 9}, **odd).endswith(
        ": 1\u202fh → 3,601\u202fseconds"
    ), "two spans that differ never read alike"
    many = {f"key_{n}": n for n in range(40)}
    assert said("config.changed", params={"scope": "fleet", "version": 8}, before={}, after=many).endswith(
        "and 28 more"
    )


def test_what_a_line_of_refused_settings_has_no_room_for_is_counted() -> None:
    assert said("config.refused", params={"version": 7, "errors": {"a": "b"}, "more": 9}).endswith("a: b, and 9 more")
    assert said("config.refused", "id", params={"version": 7, "errors": {"a": "b"}}).endswith("a: b")


def test_jobs_say_what_was_asked_and_how_it_ended() -> None:
    job = {"command_id": "1", "name": "set_status", "args": {"status": "full"}, "reason": "penuh"}
    assert said("command.issued", params=job) == "Requested: Change status to Full, reason: penuh"
    ended = {"command_id": "1", "name": "reboot", "state": "failed", "error": "not_permitted"}
    assert said("command.finished", params=ended).startswith("Reboot machine: Failed, the agent is not allowed")
    assert said("command.finished", "id", params={**ended, "state": "expired", "error": None}).startswith(
        "Boot ulang mesin"
    )


def test_people_are_named_as_far_as_the_event_or_the_reader_knows() -> None:
    assert said("user.edited", params={"user_id": 3}, before={"role": "viewer"}, after={"role": "admin"}) == (
        "User Budi edited, role: Viewer → Administrator"
    )
    sets: dict[str, Any] = {"before": {"machines": [1, 7]}, "after": {"machines": [2, 1]}}
    assert said("user.edited", params={"user_id": 3}, **sets) == (
        "User Budi edited, machines given: RVM-002, machines taken away: RVM-007 (removed)"
    )
    assert "mesin ditambahkan: RVM-002, mesin dicabut: RVM-007" in said("user.edited", "id", **sets)
    assert said("user.edited", params={"user_id": 9, "link": True}) == "Sign-in link made for user 9"
    assert said("user.edited", params={"user_id": 3}, before={}, after={"password": "changed"}) == (
        "Password of Budi changed"
    )


HOSTILE = (
    "<script>alert(1)</script>", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "a\r\nSet-Cookie: x=1", "{name} {0}",
    "x" * 50_000, "e" + "\u0301" * 5000, "\u2066\u2067\u2068", "\ud800", "مرحبا", "\u0000\u0007\u009b", "\u2028\u2029",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("code", sorted(CODES))
def test_hostile_text_acts_on_nothing(code: str, text: str) -> None:
    junk = {
        **dict.fromkeys(BARE, text),
        text[:50]: text,
        "status": text,
        "reason": text,
        "until": text,
        "args": {"x": text},
    }
    found = event_sentences.describe(
        reader(), event(code, junk, junk, {**junk, "status": text + "!"}), Names({"3": text})
    )
    loose = [letter for letter in found.sentence if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")]
    turning = [letter for letter in found.sentence if letter in "\u202a\u202b\u202d\u202e\u2066\u2067"]
    assert (loose, turning) == ([], [])
    assert found.sentence.count("\u2068") == found.sentence.count("\u2069")
    assert len(found.sentence) < 5000
    found.sentence.encode()


def test_plain_keeps_what_is_harmless() -> None:
    assert plain("Mall Kelapa Gading – lantai 1 ✓ é 日本") == "Mall Kelapa Gading – lantai 1 ✓ é 日本"
    assert plain("نعم") == "\u2068نعم\u2069"
    assert plain("x" * 300) == "x" * 200 + "…"
    assert plain({"a": [1, None]}) == '{"a": [1, null]}'


def test_no_text_of_an_event_is_left_over() -> None:
    known = {key for key in texts_in("en") if key.startswith("event.")}
    heads = {f"event.{code}{end}" for code in CODES for end in ("", ".many")}
    parts = (
        "status", "gone", "job", "method", "source", "member", "config.changed", "sign_in.succeeded", "export",
        "sign_in.second", "reason", "machines",
        "remote.terminal_opened", "remote.page_opened", "remote.file_downloaded", "remote.file_uploaded",
    )  # fmt: skip
    single = {
        "remote.bytes",
        "remote.unconfirmed",
        "bin",
        "session",
        "times",
        "capacity",
        "reason",
        "until",
        "change",
        "more",
        "from",
        "forced",
        "one_of_many",
        "trouble.left",
        "view.shared",
        "token.some",
        "sign_in.no_code",
        "notification.tested.sent",
        "notification.tested.failed",
        "remote.claimed",
        "remote.for",
        "remote.site",
        "recording.retention",
        "backup.full",
        "backup.cancelled",
        "backup.incremental",
        "backup.retention",
        "backup.because_of",
        "backup.files",
        "backup.safety",
        "underneath",
        "guess",
        "password",
        "tries",
    }
    rest = known - heads - {f"event.{name}" for name in single}
    extra = {
        "event.timezone.same",
        "event.user.password",
        "event.sign_in.wrong_code",
        "event.sign_in.wrong_code_alone",
        "event.machine.certificate_other",
        "event.trouble.taken_over",
        "event.trouble.person",
    }
    assert {key for key in rest - extra if not key.startswith(tuple(f"event.{part}." for part in parts))} == set()


@pytest.mark.parametrize(
    ("right", "says"), [({"by": "password"}, "password right, code wrong"), ({"by": "link"}, "wrong code")]
)
def test_a_wrong_code_says_that_somebody_knows_the_password_only_where_it_was_given(
    right: dict[str, str], says: str
) -> None:
    params = {"email": "a@b.c", "ip": "10.0.0.1", "failures": 2, "second": True, **right}
    assert said("sign_in.failed", params=params).split(", ", 1)[1].startswith(f"{says}, from")


def test_a_right_password_without_a_code_says_so_and_from_where() -> None:
    params = {"email": "a@b.c", "ip": "10.0.0.1"}
    assert said("sign_in.code_missing", params=params).startswith(
        "Sign-in not finished: a@b.c, password right, no code came, from 10.0.0.1"
    )


def test_a_backup_is_reported_with_its_size_and_a_drill_with_what_it_found() -> None:
    whole = {"backup_id": 12, "backup_type": "incremental", "size": 214_000_000}
    assert said("backup.completed", params=whole) == "Backup 12 is complete, incremental, 214\u202fMB"
    assert said("backup.deleted", "id", params={"backup_id": 12, "size": None, "why": "retention"}) == (
        "Cadangan 12 dihapus, masa simpannya habis"
    )
    assert said("backup.verified", params={"backup_id": 12, "files": 1234, "bytes": 5_000}) == (
        "Backup 12 verified: restored and compared, 1,234 files, 5.0\u202fkB"
    )
    damaged = {"backup_id": 12, "code": "archive_damaged", "message": "cut", "damaged_id": 11}
    assert said("backup.drill_failed", params=damaged) == (
        "Test restore of backup 12 failed: the archive is damaged, damaged is backup 11, which it needs"
    )
    assert said("backup.failed", params={"backup_id": 12, "code": "cancelled"}) == "Backup 12 was cancelled"
    assert said("backup.failed", params={"backup_id": 12, "code": "new_code"}) == "Backup 12 failed: new_code"


def test_a_restore_is_shown_from_its_request_to_its_end() -> None:
    asked = {"backup_id": 12, "safety_backup_id": 13}
    assert said("backup.restore_asked", params=asked) == "Restore of backup 12 requested, after safety backup 13"
    assert said("backup.restore_asked", "id", params={"backup_id": 12}) == "Pemulihan cadangan 12 diminta"
    done = {"restore_id": 6, "backup_id": 12, "files": 3, "classes": ["data"]}
    assert said("backup.restored", params=done) == "Backup 12 restored, 3 files"
    failed = {"restore_id": 6, "backup_id": 12, "code": "safety_failed"}
    assert said("backup.restore_failed", params=failed) == (
        "Restore of backup 12 failed: the safety backup failed, so nothing was restored"
    )


def test_a_trouble_that_the_command_line_took_names_for_whom() -> None:
    params = {"trouble_id": 1, "cause": "worn", "person": "Budi"}
    assert said("trouble.taken", params=params) == "On it: Disk worn, in the name of Budi"
    assert said("trouble.taken", "id", params=params | {"from": "Sari"}) == (
        "Mengambil alih dari Sari: Disk aus, atas nama Budi"
    )
