"""`run_device.py backup`: asked of the hub with the machine's key; the folders are said without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from device.cli.main import main
from tests.device.cli.test_remote_verbs import hub
from tests.support.fake_hub import KEY

NEWEST = {"backup_id": 7, "backup_type": "full", "created_at": "2030-01-01T00:30:00Z", "upload_status": "verified",
          "file_size": 1000}  # fmt: skip


def run(url: str, folder: Path, *words: str, lang: str = "en", **settings: Any) -> int:
    config = folder / "machine.json"
    config.write_text(json.dumps({"myrvm_base_url": url, "api_token": KEY, "rvm_id": 4, **settings}))
    return main(["backup", *words, "--config", str(config)], {"LANG": f"{lang}_XX.UTF-8"})


@pytest.mark.parametrize(("words", "kind"), [((), "incremental"), (("--full",), "full")])
def test_a_backup_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], kind: str
) -> None:
    with hub({"backup_id": 7}) as asked:
        assert run(asked.url, tmp_path, "start", *words) == 0
    assert asked == [("POST", "/api/v2/rvms/4/backup/start", {"backup_type": kind})]
    assert "backup 7 is requested" in capsys.readouterr().out


@pytest.mark.parametrize(("data", "said"), [(NEWEST, "backup 7 (full)"), ({"backup_id": None}, "no backup yet")])
def test_the_newest_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: dict[str, Any], said: str
) -> None:
    with hub(data) as asked:
        assert run(asked.url, tmp_path, "status") == 0
        assert said in capsys.readouterr().out
        assert run(asked.url, tmp_path, "status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == data


def test_a_refusal_and_a_hub_that_is_away_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hub({}) as asked:
        asked.status = 409
        assert run(asked.url, tmp_path, "start") == 2
        assert "the hub refuses" in capsys.readouterr().err
    assert run(asked.url, tmp_path, "start", lang="id") == 1
    assert "hub tidak dapat dihubungi" in capsys.readouterr().err


def test_the_folders_are_shown_without_a_hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = {"photos": {"path": str(tmp_path), "class": "images"}, "logs": {"path": "/var/none", "class": "logs"}}
    assert run("http://127.0.0.1:9", tmp_path, "sources", backup_sources=sources) == 0
    assert capsys.readouterr().out.splitlines() == [
        "source logs (logs): /var/none (not there)", f"source photos (images): {tmp_path}",
    ]  # fmt: skip
    assert run("http://127.0.0.1:9", tmp_path, "sources", "--json") == 0
    (agent,) = json.loads(capsys.readouterr().out)
    assert (agent["class"], agent["path"], agent["is_default"]) == (
        "configuration", str(tmp_path / "machine.json"), True,
    )  # fmt: skip
