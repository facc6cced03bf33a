"""The walk of docs/operating.md, from nothing to TLS and ten machines: its lines are read there and run here, in a root
of its own for the server and for each machine; what systemd would start is started as its unit says."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.throwaway_root import REPOSITORY, ThrowawayRoot, throwaway_root
from tests.support.unit_process import UnitProcess, unit_process
from tests.support.until import wait_until
from tests.support.whole_checkout import PACKAGES, open_the_way, whole_checkout

pytestmark = [pytest.mark.timeout(300)]
AGENT, HUB = "myrvm-agent.service", "myrvm-hub.service"
MACHINES = 10
SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"
GET = """import json, ssl, sys, urllib.request
method, address, token, body = sys.argv[1:]
asked = urllib.request.Request(address, method=method, data=body.encode() or None)
if token:
    asked.add_header("Authorization", "Bearer " + token)
asked.add_header("Content-Type", "application/json")
trusted = ssl.create_default_context(cafile="/etc/myrvm-hub/tls/authority.crt")
print(urllib.request.urlopen(asked, context=trusted, timeout=20).read().decode())
"""


def lines_of(block: int) -> list[str]:
    """Of the section's code blocks, without what is written behind an arrow."""
    section = (REPOSITORY / "docs" / "operating.md").read_text().partition("## From nothing to TLS")[2]
    found = re.findall(r"^```\n(.*?)^```$", section.partition("\n## ")[0], re.DOTALL | re.MULTILINE)
    return [line.partition("←")[0].strip() for line in found[block].splitlines()]


