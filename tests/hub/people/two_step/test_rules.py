"""Which codes count as the second step of a sign-in, with time as an argument."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest

from hub.model import credentials
from hub.people.two_step import rules

NOW = datetime(2026, 11, 30, 12, 0, 10, tzinfo=timezone.utc)
SECRET = base64.b32encode(b"12345678901234567890").decode()
"""Of RFC 6238, appendix B."""


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    at = datetime.fromtimestamp(seconds, tz=timezone.utc)
    assert rules.code_at(SECRET, rules.step_at(at)) == code
    assert rules.matching_step(SECRET, code, at, 0) == seconds // 30


@pytest.mark.parametrize(("steps", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_wrong(steps: int, counts: bool) -> None:
    here = rules.step_at(NOW)
    code = rules.code_at(SECRET, here + steps)
    assert rules.matching_step(SECRET, code, NOW, 0) == (here + steps if counts else None)


def test_a_code_and_those_before_it_count_once() -> None:
    here = rules.step_at(NOW)
    late, this = (rules.code_at(SECRET, step) for step in (here - 1, here))
    assert rules.matching_step(SECRET, this, NOW, here - 1) == here
    assert rules.matching_step(SECRET, this, NOW, here) is None
    assert rules.matching_step(SECRET, late, NOW, here) is None
    after = NOW + timedelta(seconds=rules.STEP_S)
    assert rules.matching_step(SECRET, rules.code_at(SECRET, here + 1), after, here) == here + 1


@pytest.mark.parametrize("typed", ["287 082", " 287082\n", "287-082", "2 8 7 0 8 2"])
def test_a_code_is_read_as_it_is_typed(typed: str) -> None:
    assert rules.plain_code(typed) == "287082"
    assert rules.is_app_code(rules.plain_code(typed))


@pytest.mark.parametrize("text", ["", "28708", "2870821", "28708a", "٢٨٧٠٨٢", "²87082", "ABCDEFGHJKMNPQRS"])
def test_what_no_app_shows_is_no_code(text: str) -> None:
    assert not rules.is_app_code(rules.plain_code(text))


def test_an_app_reads_whose_secret_it_is() -> None:
    address = urlsplit(rules.app_address(SECRET, "budi+hub@example.com"))
    assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", "/MyRVM:budi%2Bhub%40example.com")
    given = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert given == {"secret": SECRET, "issuer": "MyRVM", "algorithm": "SHA1", "digits": "6", "period": "30"}


def test_secrets_and_recovery_codes_are_drawn_each_anew() -> None:
    secrets = {credentials.new_app_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(base64.b32decode(secret)) for secret in secrets} == {20}
    codes = credentials.new_recovery_codes(rules.RECOVERY_CODES)
    assert len(set(codes)) == rules.RECOVERY_CODES
    assert {len(rules.plain_code(code.lower())) for code in codes} == {16}
    assert not any(rules.is_app_code(rules.plain_code(code)) for code in codes)
