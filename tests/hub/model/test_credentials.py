"""Secrets: made, recognised, compared."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable
from typing import Literal

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from hub.model import credentials
from hub.model.credentials import Kind, hash_of, new_secret, recognise, same_hash

Form = Literal["NFC", "NFD"]
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
KINDS: tuple[Kind, ...] = ("key", "token", "session", "link")


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_secret_is_recognised_as_what_it_is(kind: Kind) -> None:
    secret = new_secret(kind)
    shape = recognise(secret.text)
    assert shape is not None
    assert shape == (kind, secret.prefix, secret.hash)
    assert len(secret.prefix) <= 20
    assert len(secret.hash) == 64
    assert secret.hash not in secret.text


def test_two_secrets_have_nothing_in_common() -> None:
    made = [new_secret("token") for _ in range(200)]
    assert len({s.text for s in made}) == len({s.prefix for s in made}) == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t + "A",
        lambda t: t[:-1],
        lambda t: t + "\n",
        lambda t: " " + t,
        lambda t: t.upper(),
        lambda t: t + t,
        lambda t: t.replace("rvmu", "rvmk") + "_",
        lambda t: t.replace("_", "-"),
        lambda t: t[:-1] + "é",
        lambda t: f'"{t}"',
        lambda t: "",
    ],
)
def test_a_bent_secret_is_no_secret(change: Callable[[str], str]) -> None:
    assert recognise(change(new_secret("token").text)) is None


def test_the_same_text_as_another_kind_has_another_hash() -> None:
    token = new_secret("token").text
    as_key = recognise("rvmk" + token[4:])
    assert as_key is not None
    assert not same_hash(as_key.hash, hash_of(token))


@given(st.text(alphabet=string.printable, max_size=80))
def test_any_text_is_taken_without_an_error(text: str) -> None:
    shape = recognise(text)
    assert shape is None or text.startswith(shape.prefix)


def test_nothing_stored_matches_nothing() -> None:
    assert not same_hash(hash_of("x"), None)
    assert same_hash(hash_of("x"), hash_of("x"))


def test_passwords_match_themselves_only_and_are_salted() -> None:
    stored = credentials.hash_password("a phrase of words")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert stored != credentials.hash_password("a phrase of words")
    assert credentials.password_matches("a phrase of words", stored)
    assert not credentials.password_matches("a phrase of word", stored)
    assert not credentials.password_matches("a phrase of words", None)
    assert not credentials.password_matches("a phrase of words", "not a hash")


def test_each_kind_has_its_own_mark() -> None:
    made = (
        credentials.new_secret("key"),
        credentials.new_secret("token"),
        credentials.new_secret("session"),
        credentials.new_secret("link"),
    )
    assert [one.prefix[:5] for one in made] == ["rvmk_", "rvmu_", "rvms_", "rvml_"]


@pytest.mark.parametrize("hashed", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_a_password_is_the_same_however_its_accents_were_typed(hashed: Form, typed: Form) -> None:
    """Also against a hash from before, made of what was typed then."""
    of_before = QUICK.hash(unicodedata.normalize(hashed, "kopi s\u00fcsu d\u00e9but"))
    of_now = credentials.hash_password(unicodedata.normalize(hashed, "kopi s\u00fcsu d\u00e9but"), QUICK)
    entered = unicodedata.normalize(typed, "kopi s\u00fcsu d\u00e9but")
    for stored in (of_before, of_now):
        assert credentials.password_matches(entered, stored, QUICK)
        assert not credentials.password_matches(entered + "x", stored, QUICK)
        assert not credentials.password_matches("kopi susu debut", stored, QUICK)
    assert not credentials.password_matches(entered, None, QUICK)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "short"),
        ("123456789", "short"),
        ("x" * 201, "long"),
        ("password123", "common"),
        ("Password123", "common"),
        ("password123456", "common"),
        ("!Rahasia-2026!", "common"),
        ("p@ssw0rd 4711", "common"),
        ("Admin 1234567", "common"),
        ("aaaaaaaaaaaa", "common"),
        ("abcdefghijklm", "common"),
        ("ababababababab", "plain"),
        ("budi.santoso@x.id", "email"),
        ("Budi.Santoso", "email"),
    ],
)
def test_what_anybody_would_try_first_is_refused(password: str, why: str) -> None:
    assert credentials.password_fault(password, "budi.santoso@x.id") == why


@pytest.mark.parametrize("password", ["tiga ekor kucing", "correct horse battery", "kT9#mmQw2z", "kucing 3 password"])
def test_a_phrase_is_accepted(password: str) -> None:
    assert credentials.password_fault(password, "a@b.c") is None


def test_the_length_of_a_password_is_that_of_its_letters() -> None:
    assert credentials.password_fault("e\u0301" * 5 + "abcd") == "short"
    assert credentials.password_fault("e\u0301" * 5 + "abcdf") is None
