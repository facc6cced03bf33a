"""The agent on aarch64, as a Jetson has it, emulated, and a hub of this computer: a proof of some minutes. Debian's
qemu-user-static and binfmt-support let the kernel run its programs.

debootstrap --arch=arm64 --variant=minbase --include=python3,python3-venv,tzdata bookworm ROOT
python3 run_hub.py bundle BUNDLE
TEST_AARCH64_ROOT=ROOT TEST_INSTALL_BUNDLE=BUNDLE python3 run_tests.py -- tests/installer/test_aarch64.py -s
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from installer import carried_python, python_archive
from tests.installer.python_tar import carry
from tests.support.throwaway_root import REPOSITORY, ThrowawayRoot, throwaway_root
from tests.support.unit_process import unit_process
from tests.support.until import wait_until

ROOT, BUNDLE = os.environ.get("TEST_AARCH64_ROOT", ""), os.environ.get("TEST_INSTALL_BUNDLE", "")
pytestmark = [pytest.mark.timeout(1800)]
HUB = "http://127.0.0.1:8001"
EMULATED_S = 900.0
"""Of any command: an emulated processor is ten times slower than its host."""
AARCH64 = 183
"""In an ELF file's head."""
ASK = """import sys, urllib.request
method, address, token, body = sys.argv[1:]
asked = urllib.request.Request(address, method=method, data=body.encode() or None)
asked.add_header("Content-Type", "application/json")
if token:
    asked.add_header("Authorization", "Bearer " + token)
sys.stdout.buffer.write(urllib.request.urlopen(asked, timeout=60).read())
"""


