"""What the hub may be told: precedence, refusals with their reason and fix, and unknown variables."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hub.cli.output import FOLDER
from hub.settings import Settings, SettingsError
from texts.catalogue import read

ROOT = Path(__file__).parents[2]


def load(environ: dict[str, str] | None = None, **given: Any) -> Settings:
    return Settings.load(given, environ or {})


def test_the_defaults_serve_this_computer_alone_from_one_folder() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.bus_url) == ("127.0.0.1", 8001, "local")
    assert settings.data_dir.is_absolute()
    assert settings.database_url == f"sqlite:///{settings.data_dir}/hub.sqlite3"
    assert settings.objects_dir == settings.data_dir / "objects"
    assert settings.warnings == ()
    assert not settings.cookie_secure


def test_a_flag_wins_over_the_environment_and_that_over_the_default() -> None:
    environ = {"RVM_PORT": "9000", "RVM_LOG_FORMAT": "json"}
    assert load(environ).port == 9000
    assert load(environ, port=9001).port == 9001
    assert load(environ, port=None).port == 9000
    assert load(environ).log_format == "json"


def test_settings_cannot_change_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().port = 1  # type: ignore[misc]


def test_a_folder_may_be_relative_or_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert load(data_dir="~/hub").data_dir == tmp_path / "hub"
    assert load(data_dir="here").database_url == f"sqlite:///{tmp_path}/here/hub.sqlite3"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"port": "many"}, "--port", "whole number"),
    ({"port": 70000}, "--port", "not a port"),
    ({"host": "0.0.0.0"}, "--host", "unencrypted"),
    ({"host": ""}, "--host", "unencrypted"),
    ({"host": "192.168.1.5"}, "--host", "unencrypted"),
    ({"database_url": "mysql://x/y"}, "--database-url", "SQLite and PostgreSQL"),
    ({"bus_url": "nats://x"}, "--bus-url", "one process"),
    ({"object_store": "ftp://bucket"}, "--object-store", "neither a folder nor s3"),
    ({"object_store": "s3://Bucket_"}, "--object-store", "bucket's name"),
    ({"object_store": "s3://key:secret@bucket"}, "--object-store", "keys do not belong"),
    ({"object_store": "s3://bucket?endpoint=http://x"}, "--object-store", "HOST:PORT"),
    ({"object_store": "s3://bucket"}, "RVM_S3_ACCESS_KEY", "needs a key"),
    ({"object_store": "s3://bucket", "s3_access_key": "a"}, "RVM_S3_SECRET_KEY", "needs a key"),
    ({"behind_proxy": "nginx"}, "--behind-proxy", "not an address"),
    ({"public_url": "hub.example"}, "--public-url", "not an origin"),
    ({"public_url": "https://hub.example/path"}, "--public-url", "not an origin"),
    ({"public_url": "https://hub.example:port"}, "--public-url", "not an origin"),
    ({"public_url": "https://[::1"}, "--public-url", "not an origin"),
    ({"public_url": "https://me@hub.example"}, "--public-url", "not an origin"),
    ({"base_path": "rvm"}, "--base-path", "not a path"),
    ({"base_path": "/r vm"}, "--base-path", "not a path"),
    ({"base_path": "/a/../b"}, "--base-path", "not a path"),
    ({"base_path": "/a//b"}, "--base-path", "not a path"),
    ({"base_path": "//elsewhere"}, "--base-path", "not a path"),
    ({"base_path": "/rvm?x"}, "--base-path", "not a path"),
    ({"base_path": "/" + "x" * 100}, "--base-path", "not a path"),
    ({"base_path": "/machines"}, "--base-path", "the hub's own"),
    ({"base_path": "/api/rvm"}, "--base-path", "the hub's own"),
    ({"tls_cert": "/none.pem"}, "--tls-key", "belong together"),
    ({"tls_cert": "/none.pem", "tls_key": "/none.key"}, "--tls-cert", "no file"),
    ({"admin_email": "a@b", "admin_password_file": "/none"}, "--admin-password-file", "no file"),
    ({"log_format": "xml"}, "--log-format", "unknown"),
    ({"device_frames_per_second": -1}, "--device-frames-per-second", "out of range"),
    ({"recording_retention_days": 0}, "--recording-retention-days", "out of range"),
    ({"samples_retention_days": 0}, "--samples-retention-days", "out of range"),
    ({"record_input": "some"}, "--record-input", "not yes or no"),
    ({"live": "perhaps"}, "--live", "not yes or no"),
    ({"default_timezone": "Asia/Djakarta"}, "--default-timezone", "no time zone"),
    ({"map_tiles_url": "https://t.example/{z}/{x}.png"}, "--map-tiles-url", "{z}, {x} and {y}"),
    ({"map_tiles_url": "https://t.example/{z}/{x}/{y}.png"}, "--map-tiles-attribution", "who made"),
    ({"map_tiles_attribution": "[a](https://a.example)"}, "--map-tiles-attribution", "no tiles"),
    ({"database_url": "mysql://{x}/%s"}, "--database-url", "SQLite and PostgreSQL"),
    ({"public_url": "{0}{value}"}, "--public-url", "'{0}{value}' is not an origin"),
]


@pytest.mark.parametrize(("given", "name", "why"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_wrong_value_is_refused_with_its_name_a_reason_and_a_fix(given: dict[str, Any], name: str, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(**given)
    assert refused.value.name == name
    assert why in refused.value.why
    assert refused.value.fix


REFUSALS = ("SettingsError", "ObjectPlaceError", "TileSourceError", "_wrong_url")


@pytest.mark.parametrize("file", ["hub/settings.py", "hub/kernel/objects/place.py", "dashboard/map_tiles.py"])
def test_every_reason_and_fix_is_there_in_both_languages(file: str) -> None:
    """Found in the source: each text with a blank in it that a refusal may be made of."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        calls = isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS
        pairs = isinstance(node, ast.Tuple) and len(node.elts) == 2
        texts = getattr(node, "args" if calls else "elts", []) if calls or pairs else []
        literals = [text.value for text in texts if isinstance(text, ast.Constant)]
        found |= {text for text in literals if isinstance(text, str) and " " in text}
    assert len(found) > 7
    for language in ("en", "id"):
        known = read(FOLDER, language)
        assert [text for text in sorted(found) if f"setting: {text}" not in known] == []
        assert language == "id" or all(known[f"setting: {text}"] == text for text in found)


