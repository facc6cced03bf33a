"""Every flag of the command line reaches the settings: one that is offered and then forgotten is worse than none."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.cli import parser
from hub.cli.data_door import settings_of

GIVEN = {
    "host": "0.0.0.0",
    "port": "8443",
    "public_url": "https://hub.example.com",
    "object_store": "/srv/objects",
    "bus_url": "local",
    "behind_proxy": "10.0.0.1",
    "log_format": "json",
    "admin_email": "budi@example.com",
    "record_input": "yes",
    "recording_retention_days": "7",
    "samples_retention_days": "30",
    "pages_url": "https://pages.example.com",
}
FILES = ("tls_cert", "tls_key", "admin_password_file")
"""They have to exist, and have their own tests."""


def test_every_flag_is_tried_here() -> None:
    assert {*GIVEN, *FILES} == set(parser.SERVE_FLAGS)


@pytest.mark.parametrize("name", sorted(set(GIVEN) - {"bus_url"}))
def test_a_flag_reaches_the_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [f"RVM_{flag.upper()}" for flag in parser.SERVE_FLAGS]:
        monkeypatch.delenv(variable, raising=False)
    common = ["--data-dir", str(tmp_path), "--public-url", "https://hub.example.com", "--behind-proxy", "10.0.0.1"]
    flag = [] if name in ("public_url", "behind_proxy") else ["--" + name.replace("_", "-"), GIVEN[name]]
    settings = settings_of(parser.read([*common, *flag]))
    plain = settings_of(parser.read(common[:2]))
    assert getattr(settings, name) != getattr(plain, name)
