"""The age format as this product writes it: read by pyrage and by age's own program, and byte by byte as published."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.encrypt import CHUNK, Sealer, StreamKey, new_stream_key, stream_key
from archive.errors import ArchiveError

SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK + 7)


def sealed(key: StreamKey, data: bytes, step: int = 1_000_000) -> bytes:
    sealer = Sealer(key)
    made = [sealer.add(data[at : at + step]) for at in range(0, len(data), step)]
    return key.prefix + b"".join(made) + sealer.finish()


def bytes_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_reads_what_is_written_to_each_recipient(size: int) -> None:
    identities = [pyrage.x25519.Identity.generate() for _ in range(3)]
    made = sealed(new_stream_key([f" {each.to_public()}\n" for each in identities]), bytes_of(size), 12_345)
    for identity in identities:
        assert pyrage.decrypt(made, [identity]) == bytes_of(size)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(made, [pyrage.x25519.Identity.generate()])


@pytest.mark.skipif(shutil.which("age") is None, reason="needs age's own program (the package age)")
@pytest.mark.parametrize("size", SIZES)
def test_ages_own_program_reads_it(tmp_path: Path, size: int) -> None:
    identity = pyrage.x25519.Identity.generate()
    other = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(f"{identity}\n")
    (tmp_path / "made").write_bytes(
        sealed(new_stream_key([str(other.to_public()), str(identity.to_public())]), bytes_of(size))
    )
    ran = subprocess.run(["age", "-d", "-i", tmp_path / "key", tmp_path / "made"], check=True, capture_output=True)
    assert ran.stdout == bytes_of(size)


def test_it_is_byte_by_byte_what_ages_test_kit_publishes() -> None:
    """C2SP/CCTV, age/testdata/x25519: all that is random comes from one ChaCha20 stream there."""
    dice = Cipher(ChaCha20(b"TEST RANDOMNESS TEST RANDOMNESS!", bytes(16)), None).encryptor()
    ephemeral = dice.update(bytes(32))
    identity = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6"
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    number = 0
    for symbol in identity.lower().removeprefix("age-secret-key-1")[:52]:
        number = number << 5 | alphabet.index(symbol)
    point = X25519PrivateKey.from_private_bytes((number >> 4).to_bytes(32, "big")).public_key().public_bytes_raw()
    nonce = dice.update(bytes(16))
    key = stream_key(b"YELLOW SUBMARINE", nonce, [(ephemeral, point)])
    assert (
        key.prefix
        == (
            b"age-encryption.org/v1\n"
            b"-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\n"
            b"EmECAEcKN+n/Vs9SbWiV+Hu0r+E8R77DdWYyd83nw7U\n"
            b"--- Vn+54jqiiUCE+WZcEVY3f1sqHjlu/z1LCQ/T7Xm7qI0\n"
        )
        + nonce
    )
    assert pyrage.decrypt(sealed(key, b"age"), [pyrage.x25519.Identity.from_str(identity)]) == b"age"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * CHUNK), max_size=8), st.data())
def test_who_goes_on_anywhere_gives_the_same_bytes(pieces: list[int], data: st.DataObject) -> None:
    key = new_stream_key([str(pyrage.x25519.Identity.generate().to_public())])
    whole = bytes_of(sum(pieces))
    made, at, sealer = key.prefix, 0, Sealer(key)
    for size in pieces:
        if data.draw(st.booleans()):
            sealer = Sealer(key, sealer.count, sealer.rest)
        made += sealer.add(whole[at : at + size])
        at += size
    assert made + sealer.finish() == sealed(key, whole)


def test_no_two_keys_are_alike() -> None:
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    keys = [new_stream_key([recipient]) for _ in range(20)]
    assert len({key.secret for key in keys}) == len({key.nonce for key in keys}) == 20


@pytest.mark.parametrize("wrong", ["", "age1nobody", "AGE-SECRET-KEY-1XMWWC06", "ssh-ed25519 AAAA"])
def test_what_is_no_recipient_is_refused(wrong: str) -> None:
    with pytest.raises(ArchiveError, match="no age public key"):
        new_stream_key([wrong])


def test_a_point_that_everybody_could_decrypt_with_is_refused() -> None:
    with pytest.raises(ArchiveError, match="everybody"):
        stream_key(bytes(16), bytes(16), [(bytes([9] * 32), bytes(32))])
