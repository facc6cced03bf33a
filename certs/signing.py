"""Makes and reads certificates: a private authority (ECDSA P-256), what it signs, its list of revoked ones. Values and
`now` in, values out: no file, no clock. Needs cryptography, which the agent does not have."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import expiry
from certs.bundle import fingerprint

AUTHORITY_DAYS: Final = 3650
HUB_DAYS: Final = 90
CLIENT_DAYS: Final = 365
EARLIER: Final = timedelta(hours=1)
"""A clock may be behind by so much and still take a new certificate."""
MACHINE_URN: Final = "urn:myrvm:machine:"
"""Before the machine's device_id in the certificate's alternative names."""
MAX_NAMES: Final = 50
_NAME: Final = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z", re.A)
_MACHINE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z", re.A)


class SigningError(Exception):
    """`code`: wrong_name (a hub's), wrong_machine, many_names, no_names, passphrase (missing or wrong), damaged,
    no_pair (key and certificate belong to different pairs), kind (no key of ours), over (the authority has expired)."""

    def __init__(self, code: str, value: str = "") -> None:
        super().__init__(f"{code} {value}".rstrip())
        self.code = code
        self.value = value


class CertifiedKey(NamedTuple):
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def name(self) -> str:
        return common_name(self.certificate)


def new_authority(name: str, days: int, now: datetime) -> CertifiedKey:
    key, subject = ec.generate_private_key(ec.SECP256R1()), _subject(name)
    builder = _builder(subject, subject, key, now, now + timedelta(days=days))
    made = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return CertifiedKey(key, made)


def issue_hub(authority: CertifiedKey, names: Sequence[str], days: int, now: datetime) -> CertifiedKey:
    """For names and addresses, as browsers and machines write them. Raises SigningError."""
    if not names:
        raise SigningError("no_names")
    if len(names) > MAX_NAMES:
        raise SigningError("many_names")
    alternatives = list(dict.fromkeys(map(_alternative, names)))
    return _issue(authority, names[0].lower(), alternatives, ExtendedKeyUsageOID.SERVER_AUTH, days, now)


def issue_client(authority: CertifiedKey, machine: str, days: int, now: datetime) -> CertifiedKey:
    """For a machine's device_id. Raises SigningError."""
    if not _MACHINE.match(machine):
        raise SigningError("wrong_machine", machine)
    urn = x509.UniformResourceIdentifier(MACHINE_URN + machine)
    return _issue(authority, machine, [urn], ExtendedKeyUsageOID.CLIENT_AUTH, days, now)


def revocation_list(authority: CertifiedKey, revoked: Mapping[int, datetime], number: int, now: datetime) -> bytes:
    """PEM. It lasts as long as the authority: a list that ran out would keep every machine out."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - EARLIER)
        .next_update(authority.certificate.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    for serial, at in revoked.items():
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pem_of(identity: CertifiedKey, *chain: x509.Certificate, passphrase: bytes | None = None) -> bytes:
    """Key, certificate and its chain in one file, so that they are exchanged together."""
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    key = identity.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return key + certificates_pem(identity.certificate, *chain)


def certificates_pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def read_identity(content: bytes, passphrase: bytes | None = None) -> CertifiedKey:
    """From what `pem_of` writes. Raises SigningError."""
    key = _read_key(content, passphrase)
    certificate = read_certificates(content)[0]
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SigningError("kind")
    if key.public_key() != certificate.public_key():
        raise SigningError("no_pair")
    return CertifiedKey(key, certificate)


def is_encrypted(content: bytes) -> bool:
    return b"BEGIN ENCRYPTED PRIVATE KEY" in content


def read_certificates(content: bytes) -> list[x509.Certificate]:
    """At least one, the first the file's own. Raises SigningError."""
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise SigningError("damaged", str(error)) from error


def _read_key(content: bytes, passphrase: bytes | None) -> PrivateKeyTypes:
    if is_encrypted(content) and passphrase is None:
        raise SigningError("passphrase")
    try:
        return serialization.load_pem_private_key(content, passphrase if is_encrypted(content) else None)
    except ValueError as error:
        raise SigningError("passphrase" if is_encrypted(content) else "damaged") from error


def lists_end(content: bytes) -> datetime | None:
    """When the first of these lists of revoked certificates (PEM) is out of date; None: never. Raises SigningError."""
    end = b"-----END X509 CRL-----"
    try:
        found = [x509.load_pem_x509_crl(part + end) for part in content.split(end)[:-1]]
    except ValueError as error:
        raise SigningError("damaged", str(error)) from error
    return min((each.next_update_utc for each in found if each.next_update_utc is not None), default=None)


def common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def names_of(certificate: x509.Certificate) -> list[str]:
    """Names and addresses, without what a machine's certificate has instead."""
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*held.get_values_for_type(x509.DNSName), *map(str, held.get_values_for_type(x509.IPAddress))]


def fingerprint_of(certificate: x509.Certificate) -> str:
    return fingerprint(certificate.public_bytes(serialization.Encoding.DER))


def days_left(certificate: x509.Certificate, now: datetime) -> int:
    """Whole days; negative when it has expired."""
    return expiry.days_left(certificate.not_valid_after_utc, now)


def _issue(
    authority: CertifiedKey, name: str, alternatives: Sequence[x509.GeneralName], use: x509.ObjectIdentifier, days: int,
    now: datetime,
) -> CertifiedKey:  # fmt: skip
    issuer = authority.certificate
    ends = min(now + timedelta(days=days), issuer.not_valid_after_utc)
    if ends <= now:
        raise SigningError("over")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject(name), issuer.subject, key, now, ends)
    made = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return CertifiedKey(key, made)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before((now - EARLIER).replace(microsecond=0))
        .not_valid_after(ends.replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        if not _NAME.match(name.lower()) or len(name) > 253 or name.replace(".", "").isdigit():
            raise SigningError("wrong_name", name) from None
        return x509.DNSName(name.lower())
