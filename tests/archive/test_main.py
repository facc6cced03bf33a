"""The process that checks archives: what it reports, what it takes, and that it leaves nothing when it is ended."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from archive import age, manifest
from archive.__main__ import NICE
from tests.support.archives import archive, file, folder, header

ROOT = Path(__file__).parents[2]


def started(*words: object, fds: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "archive", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=fds)


def ended(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    out, err = process.communicate(timeout=60)
    assert err == ""
    return process.returncode, [json.loads(line) for line in out.splitlines()]


def chain(folder_: Path, **how: Any) -> tuple[Path, Path]:
    first, second = folder_ / "1.tar.gz", folder_ / "2.tar.gz"
    first.write_bytes(archive(header(), [folder("app"), file("app/a", os.urandom(2_000_000)), file("app/b")], **how))
    second.write_bytes(archive(header(2, 1), [file("app/b", b"new")], ["app/a"], **how))
    return first, second


def test_it_stands_behind_all_else(tmp_path: Path) -> None:
    program = "import os, sys; from archive.__main__ import main; main(sys.argv[1:]); print(os.nice(0))"
    words = [sys.executable, "-c", program, "check", str(tmp_path / "none"), "--scratch", str(tmp_path)]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert int(said.splitlines()[-1]) == min(os.nice(0) + NICE, 19)


def test_a_chain_is_checked_and_the_newest_manifest_kept(tmp_path: Path) -> None:
    first, second = chain(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code, lines = ended(started("check", first, second, "--scratch", scratch, "--manifest", tmp_path / "m.gz"))
    assert code == 0
    done = lines[-1]
    assert done.pop("seconds") >= 0
    assert done == {
        "event": "done", "backup_id": 2, "rvm_id": 3, "backup_type": "incremental", "chain": [1, 2], "files": 1,
        "bytes": 3, "entries": 1, "deleted": 1, "compared_files": 1, "compared_bytes": 3,
        "sha256": [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)],
        "archive_bytes": [path.stat().st_size for path in (first, second)],
    }  # fmt: skip
    assert {line["phase"] for line in lines[:-1]} == {"unpacking", "comparing"}
    assert all(0 <= line["done"] <= line["total"] for line in lines[:-1])
    listed = list(manifest.read([gzip.decompress((tmp_path / "m.gz").read_bytes())]))
    assert listed[0] == header(2, 1)
    assert list(scratch.iterdir()) == []


def test_archives_come_through_pipes_and_encrypted(tmp_path: Path) -> None:
    identity, recipient = age.make_identity()
    first, second = chain(tmp_path, recipients=[recipient])
    key = tmp_path / "key"
    key.write_text(identity)
    with first.open("rb") as one, second.open("rb") as two:
        fds = (one.fileno(), two.fileno())
        process = started(
            "check", f"fd:{fds[0]}", f"fd:{fds[1]}:900", "--scratch", tmp_path, "--identity", key, fds=fds
        )
        code, lines = ended(process)
    assert (code, lines[-1]["event"]) == (0, "done")


def test_one_manifest_is_read_without_unpacking(tmp_path: Path) -> None:
    first, _ = chain(tmp_path)
    code, lines = ended(started("manifest", first, tmp_path / "m.gz"))
    assert (code, lines[-1]["files"], lines[-1]["entries"]) == (0, 2, 3)
    assert gzip.decompress((tmp_path / "m.gz").read_bytes()).count(b"\n") == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.tar.gz", "2.tar.gz", "m.gz"]


def test_a_failure_says_which_archive_of_the_chain(tmp_path: Path) -> None:
    first, second = chain(tmp_path)
    second.write_bytes(second.read_bytes()[:-20])
    code, lines = ended(started("check", first, second, "--scratch", tmp_path))
    assert (code, lines[-1]["code"], lines[-1]["archive"]) == (1, "archive_damaged", 1)


def test_what_cannot_be_opened_is_a_line_as_well(tmp_path: Path) -> None:
    code, lines = ended(started("check", tmp_path / "none", "--scratch", tmp_path))
    assert (code, lines[-1]["code"]) == (1, "write_failed")
    first, _ = chain(tmp_path)
    code, lines = ended(started("check", first, "--scratch", tmp_path / "none"))
    assert (code, lines[-1]["code"]) == (1, "write_failed")
    code, lines = ended(started("check", first, "--scratch", tmp_path, "--identity", tmp_path / "none"))
    assert (code, lines[-1]["code"]) == (1, "wrong_key")
    code, lines = ended(started("check", first, "--scratch", tmp_path, "--max-bytes", 1000))
    assert (code, lines[-1]["code"]) == (1, "disk_full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.tar.gz", "2.tar.gz"]


def test_what_is_ended_from_outside_leaves_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    first, _ = chain(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = started("check", f"fd:{reading}", "--scratch", scratch, fds=(reading,))
    os.close(reading)
    os.write(writing, first.read_bytes()[:60_000])  # less than the pipe holds, and more than the process can use up
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["phase"] == "unpacking"
    assert len(list(scratch.iterdir())) == 1
    process.terminate()
    code, lines = ended(process)
    os.close(writing)
    assert (code, lines[-1]["code"]) == (1, "interrupted")
    assert list(scratch.iterdir()) == []


def test_it_ends_without_a_word_when_whoever_asked_has_died(tmp_path: Path) -> None:
    first, second = chain(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = started("check", first, second, "--scratch", scratch)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 1
    with process.stderr as told:
        assert told.read() == ""
    assert list(scratch.iterdir()) == []


def test_no_alarm_is_left_for_the_end_of_python(tmp_path: Path) -> None:
    """Whose handlers are gone by then: it would kill a process that has done everything."""
    line = "import signal, archive.__main__ as m; m.main(['manifest', 'none', 'm.gz']); print(signal.getitimer(0))"
    ran = subprocess.run(
        [sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )  # fmt: skip
    assert ran.stdout.splitlines()[-1] == "(0.0, 0.0)"
