"""`run_hub.py --demo` end to end: machines come up, the second start reuses them, and nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import stat
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from demo import machines as demo_machines
from demo import start
from demo.machines import PLACES, SPECIAL_ROLES, place_of, role_of
from demo.start import ChildPlan, Children
from device.backups.scan import scan
from device.backups.sources import chosen
from device.settings.backup_values import backup_sources
from hub.cli.output import FOLDER, Exit
from tests.doors.conftest import Cli
from tests.support.backup_archives import header
from tests.support.door_process import DoorProcess
from tests.support.until import wait_until
from texts import catalogue

Start = Callable[..., DoorProcess]
GONE_S = 20.0


def machines(data: Path) -> dict[str, tuple[str | None, int]]:
    """Name to boot_id (None: never connected) and simulated."""
    with sqlite3.connect(f"file:{data}/hub.sqlite3?mode=ro", uri=True) as database:
        query = "SELECT name, boot_id, simulated FROM reverse_vending_machines"
        return {name: (boot_id, simulated) for name, boot_id, simulated in database.execute(query)}


def wait_until_all_connected(data: Path, count: int) -> None:
    wait_until(lambda: len([1 for boot_id, _ in machines(data).values() if boot_id]) >= count, 60)


def assert_all_gone(family: list[psutil.Process]) -> None:
    gone, alive = psutil.wait_procs(family, timeout=GONE_S)
    assert not alive, [process.cmdline() for process in alive]
    assert len(gone) >= 3, "hub, agent and simulator were expected"


def wait_for_family(hub: DoorProcess) -> list[psutil.Process]:
    wait_until(lambda: len(hub.family()) >= 3)
    return hub.family()


def sign_in_with_an_indonesian_browser(base: str, secret: str) -> None:
    form = urllib.parse.urlencode({"link": secret}).encode()
    request = urllib.request.Request(f"{base}/signin", form, {"Accept-Language": "id-ID,id;q=0.9", "Origin": base})
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(request, timeout=60) as answer:
        assert b'<html lang="id"' in answer.read()


def test_the_demo_brings_its_machines_up_and_ctrl_c_ends_everything(start_hub: Start, data: Path) -> None:
    hub = start_hub("--demo", "--machines", "6", "--port", "0", "--data-dir", data)
    hub.wait_for(r"Sign in +http://127\.0\.0\.1:\d+/signin#rvml_\S+ ")
    hub.wait_for("1 real .*, 6 simulated")
    hub.wait_for("Ctrl-C")
    wait_until_all_connected(data, 7)
    known = machines(data)
    assert len(known) == 7
    assert [name for name, (_, simulated) in known.items() if not simulated] == [os.uname().nodename]
    family = wait_for_family(hub)
    began = time.monotonic()
    hub.signal(signal.SIGINT)
    assert hub.end() == 0, hub.errors
    assert time.monotonic() - began < 25, "the 30 s of an end are not used up"
    assert_all_gone(family)
    assert "Traceback" not in hub.errors
    for name in ("agent.log", "simulator.log", "hub.log"):
        assert "Traceback" not in (data / name).read_text()


def test_its_first_minute_shows_a_command_that_waits_and_others_under_way(start_hub: Start, data: Path) -> None:
    hub = start_hub("--demo", "--machines", "10", "--port", "0", "--data-dir", data)
    link = hub.wait_for(r"(http\S+)/signin#(rvml_\S+)")
    hub.wait_for("Ctrl-C")
    sign_in_with_an_indonesian_browser(link[1], link[2])
    roles = {m["device_id"]: m["role"] for m in json.loads((data / "simulated_machines.json").read_text())["machines"]}
    wanted = {
        ("offline", "set_status", "queued"), ("slow", "sync_timezone", "running"), ("busy", "reboot", "running"),
        ("maintenance", "set_status", "succeeded"),
        ("guessing", "guess", "other"), ("misconfigured", "metrics_interval", "refused"),
    }  # fmt: skip
    seen: set[tuple[str, str, str]] = set()
    ends = time.monotonic() + 60
    while not wanted <= seen:
        assert time.monotonic() < ends, seen
        with sqlite3.connect(f"file:{data}/hub.sqlite3?mode=ro", uri=True) as database:
            query = """SELECT device_id, commands.name, state FROM commands
                       JOIN reverse_vending_machines ON reverse_vending_machines.id = rvm_id"""
            seen |= {(roles[device_id], name, state) for device_id, name, state in database.execute(query)}
            query = "SELECT device_id FROM device_timezones WHERE guess IS NOT NULL"
            seen |= {(roles[device_id], "guess", "other") for (device_id,) in database.execute(query)}
            query = "SELECT device_id, config_errors FROM reverse_vending_machines WHERE config_errors LIKE '{%'"
            seen |= {(roles[d], key, "refused") for d, errors in database.execute(query) for key in json.loads(errors)}
        time.sleep(0.1)
    with sqlite3.connect(f"file:{data}/hub.sqlite3?mode=ro", uri=True) as database:
        assert database.execute("SELECT language FROM users").fetchall() == [("id",)]
        reasons = {reason for (reason,) in database.execute("SELECT reason FROM commands")}
        (place,) = database.execute("SELECT location_description FROM reverse_vending_machines WHERE NOT simulated")
    keys = ("demo.glass", "demo.belt", "demo.camera", "demo.receipts")
    assert reasons == {catalogue.read(FOLDER, "id")(key) for key in keys}, "the reader's language, not the process's"
    assert place == (catalogue.read(FOLDER, "id")("demo.this_computer"),)
    agent = json.loads((data / "agent.json").read_text())
    assert agent["system_control"] is False, "a demo leaves the computer alone"
    assert agent["admin_ips"] == ["127.0.0.1/32", "::1/128"], "reached from this computer, and from nowhere else"
    assert len({*agent["remote_access_ports"]}) == 2
    assert agent["remote_access_port"] in agent["remote_access_ports"]
    with sqlite3.connect(f"file:{data}/hub.sqlite3?mode=ro", uri=True) as database:
        query = """SELECT "values" FROM machine_configs JOIN reverse_vending_machines AS r ON r.id = rvm_id
                   WHERE NOT simulated"""
        assert [json.loads(values) for (values,) in database.execute(query)] == [{"auto_sync_enabled": False}]
    hub.signal(signal.SIGTERM)
    assert hub.end() == 0, hub.errors


def test_a_second_start_knows_its_machines_and_gives_a_new_link(start_hub: Start, data: Path) -> None:
    links, keys = [], []
    for _ in range(2):
        hub = start_hub("--demo", "--machines", "2", "--port", "0", "--data-dir", data)
        links.append(hub.wait_for(r"rvml_\S+")[0])
        hub.wait_for("Ctrl-C")
        keys.append(json.loads((data / "simulated_machines.json").read_text())["machines"])
        hub.signal(signal.SIGTERM)
        assert hub.end() == 0, hub.errors
    assert links[0] != links[1]
    assert keys[0] == keys[1]
    assert len(machines(data)) == 3
    for name in ("agent.json", "simulated_machines.json", "hub.sqlite3"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600


def test_kill_9_of_the_demo_leaves_nothing_running(start_hub: Start, data: Path) -> None:
    hub = start_hub("--demo", "--machines", "2", "--port", "0", "--data-dir", data)
    hub.wait_for("Ctrl-C")
    wait_until_all_connected(data, 2)
    family = wait_for_family(hub)
    hub.signal(signal.SIGKILL)
    assert_all_gone(family)


def test_a_part_that_dies_is_reported_and_started_again(start_hub: Start, data: Path) -> None:
    hub = start_hub("--demo", "--machines", "1", "--port", "0", "--data-dir", data)
    hub.wait_for("Ctrl-C")
    agent = next(p for p in wait_for_family(hub) if any("run_device.py" in word for word in p.cmdline()))
    agent.kill()
    wait_until(lambda: "machine agent ended (signal 9)" in hub.errors)
    wait_until(lambda: any("run_device.py" in " ".join(p.cmdline()) for p in hub.family() if p.pid != agent.pid))
    hub.signal(signal.SIGTERM)
    assert hub.end() == 0


def test_the_demo_stays_away_from_a_real_hubs_data(cli: Cli) -> None:
    cli("machine", "add", "A real machine")
    said = cli("--demo", "--port", "0")
    assert said.code == Exit.CONFIGURATION
    assert "no demo" in said.err


def test_the_demo_ignores_the_database_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RVM_DATABASE_URL", "postgresql://production/fleet")
    from hub.cli.parser import read

    settings = start.demo_settings(read(["--demo", "--data-dir", str(tmp_path)]))
    assert settings.database_url == f"sqlite:///{tmp_path}/hub.sqlite3"


@pytest.mark.parametrize("count", [1, 5, 8, 18, 20, 50])
def test_every_demo_has_each_special_machine_it_has_room_for_once(count: int) -> None:
    roles = [role_of(index, count) for index in range(count)]
    assert [roles.count(role) for role in SPECIAL_ROLES] == [1] * min(count, 10) + [0] * max(0, 10 - count)
    assert len({place_of(index).name for index in range(count)}) == count
    assert {place.zone for place in PLACES} == {"WIB", "WITA", "WIT"}


def test_a_port_that_is_taken_gives_way_to_a_free_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        monkeypatch.setattr(demo_machines, "CONTROL_PORT", port)
        chosen = demo_machines.remote_settings(tmp_path / "files")
    assert chosen["remote_access_port"] not in (port, 0)
    assert chosen["remote_access_port"] in chosen["remote_access_ports"]
    assert list(chosen["remote_services"]) == [str(chosen["remote_access_ports"][0])]
    assert demo_machines.free_port(port) == port, "free again"


def test_the_real_machine_has_something_to_back_up_and_its_key_is_not_in_it(tmp_path: Path) -> None:
    fleet = demo_machines.DemoFleet([demo_machines.DemoMachine("pc", "pc", "here", "")], {"pc": "rvmk_secret"})
    for _ in range(2):
        fleet.write(tmp_path, "http://127.0.0.1:1")
    agent = json.loads((tmp_path / "agent.json").read_text())
    assert agent["api_token"] == "rvmk_secret"
    sources = chosen(backup_sources(agent["backup_sources"]), include_images=True, include_logs=True)
    found = scan(header({name: Path(source.root) for name, source in sources.items()}), tmp_path / "work", None)
    assert (found.files, found.report.counts) == (1, {"source_empty": 1}), "nobody has left a file yet"
    (kept,) = (tmp_path / demo_machines.CONFIGURATION).iterdir()
    assert json.loads(kept.read_text()) == {name: value for name, value in agent.items() if name != "api_token"} | {
        "backup_sources": {"files": agent["backup_sources"]["files"]}
    }


def test_the_folder_for_files_is_one_that_the_user_of_a_terminal_may_fill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    folder = tmp_path / "data" / "files"
    folder.parent.mkdir()
    for _ in range(2):
        settings = demo_machines.remote_settings(folder)
        assert settings["remote_upload_folders"] == [str(folder)]
        assert settings["backup_sources"]["files"]["path"] == str(folder), "what a person may back up and restore"
        assert folder.is_symlink()
        assert folder.stat().st_mode & 0o7777 == 0o1777
    assert len(list(tmp_path.glob("myrvm-demo-files-*"))) == 1, "the next start finds it"
    folder.resolve().rmdir()
    demo_machines.remote_settings(folder)
    assert folder.is_dir(), "and makes another one when somebody has tidied up"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    demo_machines.remote_settings(tmp_path / "plain")
    assert (tmp_path / "plain").is_dir()
    assert not (tmp_path / "plain").is_symlink()


def test_a_child_that_will_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.start.END_S", 0.5)
    stubborn = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"]
    plan = ChildPlan("stubborn", stubborn, tmp_path / "log", tmp_path, os.environ)
    children = Children([plan], lambda plan, code, delay: None)
    children.start()
    log = tmp_path / "log"
    wait_until(lambda: log.exists() and "up" in log.read_text())
    children.ask_to_end()
    children.wait()
    mine = [p for p in psutil.Process().children() if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not [p for p in mine if p.name() == "sh"], "other tests' servers are children of this process too"