def test_a_wrong_variable_is_named_as_it_was_written() -> None:
    with pytest.raises(SettingsError) as refused:
        load({"RVM_PORT": "x"})
    assert refused.value.name == "RVM_PORT"


@pytest.mark.parametrize(("given", "path"), [("/rvm", "/rvm"), ("/rvm/", "/rvm"), ("/", ""), ("/a/b.c-d", "/a/b.c-d")])
def test_a_base_path_is_kept_without_the_slash_at_its_end(given: str, path: str) -> None:
    assert load({"RVM_BASE_PATH": given}).base_path == path
    assert load(base_path=given, public_url="https://site.example").public_address == f"https://site.example{path}"


def test_beyond_loopback_with_tls_or_behind_a_proxy_is_fine(tmp_path: Path) -> None:
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    assert load(host="0.0.0.0", tls_cert=tmp_path / "c.pem", tls_key=tmp_path / "k.pem").cookie_secure
    proxied = load(host="0.0.0.0", behind_proxy="10.0.0.1, 10.1.0.0/16")
    assert proxied.behind_proxy == ("10.0.0.1", "10.1.0.0/16")
    assert proxied.cookie_secure
    assert not load(host="0.0.0.0", behind_proxy="10.0.0.1", public_url="http://hub").cookie_secure


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert load(host=host).host == host


def test_an_unknown_variable_is_a_warning_with_the_nearest_name() -> None:
    (sentence,) = load({"RVM_DATABSE_URL": "x", "RVM_LANG": "id", "PATH": "/bin"}).warnings
    assert "RVM_DATABSE_URL" in sentence
    assert "did you mean RVM_DATABASE_URL?" in sentence


def test_an_unknown_flag_is_a_bug_of_ours() -> None:
    with pytest.raises(TypeError):
        load(prot=1)


def test_a_password_in_the_database_url_is_not_shown() -> None:
    assert "hunter2" not in repr(load(database_url="postgresql://u:hunter2@h/d"))


def test_an_s3_store_takes_its_keys_from_the_environment_and_shows_them_nowhere() -> None:
    environ = {"RVM_S3_ACCESS_KEY": "hunter-a", "RVM_S3_SECRET_KEY": "hunter-b"}
    settings = load(environ, object_store="s3://fleet/hub?endpoint=127.0.0.1:9000&secure=no")
    assert settings.s3 is not None
    assert (settings.s3.bucket, settings.s3.prefix, settings.s3.secure) == ("fleet", "hub/", False)
    assert (settings.s3_access_key, settings.s3_secret_key, settings.warnings) == ("hunter-a", "hunter-b", ())
    assert "hunter" not in repr(settings)


def test_settings_import_nothing_heavy() -> None:
    code = "import sys, hub.settings; print([m for m in ('starlette', 'sqlalchemy', 'db.schema') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"
