"""Configuration: files, environment, secrets, addresses; each error names the key and what to write instead."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from device.cli.settings_verb import settings_sentence
from device.settings import AgentSettings, AgentSettingsError, exposed, load, nearest
from device.settings.backup_values import BackupSource, backup_sources
from device.settings.table import KEYS, STATIC
from device.settings.values import typed
from device.texts import texts_in
from protocol import configuration
from tests.support.certificates import TestAuthority

ROOT = Path(__file__).parents[3]
KEY = "rvmk_ABCDEFGH_0123456789abcdefghijABCDEFGHIJ"
AGE_KEY = "age1sz0wwhwauux2qdu39u3p0na539h79j7rhks9nknd0ulsrzsa4edsjcuu7d"
GOOD = {"myrvm_base_url": "https://hub.test", "api_token": KEY}
_TAKE_ANY_TEXT = {key for key, rule in KEYS.items() if rule.kind in ("text", "id")}


def read(tmp_path: Path, values: Any, environ: dict[str, str] | None = None) -> AgentSettings:
    file = tmp_path / "machine.json"
    file.write_text(values if isinstance(values, str) else json.dumps(values))
    return load(file, environ or {})


@pytest.mark.parametrize("name", ["README.md", "README.id.md"])
def test_the_file_of_the_readme_is_taken_as_it_stands(tmp_path: Path, name: str) -> None:
    (written,) = re.findall(r'^(\{ "myrvm_base_url".*?\}) ', (ROOT / name).read_text("utf-8"), re.MULTILINE)
    (tmp_path / "machine.key").write_text(KEY)
    (tmp_path / "machine.key").chmod(0o600)
    settings = read(tmp_path, written)
    assert (settings.api_token, settings.device_id, settings.base_url) == (KEY, "DEVICE_ID", "http://127.0.0.1:8001")


def test_every_key_of_the_requirements_has_its_default(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert settings.number("metrics_interval") == 300
    assert settings.number("upload_interval") == 3600
    assert settings.values["admin_ips"] == ["192.168.1.0/24", "10.0.0.0/8"]
    assert settings.text("default_timezone") == "Asia/Jakarta"
    assert (settings.device_id, settings.switch("monitoring_enabled")) == ("1", True)
    assert settings.state_dir == tmp_path / "machine.json.state"
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    ("url", "socket"),
    [
        ("https://hub.test", "wss://hub.test/ws/device"),
        ("https://hub.test:8443/", "wss://hub.test:8443/ws/device"),
        ("https://hub.test/rvm", "wss://hub.test/rvm/ws/device"),
        ("http://127.0.0.1:8001", "ws://127.0.0.1:8001/ws/device"),
        ("http://localhost:8001", "ws://localhost:8001/ws/device"),
        ("http://[::1]:8001", "ws://[::1]:8001/ws/device"),
    ],
)
def test_the_hubs_address(tmp_path: Path, url: str, socket: str) -> None:
    assert read(tmp_path, {**GOOD, "myrvm_base_url": url}).socket_url == socket


def test_plain_http_beyond_loopback_needs_a_word_and_the_error_says_which(tmp_path: Path) -> None:
    with pytest.raises(AgentSettingsError) as refused:
        read(tmp_path, {"api_token": KEY})  # the user's own default address
    for language in ("en", "id"):
        sentence = settings_sentence(refused.value, texts_in(language))
        assert '"allow_plain_http": true' in sentence
        assert '"https://172.28.233.83:8001"' in sentence
    assert read(tmp_path, {"api_token": KEY, "allow_plain_http": True}).socket_url.startswith("ws://172.")


@pytest.mark.parametrize("host", ["hub.localhost", "localhost.example", "127.0.0.1.example", "0.0.0.0", "[::]"])
def test_a_name_that_only_looks_like_this_computer_is_not_it(tmp_path: Path, host: str) -> None:
    """A name server of the network may lead hub.localhost anywhere."""
    with pytest.raises(AgentSettingsError, match="plain_http"):
        read(tmp_path, {**GOOD, "myrvm_base_url": f"http://{host}:8001"})


def test_the_environment_overrides_the_file_and_the_longer_name_wins(tmp_path: Path) -> None:
    environ = {
        "METRICS_INTERVAL": "60", "RVM_UPLOAD_INTERVAL": "30.5", "UPLOAD_INTERVAL": "9", "RVM_ID": "rvm-7",
        "ADMIN_IPS": "10.1.0.0/16, 10.2.0.0/16", "RVM_MONITORING_ENABLED": "no", "RVM_LANG": "id", "RVM_PORT": "x",
    }  # fmt: skip
    settings = read(tmp_path, {**GOOD, "metrics_interval": 5}, environ)
    assert settings.number("metrics_interval") == 60
    assert settings.number("upload_interval") == 30.5
    assert settings.device_id == "rvm-7"
    assert settings.values["admin_ips"] == ["10.1.0.0/16", "10.2.0.0/16"]
    assert not settings.switch("monitoring_enabled")
    assert settings.origins["metrics_interval"] == "environment METRICS_INTERVAL"


def test_the_environment_alone_is_enough() -> None:
    settings = load(None, {"MYRVM_BASE_URL": "https://hub.test", "RVM_API_TOKEN": KEY, "RVM_RVM_ID": "3"})
    assert (settings.device_id, settings.api_token) == ("3", KEY)


@pytest.mark.parametrize("how", ["file:key.txt", "environment"])
def test_the_secret_may_stand_in_a_file_of_its_own(tmp_path: Path, how: str) -> None:
    (tmp_path / "key.txt").write_text(KEY + "\n")
    (tmp_path / "key.txt").chmod(0o600)
    environ = {"RVM_API_TOKEN_FILE": str(tmp_path / "key.txt")} if how == "environment" else {}
    token = how if how.startswith("file:") else ""
    assert read(tmp_path, {**GOOD, "api_token": token}, environ).api_token == KEY


@pytest.mark.parametrize(
    ("content", "mode", "code"),
    [
        (KEY.encode(), 0o644, "token_exposed"),
        (b"\xef\xbb\xbf" + KEY.encode(), 0o600, "token_marked"),
        (b"\n", 0o600, "token_missing"),
        (KEY.encode() + b"\nsecond", 0o600, "token_unreadable"),
    ],
)
def test_a_key_file_that_cannot_be_meant_is_refused(tmp_path: Path, content: bytes, mode: int, code: str) -> None:
    file = tmp_path / "machine.key"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(AgentSettingsError) as refused:
        read(tmp_path, {**GOOD, "api_token": "file:machine.key"})
    assert refused.value.code == code
    for language in ("en", "id"):
        assert KEY not in settings_sentence(refused.value, texts_in(language))


@pytest.mark.parametrize(
    ("change", "code", "key"),
    [
        ({"metric_interval": 5}, "unknown_key", "metric_interval"),
        ({"metrics_interval": "often"}, "wrong_number", "metrics_interval"),
        ({"metrics_interval": True}, "wrong_number", "metrics_interval"),
        ({"metrics_interval": -5}, "out_of_bounds", "metrics_interval"),
        ({"metrics_interval": float("nan")}, "wrong_number", "metrics_interval"),
        ({"retry_attempts": 1.5}, "wrong_type", "retry_attempts"),
        ({"monitoring_enabled": "yes"}, "wrong_switch", "monitoring_enabled"),
        ({"rvm_id": ""}, "wrong_id", "rvm_id"),
        ({"rvm_id": "a/b"}, "wrong_id", "rvm_id"),
        ({"rvm_id": [1]}, "wrong_type", "rvm_id"),
        ({"admin_ips": ["home"]}, "wrong_networks", "admin_ips"),
        ({"admin_ips": "10.0.0.0/8"}, "wrong_networks", "admin_ips"),
        ({"backup_retention": 1.5}, "wrong_whole", "backup_retention"),
        ({"default_timezone": "Mars/Olympus"}, "wrong_zone", "default_timezone"),
        ({"default_timezone": ""}, "wrong_zone", "default_timezone"),
        ({"timezone_api_url": "file:///etc/passwd"}, "wrong_addresses", "timezone_api_url"),
        ({"timezone_services": "camera.service"}, "wrong_units", "timezone_services"),
        ({"services": ["../sshd"]}, "wrong_units", "services"),
        ({"remote_access_ports": [0]}, "wrong_ports", "remote_access_ports"),
        ({"remote_access_bind": "everywhere"}, "wrong_address", "remote_access_bind"),
        ({"terminal_command": "bash -l"}, "wrong_argv", "terminal_command"),
        ({"remote_download_folders": ["logs"]}, "wrong_folders", "remote_download_folders"),
        ({"remote_services": {"camera": {"start": ["x"]}}}, "wrong_on_demand", "remote_services"),
        ({"remote_services": {"5000": {"start": []}}}, "wrong_on_demand", "remote_services"),
        ({"remote_services": {"5000": {"begin": ["x"]}}}, "wrong_on_demand", "remote_services"),
        ({"remote_page_names": ["Camera"]}, "wrong_page_names", "remote_page_names"),
        ({"remote_page_names": {"camera": "Camera"}}, "wrong_page_names", "remote_page_names"),
        ({"remote_page_names": {"5000": "x" * 61}}, "wrong_page_names", "remote_page_names"),
        ({"remote_page_names": {"5000": " "}}, "wrong_page_names", "remote_page_names"),
        ({"remote_page_names": {"5000": "a\nb"}}, "wrong_page_names", "remote_page_names"),
        ({"backup_sources": {"Fotos": {"path": "/var/rvm"}}}, "wrong_backup_sources", "backup_sources"),
        ({"backup_sources": {"photos": {"path": "photos"}}}, "wrong_backup_sources", "backup_sources"),
        ({"backup_sources": {"photos": {"path": "/"}}}, "wrong_backup_sources", "backup_sources"),
        ({"backup_sources": {"photos": {"path": "/var/../etc"}}}, "wrong_backup_sources", "backup_sources"),
        ({"backup_sources": {"p": {"path": "/var/rvm", "class": "films"}}}, "wrong_backup_sources", "backup_sources"),
        ({"backup_sources": {"p": {"path": "/var/rvm", "paths": []}}}, "wrong_backup_sources", "backup_sources"),
        ({"backup_sources": {"a": {"path": "/rvm"}, "b": {"path": "/rvm/x/"}}}, "nested_sources", "backup_sources"),
        ({"backup_sources": {"a": {"path": "/rvm/"}, "b": {"path": "/rvm"}}}, "nested_sources", "backup_sources"),
        ({"backup_public_key": "age1qqqqqqqqqq"}, "wrong_age_key", "backup_public_key"),
        ({"backup_public_key": AGE_KEY[:-1] + "q"}, "wrong_age_key", "backup_public_key"),
        ({"backup_services": ["rvm-app.service"]}, "undeclared_service", "backup_services"),
        ({"services": ["-now"]}, "wrong_units", "services"),
        ({"services": [f"s{n}" for n in range(21)]}, "wrong_units", "services"),
        ({"myrvm_base_url": "hub.test"}, "wrong_url", "myrvm_base_url"),
        ({"myrvm_base_url": "ftp://hub.test"}, "wrong_url", "myrvm_base_url"),
        ({"myrvm_base_url": "https://hub.test?key=1"}, "wrong_url", "myrvm_base_url"),
        ({"myrvm_base_url": "https://hub.test:99999"}, "wrong_url", "myrvm_base_url"),
        ({"myrvm_base_url": "https://me:secret@hub.test"}, "secret_in_url", "myrvm_base_url"),
        ({"api_token": ""}, "token_missing", "api_token"),
        ({"api_token": "changeme-changeme-changeme"}, "token_unusable", "api_token"),
        ({"api_token": "short"}, "token_unusable", "api_token"),
        ({"api_token": "with a space in it, long enough"}, "token_unusable", "api_token"),
        ({"api_token": "file:absent"}, "token_unreadable", "api_token"),
    ],
)
def test_what_cannot_work_is_refused_by_name(tmp_path: Path, change: dict[str, Any], code: str, key: str) -> None:
    with pytest.raises(AgentSettingsError) as refused:
        read(tmp_path, {**GOOD, **change})
    assert (refused.value.code, refused.value.key) == (code, key)
    english, indonesian = (settings_sentence(refused.value, texts_in(language)) for language in ("en", "id"))
    assert key in english
    assert english != indonesian
    assert "secret" not in english


@pytest.mark.parametrize("content", ["", "[]", "{", '"text"', "{'a': 1}", "[" * 100_000])
def test_a_file_that_is_no_json_object_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(AgentSettingsError) as refused:
        read(tmp_path, content)
    assert "machine.json" in settings_sentence(refused.value, texts_in("en"))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentSettingsError) as refused:
        load(tmp_path / "absent.json", {})
    assert "absent.json" in settings_sentence(refused.value, texts_in("en"))


def test_the_nearest_name_is_offered(tmp_path: Path) -> None:
    assert nearest("metric_intervall") == "metrics_interval"
    assert nearest("qqq") == ""
    with pytest.raises(AgentSettingsError) as refused:
        read(tmp_path, {**GOOD, "api_tokn": "x"})
    assert "'api_token'" in settings_sentence(refused.value, texts_in("en"))


def test_what_backups_read_is_the_machines_own_to_set(tmp_path: Path) -> None:
    sources = {"app": {"path": "/opt/rvm"}, "app2": {"path": "/opt/rvm2", "class": "logs", "exclude": ["*.tmp"]}}
    wanted = {"backup_sources": sources, "backup_public_key": f" {AGE_KEY}\n", "services": ["a.service", "b.service"]}
    settings = read(tmp_path, {**GOOD, **wanted, "backup_services": ["b.service"]})
    found = backup_sources(settings.values["backup_sources"])
    assert found == {
        "app": BackupSource(path="/opt/rvm"),
        "app2": BackupSource(path="/opt/rvm2", data_class="logs", exclude=["*.tmp"]),
    }
    assert settings.text("backup_public_key") == AGE_KEY
    assert settings.names("backup_services") == ["b.service"]
    assert read(tmp_path, GOOD, {"RVM_BACKUP_PUBLIC_KEY": AGE_KEY}).text("backup_public_key") == AGE_KEY


def test_a_file_others_can_read_is_noticed_if_the_key_is_in_it(tmp_path: Path) -> None:
    """The README's first machine has its key apart, and was told of a danger that was none."""
    file, key = tmp_path / "machine.json", tmp_path / "machine.key"
    written = read(tmp_path, GOOD)
    file.chmod(0o644)
    assert exposed(written) == file
    file.chmod(0o600)
    assert not exposed(written)
    key.write_text(KEY)
    key.chmod(0o600)
    apart = read(tmp_path, {**GOOD, "api_token": "file:machine.key"})
    file.chmod(0o644)
    assert not exposed(apart)
    assert not exposed(load(None, {f"RVM_{name.upper()}": str(value) for name, value in GOOD.items()}))