class Site:
    """An emulated machine, and a hub that runs natively on the machine's network."""

    def __init__(self, machine: ThrowawayRoot, data: Path) -> None:
        self.machine = machine
        self._data = data
        self._here = ["nsenter", f"--target={machine.pid}", "--net", "env", "RVM_BOOTSTRAP=off", sys.executable]
        self._token = ""

    def hub(self, *words: str, given: str = "") -> str:
        command = [*self._here, str(REPOSITORY / "run_hub.py"), *words, "--data-dir", str(self._data)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, input=given, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [*self._here, str(REPOSITORY / "run_hub.py"), "--data-dir", str(self._data)]
        reach = [*self._here, "-c", "import socket; socket.create_connection(('127.0.0.1', 8001))"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: subprocess.run(reach, check=False, capture_output=True).returncode == 0, within=90)
                self._sign_in()
                yield
            finally:
                process.terminate()

    def _sign_in(self) -> None:
        who = {"email": "sari@example.com", "password": "sebuah kalimat yang panjang"}
        self.hub("user", "add", who["email"], "--role", "admin", "--password-file", "-", given=who["password"] + "\n")
        self._token = self.ask("POST", "/auth/login", **who)["token"]

    def fetch(self, method: str, path: str, token: str = "", /, **body: object) -> bytes:
        words = [method, f"{HUB}/api/v2{path}", token or self._token, json.dumps(body) if body else ""]
        done = subprocess.run([*self._here, "-c", ASK, *words], check=False, capture_output=True, timeout=100)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def ask(self, method: str, path: str, **body: object) -> Any:
        return json.loads(self.fetch(method, path, **body))["data"]

    def type(self, *command: str, given: str = "") -> str:
        """On the machine, by a command that has to work."""
        began = time.monotonic()
        done = self.machine.run(*command, given=given, PATH="/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        print(f"{' '.join(command)}: {time.monotonic() - began:.1f} s, exit {done.returncode}")
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with throwaway_root(lower=Path(ROOT), seen=Path(BUNDLE), name="rvm-aarch64") as machine:
        machine.timeout = EMULATED_S
        made = Site(machine, tmp_path / "data")
        assert made.type("uname", "-m").strip() == "aarch64"
        with made.running():
            yield made


def test_an_emulated_machine_from_the_bundle_to_its_removal(site: Site) -> None:
    door = f"{BUNDLE}/run_device.py"
    before = traces(site)
    assert "enrol" in site.type("python3", door, "install")
    compiled = sorted((site.machine.path / "opt/myrvm/current/.venv").rglob("*.so"))
    assert compiled
    assert {int.from_bytes(path.read_bytes()[18:20], "little") for path in compiled} == {AARCH64}
    assert "nothing was changed" in site.type("python3", door, "install")
    code = site.ask("POST", "/enrolment-codes", uses=1, approval="at_once")["code"]
    site.type("myrvm-agent", "enrol", HUB, "--code", "-", given=f"{code}\n")
    with_a_backup_source(site)
    with unit_process(site.machine, "myrvm-agent.service"):
        machine = shown(site)
        wait_until(lambda: shown(site)["connection"] == "live", within=120)
        wait_until(lambda: shown(site)["readings"] is not None, within=120)
        checks = json.loads(site.machine.run("/usr/local/bin/myrvm-agent", "doctor", "--json").stdout)["checks"]
        results = {check["check"]: check["result"] for check in checks}
        print(results)
        assert {results[name] for name in ("config", "hub", "key", "spool")} == {"ok"}, checks
        a_command_is_answered(site, machine["id"])
        a_backup_arrives(site, machine["id"])
    wait_until(lambda: shown(site)["connection"] != "live", within=120)
    site.type("python3", door, "uninstall", "--purge")
    assert traces(site) == before


def shown(site: Site) -> dict[str, Any]:
    (machine,) = site.ask("GET", "/rvms?limit=5")
    return dict(machine)


def with_a_backup_source(site: Site) -> None:
    folder, file = site.machine.path / "srv/photos", site.machine.path / "etc/myrvm/machine.json"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"photo" * 10000)
    values = json.loads(file.read_text())
    values["backup_sources"] = {"photos": {"path": "/srv/photos", "class": "images"}}
    file.write_text(json.dumps(values))


def a_command_is_answered(site: Site, machine: int) -> None:
    command = site.ask("POST", f"/rvms/{machine}/commands", name="ping", args={})
    wait_until(lambda: site.ask("GET", f"/commands/{command['id']}")["state"] == "succeeded", within=60)


def a_backup_arrives(site: Site, machine: int) -> None:
    body = {"backup_type": "full", "include_images": True, "include_logs": True}
    number = site.ask("POST", f"/rvms/{machine}/backup/start", **body)["backup_id"]
    at = f"/rvms/{machine}/backups/{number}"
    wait_until(lambda: site.ask("GET", at)["upload_status"] in ("verified", "failed"), within=300)
    row = site.ask("GET", at)
    archive = site.fetch("GET", f"{at}/archive", api_key(site))
    assert (row["upload_status"], row["sha256"]) == ("verified", hashlib.sha256(archive).hexdigest()), row
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        photo = opened.extractfile("photos/1.jpg")
        assert photo is not None
        assert photo.read() == b"photo" * 10000


def api_key(site: Site) -> str:
    folder = site.machine.path / "etc/myrvm"
    token = str(json.loads((folder / "machine.json").read_text())["api_token"])
    return (folder / token.removeprefix("file:")).read_text().strip() if token.startswith("file:") else token


def own(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    foreign = {"__pycache__", "dist-packages"} & set(Path(member.name).parts)
    return None if foreign or member.issym() else member


def test_a_carried_python_for_this_processor(site: Site, tmp_path: Path) -> None:
    """Its own system's, packed: what an old Python would begin goes on with it, from the same wheels."""
    bundle = site.machine.path / "srv/bundle"
    site.type("cp", "-r", BUNDLE, "/srv/bundle")
    files = site.machine.path / "usr"
    with tarfile.open(tmp_path / "python.tar", "w") as archive:
        archive.add(files / "bin/python3.11", "python/bin/python3.11")
        archive.add(files / "lib/python3.11", "python/lib/python3.11", filter=own)
    entry = python_archive.entry(tmp_path / "python.tar")
    assert entry["processor"] == "aarch64"
    carry(bundle, tmp_path / "python.tar", **{**entry, "file": "python.tar"})
    begun = ["python3", "-I", "-B", "/srv/bundle/installer/carried_python.py", "/srv/bundle/run_device.py"]
    site.type(*begun, "install")
    place = f"/opt/myrvm/python/{carried_python.name_of(entry)}"
    assert f"home = {place}/bin" in (site.machine.path / "opt/myrvm/current/.venv/pyvenv.cfg").read_text()
    loaded = "import msgspec, psutil, websockets, sys; print(sys.base_prefix)"
    assert site.type("/opt/myrvm/current/.venv/bin/python", "-I", "-c", loaded).strip() == place
    site.type(*begun, "uninstall", "--purge")
    assert not (site.machine.path / "opt/myrvm").exists()


def traces(site: Site) -> str:
    places = "/opt /etc /usr/local /var/lib /run"
    named = f"find {places} -xdev -iname '*myrvm*'; grep myrvm /etc/passwd /etc/group; ls /etc/systemd/system/*.wants"
    return site.machine.run("sh", "-c", named).stdout
