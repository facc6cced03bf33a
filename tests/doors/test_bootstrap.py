"""The environment makes itself: on a small checkout with empty locks, so that no network is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import bootstrap

REPOSITORY = Path(bootstrap.__file__).parent
VERSION = "{}.{}".format(*sys.version_info)
SCRIPT = "import bootstrap, sys\nbootstrap.enter(sys.argv[1])\nprint('inside', sys.prefix, *sys.argv[1:])\n"

WITHOUT_PIP = """import bootstrap
run = bootstrap.run
bootstrap.run = lambda words: (True, "") if "pip" in words else run(words + ["--without-pip"] * ("venv" in words))
"""
"""Pip is most of what an environment takes; where it is not the subject, its place stays empty."""


class Free(NamedTuple):
    free: int


Entered = tuple[Path, subprocess.CompletedProcess[str]]


def new_checkout(folder: Path, script: str = SCRIPT) -> Path:
    """bootstrap.py, a script that enters, and locks without a package."""
    shutil.copy(REPOSITORY / "bootstrap.py", folder)
    (folder / "script.py").write_text(script)
    (folder / "locks").mkdir()
    for circle in bootstrap.CIRCLES:
        (folder / "locks" / f"{circle}-3.10.txt").write_text("")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Whose environment has no pip."""
    return new_checkout(tmp_path, WITHOUT_PIP + SCRIPT)


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> Entered:
    """A checkout after its first start (making an environment takes seconds, so these tests share one), and what the
    first start said."""
    folder = new_checkout(tmp_path_factory.mktemp("checkout"))
    return folder, start(folder)


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RVM_")}
    return kept | {"PATH": "/usr/bin:/bin", "LANG": "C"} | more


