"""The hub's file of settings: what stays, what is named once, what is refused."""

from __future__ import annotations

import pytest

from installer import command, hub
from installer.steps import InstallError

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
