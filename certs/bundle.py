"""Certificates of authorities in one PEM file: whom somebody trusts, or hands out. Standard library only."""

from __future__ import annotations

import hashlib
import re
import ssl
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from certs.expiry import ends_at
from certs.secret_file import read_guarded

MAX_CERTIFICATES: Final = 8
"""Two of each of a few authorities while one is exchanged."""
WRITABLE: Final = 0o022
"""Rights of others to write: who may exchange an authority may play the hub."""
_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_PRIVATE: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


class AuthorityFileError(Exception):
    """`code`: missing, unreadable, folder, writable, long, private (a private key is in it), empty (no certificate),
    many, damaged. `why`: the system's word."""

    def __init__(self, code: str, path: Path | None = None, why: str = "") -> None:
        super().__init__(f"{path or 'certificates'}: {code}{why and f' ({why})'}")
        self.code = code
        self.path = path
        self.why = why


class Bundle(NamedTuple):
    """`pem` is normalised; `fingerprints`: SHA-256 of each certificate, 64 hexadecimal digits."""

    pem: str
    fingerprints: tuple[str, ...]

    @property
    def ends_at(self) -> datetime:
        """When the last of them ends: until then somebody is trusted. Raises ValueError."""
        return max(ends_at(_der(pem)) for pem in _CERTIFICATE.findall(self.pem))


def fingerprint(certificate: bytes) -> str:
    """Of a DER certificate, as this product writes it."""
    return hashlib.sha256(certificate).hexdigest()


def parse_bundle(text: str, path: Path | None = None) -> Bundle:
    """Each certificate once, in order. Raises AuthorityFileError."""
    if _PRIVATE.search(text):
        raise AuthorityFileError("private", path)
    found = list(dict.fromkeys(map(_der, _CERTIFICATE.findall(text))))
    if not found:
        raise AuthorityFileError("empty", path)
    if len(found) > MAX_CERTIFICATES:
        raise AuthorityFileError("many", path)
    pem = "".join(map(ssl.DER_cert_to_PEM_cert, found))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except ssl.SSLError as error:
        raise AuthorityFileError("damaged", path, error.reason or str(error)) from error
    return Bundle(pem, tuple(map(fingerprint, found)))


def first_ends_at(text: str) -> datetime:
    """Of the file's own certificate, as servers and machines show it; keys beside it are not looked at. Raises
    ValueError."""
    found = _CERTIFICATE.search(text)
    return ends_at(_der(found[0]) if found else b"")


def _der(pem: str) -> bytes:
    """Not decodable becomes nothing, which no certificate is."""
    try:
        return ssl.PEM_cert_to_DER_cert(pem)
    except ValueError:
        return b"\x00"


def read_bundle(path: Path) -> Bundle:
    """Raises AuthorityFileError, also for a file that others may write."""
    content = read_guarded(path, WRITABLE, "writable", AuthorityFileError)
    return parse_bundle(content.decode("ascii", "replace"), path)
