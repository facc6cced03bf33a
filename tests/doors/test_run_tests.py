"""The tests' door: what it takes for a failure, which Python it finds, what it says at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import run_tests


def test_what_follows_two_dashes_goes_to_pytest() -> None:
    asked = run_tests.read(["--one-python", "--", "-k", "spool and not slow"])
    assert (asked.one_python, asked.quick, asked.pytest) == (True, False, ["-k", "spool and not slow"])
    assert run_tests.read([]).pytest is None
    assert run_tests.read(["--"]).pytest == []
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
    outcome = run_tests.pytest("Tests", ["--rootdir", str(tmp_path), str(tmp_path)])
    assert not outcome.passed
    assert "1 failed, 1 passed" in outcome.remark
    assert "== Tests ==" in capfd.readouterr().out
    good, bad = [sys.executable, "-c", "print('well')"], [sys.executable, "-c", "print('ill'); raise SystemExit(1)"]
    assert run_tests.check("Lint", lambda: [good]).passed
    assert not run_tests.check("Lint", lambda: [bad, good]).passed
    assert "== Lint ==" in (shown := capfd.readouterr().out)
    assert "ill\nwell\n" in shown


def test_a_failure_that_does_not_come_again_is_named_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_it.py").write_text(
        "from pathlib import Path\nimport pytest\n\n\ndef test_good(): pass\n\n\n"
        "@pytest.mark.parametrize('a', ['x - y'])\ndef test_late(a):\n"
        "    seen = Path('seen')\n    known = seen.exists()\n    seen.touch()\n    assert known\n"
    )
    outcome = run_tests.pytest("Tests", ["test_it.py"])
    assert outcome.passed
    assert "1 failed, 1 passed" in outcome.remark
    assert "test_it.py::test_late" in outcome.remark
    assert outcome.looked_twice == ("test_it.py::test_late[x - y]",)
    assert "once more and alone" in capfd.readouterr().out
    run_tests.summary([outcome], 7.0)
    shown = capfd.readouterr().out
    assert "tests that needed a second look: 1" in shown
    assert shown.endswith("2 passed in 7.00s\n")


def test_a_phase_without_an_end_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_tests, "PHASE_S", 2)
    monkeypatch.setattr(run_tests, "PHASE_ENDS", ((0, signal.SIGINT), (10, signal.SIGKILL)))
    (tmp_path / "test_it.py").write_text("import signal\ndef test_it(): signal.pause()\n")
    outcome = run_tests.pytest("Tests", ["-p", "no:timeout", "--rootdir", str(tmp_path), str(tmp_path)])
    assert not outcome.passed
    assert "passed" not in outcome.remark


def test_many_failures_get_no_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bad = "".join(f"def test_{n}(): assert False\n" for n in range(run_tests.SECOND_LOOK + 1))
    (tmp_path / "test_it.py").write_text(bad)
    outcome = run_tests.pytest("Tests", ["test_it.py"])
    assert not outcome.passed
    assert outcome.looked_twice == ()
    assert "once more" not in capfd.readouterr().out


def test_the_slowest_files_and_tests_are_named_with_what_they_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_a.py").write_text("def test_one(): pass\ndef test_two(): pass\n")
    times = run_tests.pytest("Tests", ["test_a.py"]).times
    assert [name for name, _ in times] == ["test_a.py::test_one", "test_a.py::test_two"]
    capfd.readouterr()
    run_tests.slowest([("a.py::x", 2.0), ("b.py::y", 3.0), ("a.py::z", 2.5)])
    files, tests = capfd.readouterr().out.split("== Slowest tests")
    assert files.index("4.5 s  a.py") < files.index("3.0 s  b.py")
    assert tests.index("b.py::y") < tests.index("a.py::z") < tests.index("a.py::x")


def test_coverage_below_its_bar_fails_and_names_the_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "protocol").mkdir()
    (tmp_path / "protocol" / "half.py").write_text("def f(x):\n    if x:\n        return 1\n    return 2\n")
    (tmp_path / "test_it.py").write_text("from protocol.half import f\ndef test_it(): assert f(1) == 1\n")
    monkeypatch.setattr(run_tests, "COVERED", {"protocol/": 100.0, "": 60.0})
    assert run_tests.pytest("Tests", ["--cov=protocol", "--cov-branch", "--cov-report=", "test_it.py"]).passed
    capfd.readouterr()
    outcome = run_tests.coverage()
    assert not outcome.passed
    assert outcome.remark == "protocol/ 66.7 %, all 66.7 %"
    assert "protocol/half.py: lines [4], branches [[2, 4]]" in capfd.readouterr().out
    monkeypatch.setattr(run_tests, "COVERED", {"": 60.0})
    assert run_tests.coverage().passed
    monkeypatch.setattr(run_tests, "COVERED", {"nothing/": 60.0})
    assert not run_tests.coverage().passed


def test_what_is_repeated_stands_behind_the_others_and_is_shown_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, behind = str(Path(sys.executable).parent.parent), min(os.nice(0) + 17, 19)
    (tmp_path / "test_it.py").write_text(
        f"import os\ndef test_it(): assert (os.nice(0), os.environ['RVM_VENV']) == ({behind}, {folder!r})\n"
    )
    (outcome,) = run_tests.repeated(sys.executable, ["test_it.py"])
    assert outcome.passed
    shown = capfd.readouterr().out
    assert shown.index("== Tests on Python 3.10 ==") < shown.index("1 passed")
    skipped = run_tests.Outcome("Tests on Python 3.10", True, 0.0, "skipped: no Python 3.10 found")
    assert run_tests.repeated(skipped, []) == [skipped]
    assert run_tests.repeated("", []) == []


def test_the_closing_line_adds_the_phases_up(capfd: pytest.CaptureFixture[str]) -> None:
    remarks = ["10 passed, 1 skipped in 3.00s", "== 1 failed, 2 passed, 2 errors in 1.00s ==", "protocol/ 100.0 %"]
    outcomes = [run_tests.Outcome("Tests", True, 1.0, remark) for remark in remarks]
    again = "1 failed, 4 passed in 2.00s; on a second run alone: 1 passed in 0.10s: tests/test_x.py::test_y"
    outcomes.append(run_tests.Outcome("Tests", True, 1.0, again, ("tests/test_x.py::test_y",)))
    assert run_tests.together(outcomes, 6.5) == "3 failed, 17 passed, 1 skipped in 6.50s"
    assert run_tests.together([], 6.5) == "no tests ran in 6.50s"


def test_pytests_own_words_are_the_whole_run(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_good(): pass\n")
    door = Path(run_tests.__file__)
    said = subprocess.run(
        [sys.executable, str(door), "--", "--rootdir", str(tmp_path), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in said.stdout
    assert "==" not in said.stdout


def test_javascript_without_node_is_a_failure_not_a_silence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_tests, "packaged_node", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not run_tests.check("JavaScript", run_tests.javascript).passed
    assert "no node on this computer" in capfd.readouterr().out


def test_javascript_without_what_checks_it_is_a_failure_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tests/javascript").mkdir(parents=True)
    (tmp_path / "tests/javascript/a.test.mjs").write_text("")
    monkeypatch.chdir(tmp_path)
    assert not run_tests.check("JavaScript", run_tests.javascript).passed
    assert "npm could not fetch it" in capfd.readouterr().out


def test_help_lists_the_ways_to_run(capsys: pytest.CaptureFixture[str]) -> None:
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
