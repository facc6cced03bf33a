"""Settings and flags: every setting has a flag in the help, every flag reaches its setting, every error names one."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from hub.cli import flags, parser
from hub.cli.data import settings_of
from hub.cli.output import CliError, Exit
from hub.settings import Settings

SECRETS = ("s3_access_key", "s3_secret_key")
"""From the environment alone; the help of --object-store names their variables."""
NAMES = tuple(f.name for f in fields(Settings) if f.name != "warnings")
GIVEN = {
    "host": "0.0.0.0",
    "port": "8443",
    "public_url": "https://hub.example.com",
    "base_path": "/rvm",
    "object_store": "/srv/objects",
    "bus_url": "local",
    "behind_proxy": "10.0.0.1",
    "log_format": "json",
    "admin_email": "budi@example.com",
    "record_input": "yes",
    "recording_retention_days": "7",
    "samples_retention_days": "30",
    "pages_url": "https://pages.example.net",
    "default_timezone": "Asia/Makassar",
    "live": "no",
    "device_frames_per_second": "5",
    "device_frames_burst": "50",
    "device_mib_per_day": "8",
    "recordings_mib_per_machine": "100",
    "backup_max_gib": "5",
    "backup_quota_gib": "50",
    "backup_fleet_quota_gib": "5000",
    "backups_at_once": "8",
    "backup_download": "presigned",
    "backup_scratch_dir": "/srv/scratch",
    "backup_scratch_gib": "0",
    "tls_client_required": "no",
    "notify_loopback": "yes",
    "map_tiles_url": "https://tiles.example/{z}/{x}/{y}.png",
    "map_tiles_attribution": "© [Makers](https://makers.example)",
}
FILES = (
    "tls_cert", "tls_key", "tls_authority", "tls_client_authority", "tls_client_crl", "admin_password_file",
)  # fmt: skip
"""They have to exist, and have their own tests."""
WRONG = {
    "host": "0.0.0.0",
    "port": "99999",
    "public_url": "hub.example.com",
    "base_path": "rvm",
    "pages_url": "10.0.0.1",
    "database_url": "mysql://db/hub",
    "object_store": "ftp://objects",
    "bus_url": "nats://bus",
    "behind_proxy": "nobody",
    "tls_cert": "/none/cert.pem",
    "tls_key": "/none/key.pem",
    "tls_authority": "/none/authority.crt",
    "tls_client_authority": "/none/authority.crt",
    "tls_client_crl": "/none/revoked.crl",
    "tls_client_required": "perhaps",
    "log_format": "xml",
    "admin_password_file": "/none/password",
    "record_input": "perhaps",
    "live": "perhaps",
    "recording_retention_days": "0",
    "samples_retention_days": "soon",
    "default_timezone": "Jakarta",
    "device_frames_per_second": "-1",
    "device_frames_burst": "many",
    "device_mib_per_day": "0",
    "recordings_mib_per_machine": "0",
    "backup_max_gib": "0",
    "backup_quota_gib": "much",
    "backup_fleet_quota_gib": "-1",
    "backups_at_once": "0",
    "backup_download": "mailed",
    "backup_scratch_gib": "-1",
    "notify_loopback": "perhaps",
    "map_tiles_url": "https://tiles.example/",
    "map_tiles_attribution": "Makers",
}
"""One value each that is refused; what is not here takes any."""


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in NAMES:
        monkeypatch.delenv(f"RVM_{name.upper()}", raising=False)
    return monkeypatch


def test_every_flag_is_tried_here() -> None:
    assert {*GIVEN, *FILES} == set(flags.SERVE_FLAGS)
    assert {*WRONG, "admin_email", "data_dir", "backup_scratch_dir"} == {*flags.SERVE_FLAGS, *flags.DATA_FLAGS}


@pytest.mark.parametrize("language", ["en", "id"])
def test_every_setting_has_a_flag_and_its_variable_in_the_help(language: str, clean: pytest.MonkeyPatch) -> None:
    clean.setenv("RVM_LANG", language)
    said = " ".join(parser.build().format_help().split())
    for name in NAMES:
        assert f"RVM_{name.upper()}" in said, name
        assert name in SECRETS or f"{_flag(name)} " in said, name


def test_the_defaults_of_the_help_are_those_of_the_settings() -> None:
    made = {f.name: f.default for f in fields(Settings) if f.default is not MISSING}
    for name, shown in flags.DEFAULTS.items():
        default = made[name]
        told = ("no", "yes")[default] if isinstance(default, bool) else default
        assert told in (shown, float(shown) if shown.isdigit() else Path(shown)), name


@pytest.mark.parametrize("name", sorted(set(GIVEN) - {"bus_url"}))
def test_a_flag_reaches_the_settings(name: str, tmp_path: Path, clean: pytest.MonkeyPatch) -> None:
    pairs = ("public_url", "behind_proxy", "map_tiles_url", "map_tiles_attribution")
    common = ["--data-dir", str(tmp_path), *(word for pair in pairs for word in (_flag(pair), GIVEN[pair]))]
    flag = [] if name in pairs else [_flag(name), GIVEN[name]]
    settings = settings_of(parser.read([*common, *flag]))
    plain = settings_of(parser.read(common[:2]))
    assert getattr(settings, name) != getattr(plain, name)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_an_error_names_a_flag_that_there_is(name: str, clean: pytest.MonkeyPatch) -> None:
    known = {_flag(one) for one in (*flags.SERVE_FLAGS, *flags.DATA_FLAGS)}
    assert _named_by([_flag(name), WRONG[name]]) in known
    clean.setenv(f"RVM_{name.upper()}", WRONG[name])
    assert _named_by([]) in {*known, f"RVM_{name.upper()}"}


def _named_by(argv: list[str]) -> str:
    """What the error names first."""
    with pytest.raises(CliError) as refused:
        settings_of(parser.read(argv))
    assert (refused.value.exit_code, bool(refused.value.hint)) == (Exit.CONFIGURATION, True)
    return refused.value.message.partition(":")[0]