@pytest.mark.parametrize("door", ["run_hub.py", "run_device.py", "run_tests.py"])
@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "was removed.\nFix: "), ("id", "sudah dihapus.\nPerbaikan: ")]
)
def test_a_terminal_in_a_folder_that_is_gone_is_a_sentence(
    tmp_path: Path, door: str, language: str, sentence: str
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = f"import os, sys; os.rmdir({str(gone)!r}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    done = subprocess.run(
        [sys.executable, "-c", program, str(REPOSITORY / door)],
        check=False, capture_output=True, text=True, cwd=gone, env=environment(RVM_LANG=language, RVM_BOOTSTRAP="off"),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def command(checkout: Path, circle: str) -> list[str]:
    return [sys.executable, str(checkout / "script.py"), circle, "--flag", "two words"]


def start(checkout: Path, circle: str = "device", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(checkout, circle), check=False, capture_output=True, text=True, env=environment(**more), timeout=100
    )


def test_the_first_start_makes_the_environment_and_the_second_only_enters_it(entered: Entered) -> None:
    checkout, first = entered
    assert first.returncode == 0, first.stderr
    assert "First start" in first.stderr
    assert first.stdout.split() == ["inside", str(checkout / ".venv"), "device", "--flag", "two", "words"]
    second = start(checkout)
    assert (second.returncode, second.stderr, second.stdout) == (0, "", first.stdout)


def test_a_changed_lock_brings_it_up_to_date(entered: Entered) -> None:
    checkout, _ = entered
    (checkout / "locks" / "device-3.10.txt").write_text("# another one\n")
    assert "up to date" in start(checkout).stderr
    assert start(checkout).stderr == ""


def test_a_larger_circle_serves_a_smaller_one_and_not_the_other_way(entered: Entered) -> None:
    checkout, _ = entered
    assert "up to date" in start(checkout, "hub").stderr
    assert start(checkout, "device").stderr == ""
    assert "up to date" in start(checkout, "test").stderr
    assert json.loads((checkout / ".venv" / ".stamp").read_text())["circle"] == "test"


def test_an_environment_somebody_made_by_hand_is_completed_and_kept(entered: Entered) -> None:
    checkout, _ = entered
    (checkout / ".venv" / ".stamp").unlink()  # without stamp and mark it is not one of ours
    (checkout / ".venv" / "mine").touch()
    completed = start(checkout)
    assert completed.returncode == 0, completed.stderr
    assert "up to date" in completed.stderr
    assert (checkout / ".venv" / "mine").exists()


def test_a_half_made_environment_is_made_again(checkout: Path) -> None:
    start(checkout)
    (checkout / ".venv" / ".stamp").unlink()
    (checkout / ".venv" / ".making").touch()
    (checkout / ".venv" / "half-done").touch()
    again = start(checkout, RVM_LANG="id")
    assert (again.returncode, "Mulai pertama" in again.stderr) == (0, True), again.stderr
    assert not (checkout / ".venv" / "half-done").exists()


def test_what_a_failed_venv_leaves_behind_is_made_again_in_the_folder_named(checkout: Path) -> None:
    (checkout / "elsewhere" / "bin").mkdir(parents=True)
    (checkout / "elsewhere" / "bin" / "python").symlink_to("/nowhere/python3")
    again = start(checkout, RVM_VENV="elsewhere")
    assert (again.returncode, "First start" in again.stderr) == (0, True), again.stderr
    assert str(checkout / "elsewhere") in again.stdout


def test_two_starts_at_once_make_it_once(checkout: Path) -> None:
    pair = [
        subprocess.Popen(
            command(checkout, "device"), env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=100) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], said
    assert sum("First start" in errors for _, errors in said) == 1


def test_packages_that_cannot_be_had_end_it_with_what_to_do(entered: Entered, tmp_path: Path) -> None:
    checkout = shutil.copytree(entered[0], tmp_path / "checkout", symlinks=True)
    (checkout / ".venv" / ".stamp").unlink(missing_ok=True)  # a larger one of a test before this one would do
    (checkout / "locks" / "device-3.10.txt").write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    failed = start(checkout, PIP_NO_INDEX="1")
    assert failed.returncode == bootstrap.CONFIGURATION
    assert "no-such-package" in failed.stderr
    assert "Fix: check the network" in failed.stderr
    assert not (checkout / ".venv" / ".stamp").exists()


def test_a_prepared_python_is_used_as_it_is(checkout: Path) -> None:
    left_alone = start(checkout, RVM_BOOTSTRAP="off")
    assert left_alone.stdout.split()[:2] == ["inside", sys.prefix]
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("version", ["3.6", "3.7", "3.8", "3.9"])
def test_an_old_python_is_refused_with_what_is_needed(version: str) -> None:
    candidates = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    if not candidates:
        pytest.skip(f"no Python {version} here; the next test simulates it")
    for door in ("run_hub.py", "run_device.py", "run_tests.py"):
        ended = subprocess.run(
            [candidates[0], str(REPOSITORY / door), "--demo"],
            check=False,
            capture_output=True,
            text=True,
            env=environment(),
        )
        assert ended.returncode == bootstrap.CONFIGURATION
        assert "MyRVM needs Python 3.10 or newer" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_refusing_an_old_python(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bootstrap.refuse_old_python((3, 9, 18))
    assert ended.value.code == bootstrap.CONFIGURATION
    assert "3.9.18" in capsys.readouterr().err


def test_a_python_without_its_own_lock_takes_the_newest_before_it() -> None:
    assert bootstrap.lock_path("hub", "3.99").endswith("hub-3.13.txt")
    assert bootstrap.lock_path("device", "3.10").endswith("device-3.10.txt")


def test_looking_at_the_stamp_costs_next_to_nothing() -> None:
    folder = os.environ.get("RVM_VENV") or str(REPOSITORY / ".venv")
    began = time.process_time()
    bootstrap.is_ready(folder, "hub")
    assert time.process_time() - began < 0.02


@pytest.fixture
def bare_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A computer without ensurepip: `venv` fails and leaves half a folder until the package is installed."""
    asked: list[list[str]] = []

    def run(words: list[str]) -> tuple[bool, str]:
        asked.append(words)
        if "venv" in words:
            (tmp_path / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
            return any("install" in earlier for earlier in asked), "ensurepip is not available"
        return words[0] != sys.executable, ""

    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "apt-get" else None)
    return asked


def test_as_root_on_a_bare_debian_the_missing_package_is_installed(
    bare_debian: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    bootstrap.create(str(tmp_path / ".venv"), sys.executable, "3.11")
    assert bare_debian[2][-4:] == ["install", "-y", "--no-install-recommends", "python3.11-venv"]
    assert "python3.11-venv" in capsys.readouterr().err


def test_on_a_full_disk_nothing_is_installed_and_the_reason_is_named(
    bare_debian: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Free(21_300_000))
    with pytest.raises(bootstrap.SetUpError, match=r"Only 21 MB are free in .*\nFix: free some"):
        bootstrap.create(str(tmp_path / ".venv"), sys.executable, "3.11")
    assert not any("apt-get" in words for words in bare_debian)
    monkeypatch.setattr(bootstrap, "has_pip", lambda _: True)
    monkeypatch.setattr(bootstrap, "run", lambda _: (False, "[Errno 28]"))
    with pytest.raises(bootstrap.SetUpError, match="Only 21 MB"):
        bootstrap.install(str(tmp_path / ".venv"), "lock")

    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(bootstrap.SetUpError, match="Only 21 MB"):
        bootstrap.refuse_full_disk(str(tmp_path))


@pytest.mark.usefixtures("bare_debian")
def test_without_rights_on_a_bare_debian_the_one_line_to_type_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(bootstrap.SetUpError, match=r"sudo apt install python3\.11-venv"):
        bootstrap.create(str(tmp_path / ".venv"), sys.executable, "3.11")
    assert not (tmp_path / ".venv").exists()


@pytest.fixture
def failing_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho tried >> \"$0.log\"\necho 'no network here'\nexit 1\n")
    npm.chmod(0o755)
    (tmp_path / "package-lock.json").write_text("{}")
    (tmp_path / "locks").mkdir()
    (tmp_path / "env").mkdir()
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    return npm


def test_npm_that_fails_is_a_note_and_is_not_asked_at_every_start(
    failing_npm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        bootstrap.add_browser_parts(str(tmp_path / "env"), "hub")
    assert capsys.readouterr().err.count("no network here") == 1
    assert Path(f"{failing_npm}.log").read_text() == "tried\n"


def test_npm_that_hangs_is_given_up(
    failing_npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_npm.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(bootstrap, "NPM_TIMEOUT_S", 0.2)
    bootstrap.add_browser_parts(str(tmp_path / "env"), "hub")
    assert "Note: npm could not fetch" in capsys.readouterr().err


@pytest.fixture
def npm(failing_npm: Path, tmp_path: Path) -> list[str]:
    """An npm that works: it makes node_modules anew. Its calls are appended by `asked`."""
    failing_npm.write_text(
        f'#!/bin/sh\nrm -rf {tmp_path}/node_modules\nmkdir {tmp_path}/node_modules\necho "$*" >>"$0.log"\n'
    )
    return ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]


def test_a_hub_fetches_its_parts_and_the_tests_theirs_each_once(npm: list[str], tmp_path: Path) -> None:
    whole, hub_only = " ".join(npm), " ".join([*npm, "--omit=dev"])
    log, folder = tmp_path / "bin/npm.log", str(tmp_path / "env")
    for circle in ("hub", "hub", "test", "test", "hub"):
        bootstrap.add_browser_parts(folder, circle)
    assert log.read_text().splitlines() == [hub_only, whole], "the tests complete a hub's, and a hub keeps the tests'"
    (tmp_path / "package-lock.json").write_text('{"another": 1}')
    bootstrap.add_browser_parts(folder, "hub")
    assert log.read_text().splitlines() == [hub_only, whole, hub_only]


def test_a_hub_that_could_not_fetch_does_not_keep_the_tests_from_trying(failing_npm: Path, tmp_path: Path) -> None:
    for circle in ("hub", "test", "test"):
        bootstrap.add_browser_parts(str(tmp_path / "env"), circle)
    assert Path(f"{failing_npm}.log").read_text() == "tried\ntried\n"


@pytest.mark.parametrize("command", ["run_hub.py", "run_device.py", "-m certs"])
@pytest.mark.parametrize("language", ["en", "id"])
def test_a_terminal_without_every_character_is_no_error(command: str, language: str) -> None:
    """LANG=id_ID is ISO-8859-1."""
    environ = os.environ | {"PYTHONIOENCODING": "ascii", "RVM_BOOTSTRAP": "off", "RVM_LANG": language}
    words = [sys.executable, *command.split(), "--help"]
    ended = subprocess.run(words, check=False, capture_output=True, text=True, cwd=REPOSITORY, env=environ)
    assert (ended.returncode, ended.stderr) == (0, "")
