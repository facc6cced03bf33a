"""`run_device.py settings`: what is in force and where it comes from, beside a running agent or without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from device.cli.main import main
from device.kernel import state_file
from device.settings.keeper import FILE
from device.settings.rules import HubSettings
from tests.support.fake_hub import KEY

ENVIRON = {"RVM_CPU_THRESHOLD": "70"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({"myrvm_base_url": "https://hub.test", "api_token": KEY, "upload_interval": 60}))
    file.chmod(0o600)
    state = tmp_path / "machine.json.state"
    state.mkdir()
    pushed = HubSettings(
        version=3, values={"confidence_threshold": 0.8, "metrics_interval": 5, "cpu_threshold": 1, "mode": "a"}
    )
    state_file.write_value(state / FILE, pushed)
    return file


def test_all_of_them_with_their_origins(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--config", str(config), "--json"], ENVIRON) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["metrics_interval"] == {"value": 5.0, "origin": "hub"}
    assert shown["confidence_threshold"] == {"value": 0.8, "origin": "hub"}
    assert shown["upload_interval"] == {"value": 60.0, "origin": "file"}
    assert shown["cpu_threshold"] == {"value": 70.0, "origin": "environment RVM_CPU_THRESHOLD"}
    assert shown["memory_threshold"]["origin"] == "default"
    assert main(["settings", "--config", str(config)], ENVIRON) == 0
    text = capsys.readouterr().out
    assert "metrics_interval" in text
    assert KEY not in text
    assert KEY not in json.dumps(shown)


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["confidence-threshold"], "0.8"),
        (["mode"], "a"),
        (["mode", "--json"], '"a"'),
        (["admin_ips"], '["192.168.1.0/24", "10.0.0.0/8"]'),
    ],
)
def test_one_value_for_the_machines_own_software(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], printed: str
) -> None:
    assert main(["settings", "--config", str(config), *arguments], {}) == 0
    assert capsys.readouterr().out == printed + "\n"


def test_a_name_that_is_none_is_reported(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--config", str(config), "api_token"], {"RVM_LANG": "id"}) == 2
    assert "tidak ada pengaturan 'api_token'" in capsys.readouterr().err
