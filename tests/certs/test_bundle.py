"""A file of authorities: whom it names, and each way in which it is refused."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest

from certs.bundle import MAX_CERTIFICATES, AuthorityFileError, parse_bundle, read_bundle
from certs.secret_file import MOST
from tests.support.certificates import TestAuthority


def test_each_certificate_once_in_order_and_nothing_between_them(tmp_path: Path) -> None:
    one, two = (TestAuthority(tmp_path / name) for name in "ab")
    found = parse_bundle((b"# ours\n" + one.pem + b"\r\nnote\r\n" + two.pem + one.pem).decode())
    expected = [hashlib.sha256(ssl.PEM_cert_to_DER_cert(each.pem.decode())).hexdigest() for each in (one, two)]
    assert list(found.fingerprints) == expected
    assert "note" not in found.pem
    assert parse_bundle(found.pem) == found


def test_it_is_refused_with_a_code(tmp_path: Path) -> None:
    authority, file = TestAuthority(tmp_path / "own"), tmp_path / "ca.crt"

    def code(content: bytes, mode: int = 0o644) -> str:
        file.write_bytes(content)
        file.chmod(mode)
        with pytest.raises(AuthorityFileError) as refused:
            read_bundle(file)
        assert refused.value.path == file
        return refused.value.code

    pem = authority.pem
    assert code(pem, 0o664) == "writable"
    assert code(pem, 0o646) == "writable"
    assert code(b"") == code(b"\xff\xfe nothing \x00") == "empty"
    assert code(authority.hub().read_bytes()) == "private"
    assert code(pem + b"x" * MOST) == "long"
    assert code(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") == "damaged"
    assert code(b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n") == "damaged"
    many = [TestAuthority(tmp_path / str(number)).pem for number in range(MAX_CERTIFICATES + 1)]
    assert code(b"".join(many)) == "many"
    file.write_bytes(b"".join(many[1:]))
    assert len(read_bundle(file).fingerprints) == MAX_CERTIFICATES
    file.unlink()
    with pytest.raises(AuthorityFileError, match="missing"):
        read_bundle(file)
    with pytest.raises(AuthorityFileError, match="folder"):
        read_bundle(tmp_path)
