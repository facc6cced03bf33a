"""The hub's file of settings: what stays, what is named once, what is refused."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from installer import cli, command, hub
from installer.steps import InstallError, Step
from texts.catalogue import read

FILE = '# mine\nRVM_HOST="10.0.0.2"\nRVM_S3_SECRET_KEY=abc\n'


def test_a_setting_takes_the_place_of_the_old_one_and_the_rest_stays() -> None:
    text = hub.merged(FILE, {"RVM_HOST": "0.0.0.0", "RVM_PORT": "443"})
    assert text == '# mine\nRVM_HOST="0.0.0.0"\nRVM_S3_SECRET_KEY=abc\nRVM_PORT="443"\n'
    assert hub.merged(text, {"RVM_HOST": "0.0.0.0", "RVM_PORT": "443"}) == text
    assert command.parse(text) == {"RVM_HOST": "0.0.0.0", "RVM_S3_SECRET_KEY": "abc", "RVM_PORT": "443"}


@pytest.mark.parametrize("value", ['a"b', "a\\b", "$HOME", "a\nRVM_X=1", "a`b`"])
def test_a_value_that_would_be_read_otherwise_is_refused(value: str) -> None:
    with pytest.raises(InstallError) as refused:
        hub.merged(FILE, {"RVM_HOST": value})
    assert refused.value.code == "odd_value"


def planned(*words: str) -> list[Step]:
    texts = read(Path(cli.__file__).parent / "locales", "en")
    parser = argparse.ArgumentParser()
    cli._hub_arguments(parser, texts)
    return hub.settings(parser.parse_args(words))


def test_the_authority_that_machines_pin_is_copied_and_named(tmp_path: Path) -> None:
    (tmp_path / "authority.crt").write_text("-----BEGIN CERTIFICATE-----")
    steps = planned("--tls-authority", str(tmp_path / "authority.crt"))
    written = {str(step.values["path"]): str(step.values["mode"]) for step in steps}
    assert written["/etc/myrvm-hub/tls/authority.crt"] == "0644"
    text = hub.merged(FILE, {"RVM_TLS_AUTHORITY": str(hub.AUTHORITY)})
    assert 'RVM_TLS_AUTHORITY="/etc/myrvm-hub/tls/authority.crt"' in text


def test_a_key_is_never_written_where_others_may_read_it(tmp_path: Path) -> None:
    """`python3 -m certs hub` makes one file of certificate and key, which is given as both."""
    pair = tmp_path / "hub.pem"
    pair.write_text("-----BEGIN PRIVATE KEY-----")
    steps = planned("--tls-cert", str(pair), "--tls-key", str(pair))
    assert {step.values["mode"] for step in steps if "tls/" in str(step.values["path"])} == {"0640"}
    with pytest.raises(InstallError) as refused:
        planned("--tls-authority", str(pair))
    assert refused.value.code == "authority_key"