def test_every_default_is_legal_in_its_own_table() -> None:
    for name, key in KEYS.items():
        assert typed(name, key, key.default) == key.default, name


def test_the_dynamic_keys_are_those_of_the_shared_table() -> None:
    assert {name: KEYS[name].default for name in configuration.SETTINGS} == configuration.defaults()
    assert not STATIC.keys() & configuration.SETTINGS.keys()


def test_the_hub_knows_every_key_it_may_not_change() -> None:
    assert STATIC.keys() == configuration.STATIC_KEYS


def test_lists_may_stand_in_the_environment_with_commas(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD, {"RVM_TIMEZONE_SERVICES": "camera.service, door@1.service", "SERVICES": "[]"})
    assert settings.names("timezone_services") == ["camera.service", "door@1.service"]
    assert settings.names("services") == []


@pytest.mark.parametrize("key", sorted(KEYS))
def test_a_wrong_value_is_refused_by_its_own_key_in_both_languages(tmp_path: Path, key: str) -> None:
    """By the file, and by the environment where not every text is a value."""
    tries: list[tuple[dict[str, Any], dict[str, str]]] = [(GOOD | {key: {"what": ["no", "key", "takes"]}}, {})]
    if key not in _TAKE_ANY_TEXT:
        tries.append((GOOD, {f"RVM_{key.upper()}": "[[-1]]"}))
    for values, environ in tries:
        with pytest.raises(AgentSettingsError) as refused:
            read(tmp_path, values, environ)
        assert refused.value.key == key
        assert all(key in settings_sentence(refused.value, texts_in(language)) for language in ("en", "id"))


