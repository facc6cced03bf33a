"""A bundle on each Python that is here: an environment from its wheels alone, and an agent that connects.

python3 run_hub.py bundle BUNDLE
TEST_INSTALL_BUNDLE=BUNDLE TEST_INSTALL_PYTHONS=~/.pyenv/versions \\
    python3 run_tests.py -- tests/installer/test_bundle_pythons.py -s
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from installer import bundle
from tests.support.throwaway_root import REPOSITORY, ThrowawayRoot, throwaway_root
from tests.support.until import wait_until

pytestmark = [pytest.mark.timeout(300)]
BUNDLE, PYTHONS = Path(os.environ.get("TEST_INSTALL_BUNDLE", "")), Path(os.environ.get("TEST_INSTALL_PYTHONS", ""))
FOUND = sorted(PYTHONS.glob("3.*/bin/python3"), key=lambda path: int(path.parts[-3].split(".")[1]))
NEW = [path for path in FOUND if int(path.parts[-3].split(".")[1]) >= 10]
OLD = [path for path in FOUND if path not in NEW]


def version(path: Path) -> str:
    return path.parts[-3]


@pytest.mark.parametrize("processor", bundle.PROCESSORS)
@pytest.mark.parametrize("python", bundle.PYTHONS)
def test_every_locked_package_has_a_wheel_for_it(python: str, processor: str) -> None:
    minor = int(python.split(".")[1])
    platforms = [word.partition("=")[2] for word in bundle.target(python, processor) if word.startswith("--platform")]
    taken = {*cpython_tags((3, minor), platforms=platforms), *compatible_tags((3, minor), f"cp3{minor}", platforms)}
    wheels = [parse_wheel_filename(path.name) for path in (BUNDLE / "wheels").iterdir()]
    fits = {(name, str(number)) for name, number, _, tags in wheels if tags & taken}
    lock = (BUNDLE / "locks" / f"device-{python}.txt").read_text()
    pins = [line.partition(" --hash")[0] for line in bundle.requirements(lock, bundle.environment(python, processor))]
    wanted = {(canonicalize_name(pin.name), str(pin.specifier)[2:]) for pin in map(Requirement, pins)}
    assert wanted <= fits
    print(f"Python {python} on {processor}: {len(wanted)} packages")


@pytest.mark.parametrize("python", OLD, ids=version)
def test_an_older_python_is_refused_in_both_languages(python: Path) -> None:
    for language, words in (("en", "MyRVM needs Python 3.10"), ("id", "MyRVM memerlukan Python 3.10")):
        environ = {"PATH": "/nowhere", "RVM_LANG": language}
        command = [str(python), str(BUNDLE / "run_device.py"), "install"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environ)
        assert (done.returncode, words in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize("python", OLD, ids=version)
def test_an_older_python_gives_the_installation_to_a_newer_one_beside_it(python: Path, tmp_path: Path) -> None:
    newer = tmp_path / f"python{'.'.join(version(NEW[0]).split('.')[:2])}"
    newer.symlink_to(NEW[0].resolve())
    command = [str(python), str(BUNDLE / "run_device.py"), "install", "--help"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert (done.returncode, "--dry-run" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("python", NEW, ids=version)
def test_an_agent_from_the_bundle_connects_without_a_network(python: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(BUNDLE, copy, copy_function=os.link)
    with throwaway_root(name="offline") as root, a_hub(root, tmp_path / "data"):
        made = root.run(str(python), "-I", f"{copy}/bootstrap.py", "device", "--wheels", f"{copy}/wheels")
        assert made.returncode == 0, made.stderr
        added = json.loads(hub(root, tmp_path / "data", "machine", "add", version(python), "--json"))
        file = {"myrvm_base_url": "http://127.0.0.1:8001", "rvm_id": added["device_id"], "api_token": added["api_key"]}
        (root.path / "machine.json").write_text(json.dumps(file))
        (root.path / "machine.json").chmod(0o600)
        agent = [f"{copy}/.venv/bin/python", f"{copy}/run_device.py", "--config", "/machine.json"]
        shown = json.loads(root.run(*agent, "doctor", "--json", RVM_BOOTSTRAP="off", RVM_STATE_DIR="/state").stdout)
        assert {check["result"] for check in shown["checks"] if check["check"] in ("config", "hub", "key")} == {"ok"}
        with running(root, *agent, RVM_STATE_DIR="/state"):
            wait_until(lambda: last_seen(root, tmp_path / "data") is not None, within=60)
        ran = root.run(agent[0], "--version").stdout.strip()
        print(f"{version(python)}: connected with {ran}")
        assert re.match(rf"Python {re.escape(version(python))}", ran)


def hub(root: ThrowawayRoot, data: Path, *words: str) -> str:
    command = [sys.executable, str(REPOSITORY / "run_hub.py"), *words, "--data-dir", str(data)]
    done = root.run(*command, RVM_BOOTSTRAP="off")
    assert done.returncode == 0, done.stderr
    return done.stdout


def last_seen(root: ThrowawayRoot, data: Path) -> object:
    return json.loads(hub(root, data, "machine", "list", "--json"))["machines"][0]["last_seen_at"]


@contextmanager
def a_hub(root: ThrowawayRoot, data: Path) -> Iterator[None]:
    with running(root, sys.executable, str(REPOSITORY / "run_hub.py"), "--data-dir", str(data)):
        wait_until(
            lambda: root.run("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8001 || exit 1").returncode == 0, within=60
        )
        yield


@contextmanager
def running(root: ThrowawayRoot, *command: str, **environ: str) -> Iterator[None]:
    words = ["env", "RVM_BOOTSTRAP=off", *(f"{name}={value}" for name, value in environ.items()), *command]
    with subprocess.Popen([*root.enter, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()
