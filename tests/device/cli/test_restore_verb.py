"""`restore` and `backup show` by command line: without a hub, without a configuration, all of it or nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from archive import age
from device.cli.main import main
from tests.support.archives import archive, file, folder, hardlink, header, symlink
from tests.support.hostile_archives import CORPUS, Hostile, snapshot
from tests.support.inotify import watched

ROOT = Path(__file__).parents[3]
ITEMS = [folder("app"), file("app/a", b"one"), file("app/b", b"two"), folder("conf"), file("conf/c.json", b"{}")]
ENGLISH = {"LANG": "en_US.UTF-8"}


def run(*words: object, language: str = "en") -> int:
    return main([str(word) for word in words], {"LANG": "id_ID.UTF-8" if language == "id" else "en_US.UTF-8"})


@pytest.fixture
def full(tmp_path: Path) -> Path:
    made = tmp_path / "full.tar.gz"
    made.write_bytes(archive(header(), ITEMS))
    return made


@pytest.fixture
def second(tmp_path: Path) -> Path:
    made = tmp_path / "second.tar.gz"
    made.write_bytes(archive(header(2, 1), [file("app/b", b"changed")], ["app/a"]))
    return made


def names(folder_: Path) -> list[str]:
    return sorted(path.name for path in folder_.iterdir())


def test_a_backup_is_restored_without_hub_and_configuration(
    full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("restore", full, "--into", tmp_path / "new") == 0
    assert (tmp_path / "new/app/a").read_bytes() == b"one"
    assert "3 files (8 bytes) of backup 1 of lobby" in capsys.readouterr().out
    assert names(tmp_path) == ["full.tar.gz", "new"]


def test_a_chain_is_restored_in_whatever_order_it_is_named(
    full: Path, second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert run("restore", "--json", second, full, "--into", tmp_path / "empty") == 0
    assert names(tmp_path / "empty/app") == ["b"]
    shown = json.loads(capsys.readouterr().out)
    assert (shown["backup_id"], shown["chain"], shown["files"], shown["bytes"]) == (2, [1, 2], 2, 9)


def test_only_some_paths(full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("restore", full, "--into", tmp_path / "new", "--path", "app/b", "--path", "/conf/") == 0
    assert sorted(snapshot(tmp_path / "new")) == ["app", "app/b", "conf", "conf/c.json"]
    assert run("restore", full, "--into", tmp_path / "none", "--path", "app/x") == 1
    assert "backup show" in capsys.readouterr().err
    assert names(tmp_path) == ["full.tar.gz", "new"]


def test_an_encrypted_one_with_its_identity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identity, recipient = age.make_identity()
    made, key = tmp_path / "a", tmp_path / "key"
    made.write_bytes(archive(header(), ITEMS, recipients=[recipient]))
    key.write_text(identity)
    assert run("restore", made, "--into", tmp_path / "new") == 1
    assert "--identity" in capsys.readouterr().err
    assert run("restore", made, "--into", tmp_path / "new", "--identity", key) == 0
    assert run("backup", "show", made, "--identity", key) == 0


def test_what_is_there_is_never_touched(full: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "mine").write_text("mine")
    assert run("restore", full, "--into", there) == 2
    assert "not empty" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert run("restore", full, "--into", tmp_path / "link") == 2
    assert run("restore", full, "--into", tmp_path / "none" / "deeper") == 1
    assert f" {tmp_path}/none: No such file" in capsys.readouterr().err
    assert run("restore", full, "--into", full / "x") == 1
    assert (names(tmp_path), names(there)) == (["full.tar.gz", "link", "there"], ["mine"])


def test_links_that_lead_out_want_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "a"
    made.write_bytes(archive(header(), [folder("app"), symlink("app/l", "/etc/passwd")]))
    assert run("restore", made, "--into", tmp_path / "new") == 1
    assert "--links-outside" in capsys.readouterr().err
    assert names(tmp_path) == ["a"]
    assert run("restore", made, "--into", tmp_path / "new", "--links-outside") == 0


def test_a_chain_with_a_gap_names_what_is_missing(
    second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--json", "restore", second, "--into", tmp_path / "new") == 1
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "wrong_chain"
    assert "1 is missing" in error["hint"]


def test_the_error_names_the_file_that_is_damaged(
    full: Path, second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second.write_bytes(second.read_bytes()[:-30])
    assert run("restore", second, full, "--into", tmp_path / "new", language="id") == 1
    err = capsys.readouterr().err
    assert str(second) in err
    assert "rusak" in err
    assert run("restore", full, tmp_path / "absent", "--into", tmp_path / "new") == 1
    assert str(tmp_path / "absent") in capsys.readouterr().err


def test_what_is_left_of_a_killed_one_is_in_nobodys_way(full: Path, tmp_path: Path) -> None:
    left = tmp_path / ".new.myrvm-restore"
    (left / "tree" / "app").mkdir(parents=True)
    (left / "file").write_text("x")
    (left / "link").symlink_to(tmp_path)
    assert run("restore", full, "--into", tmp_path / "new") == 0
    assert names(tmp_path) == ["full.tar.gz", "new"]


def test_one_that_runs_is_not_disturbed_and_one_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    made = tmp_path / "a"
    made.write_bytes(archive(header(), [folder("app"), file("app/large", os.urandom(64 * 1024 * 1024))], how="none"))
    script = "import sys; from device.cli.main import main; sys.exit(main(sys.argv[1:], {}))"
    words = [sys.executable, "-c", script, "restore", str(made), "--into", str(tmp_path / "new")]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / ".new.myrvm-restore" / "tree" / "app" / "large").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    assert run("restore", made, "--into", tmp_path / "new") == 1
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing was restored" in err
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_the_hostile_corpus_restores_nothing(
    hostile: Hostile, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device.cli.restore_verb._most", lambda _folder: 256 * 1024 * 1024)
    # The bound itself is tried by `python -m archive`, which nothing traces line by line.
    monkeypatch.setattr("archive.manifest.MAX_ENTRIES", 20_000)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "a").write_bytes(hostile.make(outside))
    before = snapshot(outside)
    with watched(outside) as happened:
        assert run("--json", "restore", tmp_path / "a", "--into", tmp_path / "new", "--links-outside") == 1
        assert happened() == []
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] in hostile.codes
    assert error["code"] == "disk_full" or str(tmp_path / "a") in error["hint"]
    assert error["hint"].isprintable()
    assert snapshot(outside) == before
    assert names(tmp_path) == ["a", "outside"]


def test_an_archive_is_shown(full: Path, second: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("backup", "show", full, "--files") == 0
    out = capsys.readouterr().out
    assert "full backup 1 of lobby" in out
    assert "source app (data): /srv/app" in out
    assert "app/a" in out
    assert run("backup", "show", second, "--files", language="id") == 0
    out = capsys.readouterr().out
    assert "1, 2" in out
    assert out.splitlines()[-1].startswith("D ")


def test_an_archive_is_shown_to_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "a"
    items = [
        file("app/a\x1b[31m", mtime_ns=10**18),
        symlink("app/l", "a"),
        hardlink("app/h", "app/l"),
        file("app/v", mark="vanished"),
    ]
    made.write_bytes(archive(header(), items))
    assert run("backup", "show", made, "--json", "--files") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[0]["header"]["backup_id"], lines[0]["totals"]["entries"]) == (1, 4)
    assert lines[1]["path"] == "app/a\x1b[31m"
    assert run("backup", "show", made, "--files") == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[vanished]" in shown


def test_what_cannot_be_shown_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_bytes(b"no archive")
    assert run("backup", "show", tmp_path / "a") == 1
    assert run("backup", "show", tmp_path / "none") == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "no longer run as another user"), ("id", "tidak lagi berjalan sebagai pengguna lain")],
)
def test_it_names_what_does_not_come_back_as_it_was(
    language: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "su.tar.gz"
    made.write_bytes(archive(header(), [folder("app"), file("app/su\x1b[2J", mode=0o4755)]))
    assert run("restore", made, "--into", tmp_path / "new", language=language) == 0
    shown = capsys.readouterr().out
    assert sentence in shown
    assert "app/su?[2J" in shown
    assert run("restore", "--json", made, "--into", tmp_path / "again") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["set_id_removed"], told["without_attributes"], told["unknown_owners"]) == (["app/su?[2J"], [], [])


@pytest.mark.parametrize(("language", "sentence"), [("en", "Save it to a file first"), ("id", "Simpan dahulu")])
def test_a_pipe_and_a_folder_are_no_archive(
    language: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe that nobody writes would hold it for ever; one that somebody does was called damaged."""
    os.mkfifo(tmp_path / "pipe")
    for file_ in (tmp_path / "pipe", tmp_path):
        assert run("restore", file_, "--into", tmp_path / "new", language=language) == 1
        assert sentence in capsys.readouterr().err
    assert names(tmp_path) == ["pipe"]
