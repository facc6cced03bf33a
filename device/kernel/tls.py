"""The TLS of outgoing connections: they verify always, with one concession to an impossible clock.

A machine without a battery boots in 1970, when no certificate is valid. While its clock shows a day before this
agent was written, validity dates are not checked; name and chain are. There is no switch to skip verification."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from certs.bundle import AuthorityFileError, Bundle, first_ends_at, parse_bundle, read_bundle
from device.kernel import state_file

WRITTEN: Final = datetime(2026, 11, 1, tzinfo=timezone.utc).timestamp()
_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME; Python has no name for it."""
AUTHORITY_PATH: Final = "/api/v2/authority"
MAX_ANSWER: Final = 256 * 1024


def clock_is_impossible() -> bool:
    return time.time() < WRITTEN


def context(authorities: str = "") -> ssl.SSLContext:
    """Trusts these certificates (PEM) and no others; "": the system's authorities."""
    made = ssl.create_default_context(cadata=authorities or None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if clock_is_impossible():
        made.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return made


class AdoptedAuthority(msgspec.Struct, frozen=True, kw_only=True):
    """Counts while the machine's own file holds `instead_of`."""

    instead_of: str
    pem: str


class HubTrust(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a machine takes for its hub, and how it proves itself: paths of PEM files, "" for none. Read for each
    connection, so that an exchanged file counts."""

    authorities: str = ""
    certificate: str = ""
    key: str = ""
    adopted: str = ""
    """In the state folder: authorities that the hub gave instead of that file's (`adopt`)."""

    @property
    def mode(self) -> str:
        return "pinned" if self.authorities else "public"

    def bundle(self) -> Bundle | None:
        """None: the system's authorities. Raises AuthorityFileError."""
        if not self.authorities:
            return None
        own = read_bundle(Path(self.authorities))
        kept = state_file.read_value(Path(self.adopted), AdoptedAuthority) if self.adopted else None
        # Whoever writes another file means it: what was given instead of the former one is over.
        return own if kept is None or kept.instead_of != own.pem else parse_bundle(kept.pem)

    def certificate_ends_at(self) -> datetime | None:
        """Of the machine's own certificate; None: it has none. Raises OSError, ValueError."""
        return first_ends_at(Path(self.certificate).read_text("ascii", "replace")) if self.certificate else None

    def context(self, instead: str = "") -> ssl.SSLContext:
        """`instead`: authorities (PEM) in place of the files'. Raises OSError (ssl.SSLError is one): never a context
        that trusts more than the files say."""
        try:
            pinned = None if instead else self.bundle()
        except AuthorityFileError as wrong:
            raise OSError(f"hub_ca: {wrong}") from wrong
        made = context(instead or (pinned.pem if pinned else ""))
        if self.certificate:
            made.load_cert_chain(self.certificate, self.key, lambda: "")  # never asks at a terminal
        return made


def adopt(trust: HubTrust, base_url: str, pem: str, timeout: float) -> Bundle | None:
    """Trust these authorities from the hub instead of the pinned ones, once they verify the hub itself; None: they are
    trusted already. Blocks. Raises OSError, and changes nothing then."""
    try:
        own, wanted, held = read_bundle(Path(trust.authorities)), parse_bundle(pem), trust.bundle()
    except AuthorityFileError as wrong:
        raise OSError(f"the hub's authority: {wrong}") from wrong
    if wanted == held:
        return None
    parts = urlsplit(base_url)
    made = HubTrust(certificate=trust.certificate, key=trust.key).context(wanted.pem)
    with (
        socket.create_connection((parts.hostname or "", parts.port or 443), timeout) as raw,
        made.wrap_socket(raw, server_hostname=parts.hostname),
    ):
        """Verified: a wrong one would lock this machine out."""
    state_file.write_value(Path(trust.adopted), AdoptedAuthority(instead_of=own.pem, pem=wanted.pem))
    return wanted


NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
OLD_TLS: Final = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"})
_VERIFICATION: Final = {9: "early", 10: "expired", 62: "name", 64: "name"}
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH."""


def fault(error: OSError) -> str:
    """Why a connection was refused by us, or by the hub: authority, name, expired, early, none (no TLS at all), old
    (TLS before 1.2), client (our certificate), else other."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFICATION.get(error.verify_code, "authority")
    reason = getattr(error, "reason", None) or ""
    if reason in NO_TLS:
        return "none"
    if reason in OLD_TLS:
        return "old"
    return "client" if "CERTIFICATE" in reason and "ALERT" in reason else "other"


def fetch_authority(base_url: str, wanted: str, timeout: float) -> str:
    """The hub's own authority (PEM), known by its fingerprint. Sends nothing secret: a first connection asks without
    trust and keeps only the certificate of that fingerprint, a second one must be verified by it. Blocks. Raises
    OSError."""
    wanted = wanted.replace(":", "").strip().lower()
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    for pem in _offered(base_url, blind, timeout):
        try:
            found = parse_bundle(pem)
        except AuthorityFileError:
            continue
        if found.fingerprints == (wanted,):
            _offered(base_url, context(found.pem), timeout)
            return found.pem
    raise OSError("the hub does not offer the authority with this fingerprint")


def _offered(base_url: str, trust: ssl.SSLContext, timeout: float) -> list[str]:
    """Each certificate alone."""
    parts = urlsplit(base_url)
    if parts.scheme != "https" or not parts.hostname:
        raise OSError("an authority is fetched by https only")
    connection = http.client.HTTPSConnection(parts.hostname, parts.port or 443, timeout=timeout, context=trust)
    try:
        connection.request("GET", parts.path.rstrip("/") + AUTHORITY_PATH, headers={"Accept": "application/json"})
        content = json.loads(connection.getresponse().read(MAX_ANSWER) or b"{}")
        pem = str(content["data"]["certificates"] or "")
    except (http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OSError("the hub does not say its authority") from error
    finally:
        connection.close()
    end = "-----END CERTIFICATE-----"
    return [part + end for part in pem.split(end)[:-1]]