class Computer:
    """A root with the product's code in /srv/myrvm, where a person types."""

    def __init__(self, root: ThrowawayRoot) -> None:
        self.root = root

    def type(self, line: str) -> str:
        """A line as it stands in the document; root needs no sudo, and a minimal system has none."""
        done = self.root.run(
            "sh", "-c", f"cd /srv/myrvm && {line.replace('sudo ', '')}", PATH=f"/srv/bin:/usr/local/bin:{SYSTEM}",
            RVM_BOOTSTRAP="off", RVM_LANG="en",
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout


def prepared(root: ThrowawayRoot, checkout: Path) -> Computer:
    (root.path / "srv" / "bin").mkdir(parents=True)
    python = root.path / "srv" / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert root.run("cp", "-r", str(checkout), "/srv/myrvm").returncode == 0
    open_the_way(root, PACKAGES, Path(sys.executable))
    hosts = root.path / "etc" / "hosts"
    hosts.write_text("127.0.0.1 localhost hub.example.com\n")
    return Computer(root)


class Server(Computer):
    """`code_lines`: what `machine code` printed, to be run on each machine."""

    def __init__(self, root: ThrowawayRoot) -> None:
        super().__init__(root)
        self.token = ""
        self.printed: list[str] = []
        self._running = ExitStack()
        self.process: UnitProcess

    def start(self) -> None:
        self.process = self._running.enter_context(unit_process(self.root, HUB))

    def stop(self) -> None:
        self._running.close()

    def ask(self, method: str, path: str, **body: object) -> Any:
        address = f"https://hub.example.com/api/v2{path}"
        text = json.dumps(body) if body else ""
        done = self.root.run("python3", "-c", GET, method, address, self.token, text)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["data"]

    def sign_in(self) -> None:
        who = {"email": "sari@example.com", "password": "sebuah kalimat yang panjang"}
        added = f"sudo myrvm-hub user add {who['email']} --role admin --password-file -"
        self.type(f"printf '%s\\n' '{who['password']}' | {added}")
        self.token = self.ask("POST", "/auth/login", **who)["token"]

    def connected(self) -> list[str]:
        return sorted(m["name"] for m in self.ask("GET", "/rvms?limit=200") if m["connection"] == "live")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_checkout(tmp_path_factory.mktemp("archive") / "myrvm")


@pytest.fixture(scope="module")
def server(checkout: Path) -> Iterator[Server]:
    """The first block, typed line by line."""
    with throwaway_root(seen=checkout, name="hub") as root:
        here = Server(prepared(root, checkout).root)
        for line in lines_of(0):
            printed = here.type(line)
            if "run_hub.py install" in line:
                here.start()
                here.sign_in()
            if "machine code" in line:
                here.printed = printed.splitlines()[1:]
        yield here
        here.stop()


@pytest.fixture(scope="module")
def image(server: Server, checkout: Path) -> Iterator[Computer]:
    """What the machines are copies of: the agent installed, by the second block's first line, and not enrolled."""
    with throwaway_root(seen=checkout, site=server.root, name="image") as root:
        computer = prepared(root, checkout)
        assert "enrol" in computer.type(lines_of(1)[0])
        assert computer.type(lines_of(1)[0]).startswith("Everything is in place")
        yield computer


@pytest.fixture
def machines(image: Computer, checkout: Path) -> Iterator[list[Computer]]:
    with ExitStack() as stack:
        found = []
        for number in range(MACHINES):
            name = f"rvm-{number + 1:02}"
            root = stack.enter_context(throwaway_root(seen=checkout, image=image.root, site=image.root, name=name))
            (root.path / "etc" / "machine-id").write_text(f"{number + 1:032x}\n")
            found.append(Computer(root))
        yield found


def test_ten_machines_come_in_by_the_lines_of_the_document_and_come_back(
    server: Server, machines: list[Computer]
) -> None:
    (printed,) = server.printed
    code, pin = printed.split()[2], printed.split()[-1]
    enrol = lines_of(1)[1].replace("CODE", code).replace("SHA256", pin)
    assert enrol == printed, "the document shows the line that the hub prints"
    with ExitStack() as running:
        for machine in machines:
            assert "The service myrvm-agent starts by itself" in machine.type(enrol)
            running.enter_context(unit_process(machine.root, AGENT))
        names = [f"rvm-{number + 1:02}" for number in range(MACHINES)]
        wait_until(lambda: server.connected() == names, within=60)
        shown = json.loads(machines[0].type(f"{lines_of(1)[2]} --json || true"))
        words = {check["check"]: check["result"] for check in shown["checks"]}
        assert {words[name] for name in ("config", "hub", "key", "spool")} == {"ok"}, shown
        assert server.process.stop() == 0
        server.stop()
        server.start()
        wait_until(lambda: server.connected() == names, within=120)


def test_a_renewed_certificate_is_taken_over_while_the_hub_runs(server: Server) -> None:
    served = 'import ssl; print(ssl.get_server_certificate(("hub.example.com", 443)))'
    before = server.root.run("python3", "-c", served).stdout
    server.type("python3 -m certs renew --within 90")
    server.type(next(line for line in lines_of(0) if "run_hub.py install" in line))
    wait_until(lambda: server.root.run("python3", "-c", served).stdout not in (before, ""), within=60)
    assert server.ask("GET", "/rvms?limit=1") is not None


def test_one_machine_is_approved_by_its_fingerprint_and_removed_without_a_trace(server: Server, checkout: Path) -> None:
    code = server.ask("POST", "/enrolment-codes", uses=1, approval="waiting")["code"]
    pin = server.printed[0].split()[-1]
    with throwaway_root(seen=checkout, site=server.root, name="kantin-timur") as root:
        machine = prepared(root, checkout)
        before = traces(root)
        machine.type(lines_of(1)[0])
        enrol = lines_of(1)[1].replace("CODE", code).replace("SHA256", pin)
        with ThreadPoolExecutor(1) as beside:
            typed = beside.submit(machine.type, f"{enrol} 2>&1")
            wait_until(lambda: server.ask("GET", "/enrolments?state=waiting"), within=60)
            (waits,) = server.ask("GET", "/enrolments?state=waiting")
            server.ask("POST", f"/enrolments/{waits['id']}/approve", name="Kantin Timur")
            assert waits["fingerprint"] in typed.result(60)
        file = "/etc/myrvm/machine.json"
        assert root.run("stat", "-c", "%a %U %G", file).stdout == "600 myrvm-service myrvm-service\n"
        with unit_process(root, AGENT) as agent:
            assert Path(f"/proc/{agent.pid}").stat().st_uid != 0
            wait_until(lambda: "Kantin Timur" in server.connected(), within=60)
        wait_until(lambda: "Kantin Timur" not in server.connected(), within=60)
        machine.type("sudo python3 run_device.py uninstall --purge")
        assert traces(root) == before


def traces(root: ThrowawayRoot) -> str:
    """Of the product, where it is installed."""
    places = "/opt /etc /usr/local /var/lib /var/backups /run"
    named = f"find {places} -xdev -iname '*myrvm*'; grep myrvm /etc/passwd /etc/group; ls /etc/systemd/system/*.wants"
    return root.run("sh", "-c", named).stdout
