"""Killed anywhere, an installation or a removal is finished by the same command given again."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer import carried_python
from tests.installer.python_tar import carry, packed_python
from tests.installer.small_checkout import small_checkout
from tests.support.throwaway_root import ThrowawayRoot, throwaway_root

PLACES = (
    "opt/myrvm", "etc/myrvm", "var/lib/myrvm", "etc/systemd/system", "usr/local/bin/myrvm-agent", "usr/local/lib/myrvm",
    "etc/myrvm-privileged.json", "var/lib/myrvm-session", "etc/passwd", "etc/group",
)  # fmt: skip
VICTIM = """
import os, sys
source, killed_at, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
sys.path.insert(0, source)
CHANGES = {"os.rename", "os.mkdir", "os.symlink", "os.chmod", "os.chown", "os.remove", "os.rmdir", "subprocess.Popen"}
seen = []
def look(event, found):
    writes = event == "open" and found[0] != "/dev/null" and found[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event in CHANGES or writes:
        seen.append(event + " " + str(found[0]))
        if len(seen) == killed_at:
            os.kill(os.getpid(), 9)
sys.addaudithook(look)
from installer import cli
code = cli.main("run_device.py", words)
if killed_at == 0:
    print("SEEN", *seen, sep="\\n")
sys.exit(code)
"""
INSIDE = re.compile(r"/releases/|/opt/myrvm/python/| (?!/)")
"""Of a release or a Python, also by rmtree, which names files without their folder."""
INSIDE_A_RELEASE = 3
"""Of their hundreds of files so many moments are tried."""
EACH = 1 if os.environ.get("TEST_EVERY_MOMENT") else 5
"""Of the others every fifth one, begun elsewhere in the removal; TEST_EVERY_MOMENT takes all (minutes)."""
SELDOM = 1 if EACH == 1 else 30
"""With a Python to unpack each one takes seconds."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    small = small_checkout(tmp_path / "checkout")
    (small / "machine.json").write_text(json.dumps({"rvm_id": "rvm-1", "api_token": "file:machine.key"}))
    (small / "machine.key").write_text("k" * 40)
    return small


@pytest.fixture(params=["system", "carried"])
def python(request: pytest.FixtureRequest, checkout: Path, tmp_path: Path) -> str:
    """What the installation is run by: the system's, or one that the bundle carries and that is installed with it."""
    python = "python3"
    if request.param == "carried":
        entry = carry(checkout, packed_python(tmp_path / "python.tar"))
        carried_python.unpack(carried_python.archive_of(checkout, entry), entry, checkout / "running", stays=True)
        python = str(carried_python.program(checkout / "running", entry))
    # Else each of some forty starts would compile the installer, and the carried one its library too.
    rooms = [str(checkout / room) for room in ("installer", "texts")]
    subprocess.run([python, "-I", "-m", "compileall", "-q", *rooms], check=True)
    return python


def start(root: ThrowawayRoot, checkout: Path, python: str, killed_at: int, *words: str) -> str:
    command = [python, "-B", "-I", "-c", VICTIM, str(checkout), str(killed_at), *words]
    done = root.run(*command)
    assert done.returncode in (0, -9, 137), done.stdout + done.stderr
    return done.stdout


def changed(root: ThrowawayRoot, checkout: Path, python: str, *words: str) -> list[object]:
    done = root.run(python, "-B", str(checkout / "run_device.py"), *words, "--json")
    assert done.returncode == 0, done.stderr
    changes: list[object] = json.loads(done.stdout)["changes"]
    return changes


def picture(root: ThrowawayRoot) -> dict[str, object]:
    """Every file with its rights and what is in it."""
    found: dict[str, object] = {}
    for place in PLACES:
        top = root.path / place
        for path in [top, *(top.rglob("*") if top.is_dir() else ())]:
            if not (path.exists() or path.is_symlink()) or "__pycache__" in path.parts or path.name == ".complete":
                continue
            facts = path.lstat()
            held: object = (
                "" if stat.S_ISDIR(facts.st_mode) else path.readlink() if path.is_symlink() else path.read_bytes()
            )
            found[str(path.relative_to(root.path))] = (facts.st_mode, facts.st_uid, facts.st_gid, held)
    return found


def moments(seen: str, python: str, first: int = 0) -> Iterator[int]:
    lines = seen.partition("SEEN\n")[2].splitlines()
    inside = [number for number, line in enumerate(lines, 1) if INSIDE.search(line)]
    few = inside[:: max(1, len(inside) // INSIDE_A_RELEASE)]
    outside = [number for number in range(1, len(lines) + 1) if number not in inside]
    yield from sorted({*outside[first :: EACH if python == "python3" else SELDOM], *few})


@pytest.mark.timeout(240 if EACH > 1 else 1500)
def test_an_installation_killed_anywhere_is_finished_by_the_next(checkout: Path, python: str) -> None:
    words = ("install", "--config", str(checkout / "machine.json"))
    with throwaway_root(seen=checkout) as root:
        before = picture(root)
        seen = start(root, checkout, python, 0, *words)
        whole = picture(root)
        assert changed(root, checkout, python, *words) == []
        assert changed(root, checkout, python, "uninstall", "--purge") != []
        assert picture(root) == before
        tried = list(moments(seen, python))
        assert len(tried) > 5, seen
        for moment in tried:
            start(root, checkout, python, moment, *words)
            start(root, checkout, python, 10**6, *words)
            assert picture(root) == whole, f"killed at {moment}: {seen.splitlines()[moment]}"
            assert changed(root, checkout, python, "uninstall", "--purge") != []


@pytest.mark.timeout(240 if EACH > 1 else 1500)
def test_a_removal_killed_anywhere_is_finished_by_the_next(checkout: Path, python: str) -> None:
    words = ("install", "--config", str(checkout / "machine.json"))
    with throwaway_root(seen=checkout) as root:
        before = picture(root)
        start(root, checkout, python, 0, *words)
        seen = start(root, checkout, python, 0, "uninstall", "--purge")
        for moment in moments(seen, python, first=1):
            start(root, checkout, python, 0, *words)
            start(root, checkout, python, moment, "uninstall", "--purge")
            start(root, checkout, python, 10**6, "uninstall", "--purge")
            assert picture(root) == before, f"killed at {moment}: {seen.splitlines()[moment]}"
