"""The hostile corpus against the process that unpacks: an error in a line, nothing outside, nothing left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.archives import archive, file, folder, header
from tests.support.hostile_archives import CORPUS, DELETES_OUTSIDE, Hostile, snapshot
from tests.support.inotify import watched

ROOT = Path(__file__).parents[2]
ROOM = 256 * 1024 * 1024


def check(*archives: Path, scratch: Path, **options: Any) -> tuple[int, dict[str, Any]]:
    scratch.mkdir(exist_ok=True)
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "archive", "check", *map(str, archives), "--scratch", str(scratch), *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.stderr == ""
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_nothing_is_written_outside_and_nothing_left(hostile: Hostile, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    data = hostile.make(outside)
    before = snapshot(outside)
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "scratch").mkdir()
    with watched(tmp_path, outside) as happened:
        code, line = check(tmp_path / "a", scratch=tmp_path / "scratch", max_bytes=ROOM)
        assert happened() == [], "not even for a moment"
    assert (code, line["event"]) == (1, "failed")
    assert line["code"] in hostile.codes, line
    assert line["detail"]
    assert snapshot(outside) == before
    assert list((tmp_path / "scratch").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "outside", "scratch"]


def test_a_chain_deletes_nothing_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "1").write_bytes(archive(header(1), [folder("app"), folder("app/out"), file("app/out/there")]))
    (tmp_path / "2").write_bytes(DELETES_OUTSIDE.make(outside))
    before = snapshot(outside)
    with watched(outside) as happened:
        check(tmp_path / "1", tmp_path / "2", scratch=tmp_path / "scratch")
        assert happened() == []
    assert snapshot(outside) == before
