"""The tests' door: what it takes for a failure, which Python it finds, what it says at the end."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import run_tests


def test_what_follows_two_dashes_goes_to_pytest() -> None:
    asked = run_tests.read(["--one-python", "--", "-k", "spool and not slow"])
    assert (asked.one_python, asked.quick, asked.pytest) == (True, False, ["-k", "spool and not slow"])
    assert run_tests.read([]).pytest == []
    assert run_tests.read(["--", "tests/db"]).pytest == ["tests/db"]


@pytest.mark.parametrize(
    "line",
    [
        "3 passed in 1.20s",
        "====== 1 failed, 812 passed, 3 skipped in 301.22s (0:05:01) ======",
        "2 errors in 0.10s",
        "no tests ran in 0.01s",
    ],
)
def test_pytests_closing_line_is_known(line: str) -> None:
    assert run_tests.CLOSING_LINE.match(line)


def test_a_shim_without_a_python_behind_it_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.10"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(shim) if name == "python3.10" else None)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert run_tests.find_oldest_python() is None


def test_a_failure_anywhere_is_a_failure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_it.py").write_text("def test_good(): pass\ndef test_bad(): assert False\n")
    closing, outcome = run_tests.pytest("Tests", ["-p", "no:randomly", "--rootdir", str(tmp_path), str(tmp_path)])
    assert not outcome.passed
    assert "1 failed, 1 passed" in closing
    assert "== Tests ==" in capfd.readouterr().out
    assert not run_tests.check("Lint", [sys.executable, "-c", "raise SystemExit(1)"]).passed


def test_a_failure_that_does_not_come_again_is_named_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_it.py").write_text(
        "from pathlib import Path\nimport pytest\n\n\ndef test_good(): pass\n\n\n"
        "@pytest.mark.parametrize('a', ['x - y'])\ndef test_late(a):\n"
        "    seen = Path('seen')\n    known = seen.exists()\n    seen.touch()\n    assert known\n"
    )
    closing, outcome = run_tests.pytest("Tests", ["test_it.py"])
    assert outcome.passed
    assert "1 failed, 1 passed" in outcome.remark
    assert "test_it.py::test_late" in outcome.remark
    assert "1 passed" in closing
    assert "once more and alone" in capfd.readouterr().out


def test_many_failures_get_no_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bad = "".join(f"def test_{n}(): assert False\n" for n in range(run_tests.SECOND_LOOK + 1))
    (tmp_path / "test_it.py").write_text(bad)
    assert not run_tests.pytest("Tests", ["test_it.py"])[1].passed
    assert "once more" not in capfd.readouterr().out


def test_javascript_without_node_is_a_failure_not_a_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tests, "packaged_node", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not run_tests.javascript().passed


def test_help_tells_the_ways_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_tests.read(["--help"])
    assert ended.value.code == 0
    assert "--quick" in capsys.readouterr().out


def test_the_command_of_the_checks_runs_it(tmp_path: Path) -> None:
    """.ci/run reaches run_tests.py from any folder; a wrong flag is enough to see that it did."""
    script = Path(run_tests.__file__).parent / ".ci" / "run"
    (tmp_path / "python3").write_text('#!/bin/sh\necho "$PWD $*"\n')
    (tmp_path / "python3").chmod(0o755)
    said = subprocess.run(
        [str(script)],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    assert said.stdout.split() == [str(script.parent.parent), "run_tests.py"]
