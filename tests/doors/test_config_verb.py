"""`run_hub.py config show`: what a hub would start with here, where it comes from, and no secret."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from hub.cli import main
from hub.cli.data import CHECKOUT
from hub.cli.output import Exit
from hub.settings import Settings
from tests.doors.conftest import Cli, Said


def shown(said: Said) -> dict[str, tuple[object, str]]:
    assert said.code == 0, said.err
    return {one["name"]: (one["value"], one["origin"]) for one in json.loads(said.out)["settings"]}


def test_each_value_has_its_origin_and_nothing_is_made(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RVM_PORT", "9000")
    monkeypatch.setenv("RVM_BACKUPS_AT_ONCE", "7")
    monkeypatch.setenv("RVM_LIVE", "no")
    found = shown(cli("config", "show", "--port", "9001", "--behind-proxy", "10.0.0.0/24,127.0.0.1", "--json"))
    assert found.keys() == {one.name for one in fields(Settings)} - {"warnings"}
    assert found["port"] == (9001, "--port")
    assert found["backups_at_once"] == (7, "RVM_BACKUPS_AT_ONCE")
    assert found["live"] == (False, "RVM_LIVE")
    assert found["behind_proxy"] == (["10.0.0.0/24", "127.0.0.1"], "--behind-proxy")
    assert found["log_format"] == ("text", "default")
    assert found["data_dir"] == (str(data), "RVM_DATA_DIR")
    assert found["database_url"] == (f"sqlite:///{data}/hub.sqlite3", "default")
    assert found["tls_key"] == (None, "default")
    assert not data.exists()
    monkeypatch.setenv("RVM_DATA_DIR", "")
    assert shown(cli("config", "show", "--json", "--data-dir", tmp_path))["data_dir"] == (str(tmp_path), "--data-dir")


def test_where_no_folder_is_named_it_is_the_checkouts(cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RVM_DATA_DIR", raising=False)
    said: list[str] = []
    monkeypatch.setattr("hub.cli.output.result", said.append)
    assert main.run(main.read(["config", "show", "--json"]), lambda _: 1) == 0
    found = {one["name"]: (one["value"], one["origin"]) for one in json.loads(said[0])["settings"]}
    assert found["data_dir"] == (str(CHECKOUT / "data"), "default")


def test_people_read_it_as_it_would_be_typed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE", "false")
    lines = cli("config", "show", "--behind-proxy", "10.0.0.1,10.0.0.2").out.splitlines()
    assert lines[0].split() == ["NAME", "VALUE"]
    values = dict(line.split(maxsplit=1) for line in lines[1:] if len(line.split()) > 1)
    assert (values["live"], values["behind_proxy"], values["port"]) == ("no", "10.0.0.1,10.0.0.2", "8001")
    lines = cli("config", "show", "--origin").out.splitlines()
    assert lines[0].split() == ["NAME", "VALUE", "ORIGIN"]
    assert next(line for line in lines if line.startswith("live ")).split() == ["live", "no", "RVM_LIVE"]
    assert next(line for line in lines if line.startswith("port ")).split() == ["port", "8001", "default"]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("database_url", "postgresql://rvm:s3cret@db.example:5432/rvm", "postgresql://rvm:***@db.example:5432/rvm"),
        ("database_url", "postgresql://rvm:s3@c/r#e?t@db.example/rvm", "postgresql://rvm:***@db.example/rvm"),
        ("database_url", "postgresql://db.example/rvm?user=rvm&password=s3cret", "postgresql://db.example/rvm?***"),
        ("database_url", "postgresql://rvm@db.example/rvm", "postgresql://rvm@db.example/rvm"),
        ("database_url", "postgresql:///rvm", "postgresql:///rvm"),
        ("map_tiles_url", "https://tiles.example/s3cret/{z}/{x}/{y}.png?key=s3cret", "https://tiles.example/***"),
        ("s3_access_key", "ab:s3cret", "***"),
        ("s3_secret_key", "s3cret://x", "***"),
    ],
)
def test_no_secret_is_printed(cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: str) -> None:
    monkeypatch.setenv("RVM_MAP_TILES_ATTRIBUTION", "© [Us](https://us.example)" if name == "map_tiles_url" else "")
    monkeypatch.setenv(f"RVM_{name.upper()}", value)
    said = cli("config", "show", "--json")
    assert shown(said)[name] == (wanted, f"RVM_{name.upper()}")
    for words in (said, cli("config", "show", "--origin")):
        assert not [part for part in ("s3cret", "s3@c", "e?t") if part in words.out]
        assert wanted in words.out


def test_whatever_may_hold_a_secret_is_known_to_hide_it() -> None:
    """A setting that Settings keeps out of its own repr is one that `config show` must not print whole."""
    hidden = {one.name for one in fields(Settings) if not one.repr}
    assert hidden == {"database_url", "map_tiles_url", "s3_access_key", "s3_secret_key"}


def test_a_wrong_setting_is_named_with_its_fix(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    said = cli("config", "show", "--port", "99999")
    assert (said.code, said.out) == (Exit.CONFIGURATION, "")
    assert "--port" in said.err
    assert cli("config").code == Exit.USAGE
    monkeypatch.setenv("RVM_LANG", "id")
    assert "pengaturan" in cli("config", "show", "-h").out


def test_a_variable_that_is_no_setting_is_named_beside_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_PROT", "9000")
    said = cli("config", "show", "--json")
    assert shown(said)["port"] == (8001, "default")
    assert "did you mean RVM_PORT?" in said.err
