"""`remote ticket`: a ticket the agent redeems, made by another process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from device.cli import main
from device.control_page.tickets import redeem
from device.system import hardware


def run(tmp_path: Path, bind: str, *words: str) -> int:
    config = tmp_path / "machine.json"
    config.write_text(
        json.dumps({
            "myrvm_base_url": "https://hub.example", "api_token": "rvmk_ABCDEFGH_" + "0" * 32, "rvm_id": "rvm-7",
            "remote_access_bind": bind, "remote_access_port": 5055, "state_dir": str(tmp_path / "state"),
        })
    )  # fmt: skip
    return main.main(["remote", "ticket", "--config", str(config), *words], {"RVM_LANG": "en"})


def test_a_printed_ticket_is_the_agents_to_redeem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state").mkdir()
    assert run(tmp_path, "192.168.1.7") == 0
    ticket, said = capsys.readouterr().out.splitlines()
    assert "port 5055" in said
    assert redeem(tmp_path / "state", hardware.boot_id(Path("/")), ticket)
    assert run(tmp_path, "0.0.0.0", "--json") == 0
    assert json.loads(capsys.readouterr().out)["port"] == 5055


def test_on_loopback_there_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "127.0.0.1") == 2
    assert "no ticket is needed" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_state_folder_that_cannot_be_used_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "192.168.1.7") == 1
    assert "state" in capsys.readouterr().err