def test_whom_it_takes_for_the_hub_stands_beside_the_file_and_is_looked_at(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    settings = read(tmp_path, {**GOOD, "myrvm_base_url": "https://hub.test", "hub_ca": "authority.crt"})
    assert settings.hub_trust.authorities == str(tmp_path / "authority.crt")
    assert settings.hub_trust.mode == "pinned"
    bundle = settings.hub_trust.bundle()
    assert bundle is not None
    assert len(bundle.fingerprints) == 1
    assert read(tmp_path, {**GOOD, "myrvm_base_url": "https://hub.test"}).hub_trust.bundle() is None
    authority.crt.unlink()  # while it runs: nothing else is trusted instead
    with pytest.raises(OSError, match="hub_ca"):
        settings.hub_trust.context()


@pytest.mark.parametrize("language", ["en", "id"])
def test_a_wrong_authority_or_certificate_is_named_with_its_fix(tmp_path: Path, language: str) -> None:
    authority, texts = TestAuthority(tmp_path), texts_in(language)
    client = authority.client("rvm-1")
    other = TestAuthority(tmp_path / "other").client("rvm-1")
    (tmp_path / "empty").touch()
    (tmp_path / "open.pem").write_bytes(client.read_bytes())
    (tmp_path / "open.pem").chmod(0o644)
    (tmp_path / "loose.crt").write_bytes(authority.pem)
    (tmp_path / "loose.crt").chmod(0o666)
    (tmp_path / "no.key").write_text("none")
    (tmp_path / "no.key").chmod(0o600)
    wrong: dict[str, dict[str, str]] = {
        "hub_ca_missing": {"hub_ca": "nowhere.crt"},
        "hub_ca_empty": {"hub_ca": "empty"},
        "hub_ca_private": {"hub_ca": client.name},
        "hub_ca_folder": {"hub_ca": "."},
        "hub_ca_writable": {"hub_ca": "loose.crt"},
        "client_pair": {"client_cert": client.name},
        "client_key_exposed": {"client_cert": client.name, "client_key": "open.pem"},
        "client_key_unreadable": {"client_cert": client.name, "client_key": "nowhere.pem"},
        "client_unusable": {"client_cert": client.name, "client_key": "no.key"},
    }
    for code, keys in wrong.items():
        with pytest.raises(AgentSettingsError) as refused:
            read(tmp_path, {**GOOD, **keys})
        assert refused.value.code == code
        sentence = settings_sentence(refused.value, texts)
        assert refused.value.key in sentence
        assert "{" not in sentence
    with pytest.raises(AgentSettingsError, match="client_unusable"):
        read(tmp_path, {**GOOD, "client_cert": client.name, "client_key": str(other)})
    assert read(tmp_path, {**GOOD, "client_cert": client.name, "client_key": client.name}).hub_trust.certificate


def test_only_plain_http_beyond_this_computer_is_plain(tmp_path: Path) -> None:
    def is_plain(url: str) -> bool:
        return read(tmp_path, {**GOOD, "myrvm_base_url": url, "allow_plain_http": True}).is_plain

    assert is_plain("http://172.28.233.83:8001")
    assert not is_plain("http://127.0.0.1:8001")
    assert not is_plain("https://172.28.233.83")
