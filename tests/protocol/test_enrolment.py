"""One-time codes as people write them, and the fingerprint that both ends show."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import enrolment

LETTERS = st.text(alphabet=enrolment.CODE_LETTERS, min_size=12, max_size=12)


@given(LETTERS)
def test_a_code_is_found_again_however_it_was_typed(letters: str) -> None:
    code = enrolment.written_code(letters)
    assert re.fullmatch(r"RVM(-[2-9A-HJKMNP-TV-Z]{4}){3}", code)
    for typed in (code, code.lower(), code.replace("-", ""), code.replace("-", " "), f" {code}\n"):
        assert enrolment.normal_code(typed) == code


@pytest.mark.parametrize(
    "typed",
    ["", "RVM", "RVM-7K4Q-9D2M", "RVM-7K4Q-9D2M-3XH0", "RVM-7K4Q-9D2M-3XHI", "ABC-7K4Q-9D2M-3XHT", "7K4Q-9D2M-3XHT"],
)
def test_what_no_code_looks_like_is_none(typed: str) -> None:
    assert enrolment.normal_code(typed) is None


def test_no_letter_of_a_code_is_taken_for_another_and_guessing_is_hopeless() -> None:
    assert not set("01ILOU") & set(enrolment.CODE_LETTERS)
    assert len(set(enrolment.CODE_LETTERS)) ** (enrolment.CODE_GROUPS * enrolment.CODE_GROUP) > 2**58


def test_a_fingerprint_is_short_and_tells_neither_key_nor_hash() -> None:
    digest = enrolment.key_hash("rvmk_AAAAAAAA_" + "0" * 32)
    found = enrolment.fingerprint(digest)
    assert re.fullmatch(r"([0-9A-F]{2}:){7}[0-9A-F]{2}", found)
    assert found.replace(":", "").lower() not in digest
    assert found != enrolment.fingerprint(enrolment.key_hash("another"))


@pytest.mark.parametrize(
    "wrong",
    [{"key_prefix": "rvmk_short"}, {"key_prefix": "rvmu_AAAAAAAA"}, {"key_hash": "0" * 63}, {"key_hash": "G" * 64},
     {"hostname": "two\nlines"}, {"hostname": "x" * 101}, {"machine_id": "plain"}, {"code": "x" * 41}],
)  # fmt: skip
def test_a_request_that_no_agent_of_ours_makes_is_refused(wrong: dict[str, str]) -> None:
    good = {"code": "", "key_prefix": "rvmk_AAAAAAAA", "key_hash": "0" * 64, "hostname": "jetson"}
    assert msgspec.convert(good, enrolment.EnrolmentRequest).hostname == "jetson"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**good, **wrong}, enrolment.EnrolmentRequest)
