"""Encrypts a stream in the age v1 format, in chunks from each of which another process can go on.

pyrage keeps the key of a stream to itself, so this half of the format stands here, upon libsodium (`nacl`; a third of
the memory of `cryptography`). A chunk's nonce is its number: who goes on must give the same bytes again
(`archive.stream_key` sees to that).
"""

from __future__ import annotations

import hmac
import os
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

import msgspec
import pyrage
from nacl.bindings import crypto_aead_chacha20poly1305_ietf_encrypt as encrypt
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import CryptoError

from archive.errors import WRONG_KEY, ArchiveError

CHUNK: Final = 64 * 1024
"""Bytes that are encrypted at a time; each chunk gets 16 longer."""
NONCE: Final = 16
"""Bytes at the end of what a stream begins with: no two streams have the same."""
_FILE_KEY: Final = 16
_KEY: Final = 32
_VERSION: Final = b"age-encryption.org/v1"
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


class StreamKey(msgspec.Struct, frozen=True, array_like=True):
    """`prefix`: what the stream begins with, for all to see; `secret`: what its chunks are encrypted with."""

    prefix: bytes
    secret: bytes

    @property
    def nonce(self) -> bytes:
        return self.prefix[-NONCE:]


def new_stream_key(recipients: Sequence[str]) -> StreamKey:
    """For one stream alone. Raises ArchiveError for a recipient that is none."""
    points = [_point(recipient) for recipient in recipients]
    return stream_key(os.urandom(_FILE_KEY), os.urandom(NONCE), [(os.urandom(_KEY), point) for point in points])


def stream_key(file_key: bytes, nonce: bytes, shares: Sequence[tuple[bytes, bytes]]) -> StreamKey:
    """`shares`: a secret of its own and the public key, for each who may read it. Raises ArchiveError."""
    stanzas = b"".join(_stanza(file_key, secret, point) for secret, point in shares)
    header = b"%s\n%s---" % (_VERSION, stanzas)
    mac = hmac.digest(_derived(file_key, b"", b"header"), header, "sha256")
    return StreamKey(b"%s %s\n%s" % (header, _base64(mac), nonce), _derived(file_key, nonce, b"payload"))


class Sealer:
    """`count` chunks were made; `rest` is not yet known to be followed by anything, which the last chunk must not
    be. Whoever has both goes on where this stands."""

    def __init__(self, key: StreamKey, count: int = 0, rest: bytes = b"") -> None:
        self._key = key.secret
        self.count = count
        self.rest = rest

    def add(self, data: bytes) -> bytes:
        """The chunks that are full and followed by something."""
        made = bytearray()
        view = memoryview(data)
        while len(self.rest) + len(view) > CHUNK:
            room = CHUNK - len(self.rest)
            made += self._seal(self.rest + view[:room], last=False)
            self.rest, view = b"", view[room:]
        self.rest += view
        return bytes(made)

    def finish(self) -> bytes:
        """The last chunk, empty only in an empty stream."""
        return self._seal(self.rest, last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> bytes:
        nonce = self.count.to_bytes(11, "big") + bytes((last,))
        self.count += 1
        return encrypt(chunk, None, nonce, self._key)


def _stanza(file_key: bytes, secret: bytes, point: bytes) -> bytes:
    """The file key as only the holder of the identity to `point` can read it."""
    share = crypto_scalarmult_base(secret)
    try:
        shared = crypto_scalarmult(secret, point)
    except CryptoError as weak:
        raise ArchiveError(WRONG_KEY, "an age public key that everybody could decrypt with") from weak
    body = encrypt(file_key, None, bytes(12), _derived(shared, share + point, b"age-encryption.org/v1/X25519"))
    return b"-> X25519 %s\n%s\n" % (_base64(share), _base64(body))


def _derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF with SHA-256 (RFC 5869), of which one block is enough."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def _base64(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")


def _point(recipient: str) -> bytes:
    """The 32 bytes of an `age1...`: 52 symbols of five bits, then a checksum, which pyrage looks at."""
    text = recipient.strip()
    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as wrong:
        raise ArchiveError(WRONG_KEY, "no age public key") from wrong
    number = 0
    for symbol in text.lower().removeprefix("age1")[:52]:
        number = number << 5 | _BECH32.index(symbol)
    return (number >> 4).to_bytes(_KEY, "big")
