"""The hub's own TLS: its certificate and key, taken over while it serves when their files change.

Links stay; only new connections get the new certificate. Files that cannot be used change nothing, and are reported:
renewal tools write two files one after the other, and people write wrong ones."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import anyio

from certs import expiry, signing
from certs.bundle import AuthorityFileError, Bundle, read_bundle
from certs.folder import AUTHORITY
from certs.secret_file import SecretFileError, look_at
from certs.signing import MACHINE_URN
from hub.settings import Settings
from protocol.limits import MAX_AUTHORITY

logger = logging.getLogger("myrvm.tls")

EVERY_S: Final = 10.0
OFFER_EVERY_S: Final = 600.0
"""A machine that could not take a new authority over is offered it again."""

Mark = tuple[int, int, int]


class ServedCertificate(NamedTuple):
    """What browsers and machines are shown. `issuer`: its authority's name."""

    names: tuple[str, ...]
    issuer: str
    not_after: datetime
    fingerprint: str


class LoadedTls(NamedTuple):
    context: ssl.SSLContext
    served: ServedCertificate


TlsPart = Literal["certificate", "authority", "client_authority", "crl"]
"""What ends some day: the hub's certificate, its private authority, the authority of machines' certificates, the list
of revoked ones."""


class TlsWarning(NamedTuple):
    """`code`: PART_expired, PART_very_soon (7 days), PART_soon (30), or certificate_refused. `renew`: the command for
    it; "": the hub cannot know it."""

    code: str
    part: TlsPart
    since: datetime
    ends_at: datetime
    renew: str

    @property
    def is_urgent(self) -> bool:
        return not self.code.endswith("_soon") or self.code.endswith("_very_soon")


class HubTls:
    """`context` None: this hub speaks plain HTTP. `refused`: why the newest files are not in use; "": they are."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        """Raises OSError (also ssl.SSLError) for files that cannot be used."""
        self._settings = settings
        self._clock = clock
        self._marks: dict[Path, Mark] = {}  # Bound: the files of the settings
        self._wake = anyio.Event()
        self._warned: set[str] = set()  # Bound: one a part
        self.refused = ""
        self._refused_at = clock()
        self.ends: dict[TlsPart, datetime] = {}  # Bound: the four parts
        """When each part ends that these settings name."""
        self.on_offer: Callable[[], None] | None = None
        """Called when connected machines may lack the authority (`offer`)."""
        self.authority: Bundle | None = None
        """The private one that machines trust; None: a public one, or a proxy's."""
        self._loaded: LoadedTls | None = None
        self._marks = self._look_at_files()
        self._load()

    @property
    def context(self) -> ssl.SSLContext | None:
        return None if self._loaded is None else self._loaded.context

    @property
    def served(self) -> ServedCertificate | None:
        return None if self._loaded is None else self._loaded.served

    def warnings(self, now: datetime) -> list[TlsWarning]:
        """One a part at most, worst first."""
        found = [
            TlsWarning(f"{part}_{level}", part, expiry.since(ends, now), ends, self._renew(part))
            for part, ends in sorted(self.ends.items(), key=lambda pair: pair[1])
            if (level := expiry.expiry(ends, now))
        ]
        has_expired = any(one.code == "certificate_expired" for one in found)
        if self.refused and self.served is not None and not has_expired:
            others = [one for one in found if one.part != "certificate"]
            ends = self.served.not_after
            return [TlsWarning("certificate_refused", "certificate", self._refused_at, ends, ""), *others]
        return found

    def next_change(self, now: datetime) -> datetime | None:
        """When time alone changes the warnings."""
        moments = (expiry.next_change(ends, now) for ends in self.ends.values())
        return min((moment for moment in moments if moment is not None), default=None)

    def _renew(self, part: TlsPart) -> str:
        """For files that this product's own authority made, in its folder or copied from there."""
        cert = self._settings.tls_cert
        folder = f" --dir {cert.parent}" if cert is not None and (cert.parent / AUTHORITY).exists() else ""
        if part == "crl" or (part == "certificate" and self.authority is None and not folder):
            return ""
        return f"python3 -m certs {'renew hub' if part == 'certificate' else 'authority --next'}{folder}"

    def offer(self, hardware: Mapping[str, Any] | None) -> str | None:
        """The authority (PEM) for a machine that pins others; None: it has this one, or pins none."""
        has = pinned_by(hardware)
        if self.authority is None or has is None or len(self.authority.pem) > MAX_AUTHORITY:
            return None
        return None if has == list(self.authority.fingerprints) else self.authority.pem

    def look(self) -> bool:
        """Take changed files over; True when they are in use now. Nothing changes when they are wrong."""
        marks = self._look_at_files()
        if marks == self._marks:
            return False
        self._marks = marks
        try:
            self._load()
        except OSError as wrong:
            self.refused, self._refused_at = str(wrong), self._clock()
            logger.warning("the changed TLS files are not used, the hub goes on with those it has: %s", wrong)
            return False
        self.refused = ""
        if self.served is not None:
            names, until = ", ".join(self.served.names), self.served.not_after
            logger.info("a new certificate is in use, for %s, valid until %s", names, f"{until:%Y-%m-%d}")
        self._offer()
        return True

    def wake(self) -> None:
        """Look now (SIGHUP)."""
        self._wake.set()

    async def run(self) -> None:
        due = anyio.current_time() + OFFER_EVERY_S
        while True:
            self._warn()
            with anyio.move_on_after(EVERY_S):
                await self._wake.wait()
            self._wake = anyio.Event()
            if not self.look() and anyio.current_time() >= due:
                self._offer()
                due = anyio.current_time() + OFFER_EVERY_S

    def _offer(self) -> None:
        if self.on_offer is not None and self.authority is not None:
            self.on_offer()

    def _warn(self) -> None:
        """Once for each state."""
        found = self.warnings(self._clock())
        for one in found:
            if one.code not in self._warned and one.code != "certificate_refused":
                until, what = f"{one.ends_at:%Y-%m-%d %H:%M} UTC", one.part.replace("_", " ")
                logger.warning("the %s is valid until %s: renew it (%s)", what, until, one.renew or "where it is made")
        self._warned = {one.code for one in found}

    def _files(self) -> list[Path]:
        s = self._settings
        files = (s.tls_cert, s.tls_key, s.tls_authority, s.tls_client_authority, s.tls_client_crl)
        return [file for file in files if file is not None]

    def _look_at_files(self) -> dict[Path, Mark]:
        return {file: _mark(file) for file in self._files()}

    def _load(self) -> None:
        """All or nothing. Raises OSError."""
        authority = self._settings.tls_authority
        try:
            bundle = None if authority is None else read_bundle(authority)
            loaded = None if self._settings.tls_cert is None else load_tls(self._settings)
            ends = ends_of(self._settings, bundle, loaded)
        except (ValueError, AuthorityFileError, SecretFileError, signing.SigningError) as wrong:
            raise OSError(str(wrong)) from wrong
        self.authority, self._loaded, self.ends = bundle, loaded, ends


def ends_of(settings: Settings, authority: Bundle | None, loaded: LoadedTls | None) -> dict[TlsPart, datetime]:
    """Raises OSError, ValueError, AuthorityFileError, SigningError."""
    clients, crl = settings.tls_client_authority, settings.tls_client_crl
    found: dict[TlsPart, datetime | None] = {
        "certificate": None if loaded is None else loaded.served.not_after,
        "authority": None if authority is None else authority.ends_at,
        "client_authority": None if clients is None else read_bundle(clients).ends_at,
        "crl": None if crl is None else signing.lists_end(crl.read_bytes()),
    }
    return {part: ends for part, ends in found.items() if ends is not None}


def pinned_by(hardware: Mapping[str, Any] | None) -> list[Any] | None:
    """The fingerprints of authorities that a machine reported to pin; None: it pins none."""
    reported = (hardware or {}).get("hub_tls")
    if not isinstance(reported, dict) or reported.get("mode") != "pinned":
        return None
    has = reported.get("authorities")
    return has if isinstance(has, list) else []


def client_machine(transport: asyncio.BaseTransport) -> str | None:
    """The device_id in the certificate that this connection was verified by; "" in one that is no machine's; None:
    there was none."""
    shown = transport.get_extra_info("peercert")
    if not shown:
        return None
    uris = (value for kind, value in shown.get("subjectAltName", ()) if kind == "URI")
    return next((uri.removeprefix(MACHINE_URN) for uri in uris if uri.startswith(MACHINE_URN)), "")


def _mark(file: Path) -> Mark:
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def load_tls(settings: Settings) -> LoadedTls:
    """TLS 1.2 and newer. Raises OSError, AuthorityFileError, SecretFileError, SigningError."""
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None or key is None:
        raise OSError("certificate and key belong together")
    look_at(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key, lambda: "")  # an encrypted key is refused, never asked for at a terminal
    if settings.tls_client_authority is not None:
        context.load_verify_locations(cadata=read_bundle(settings.tls_client_authority).pem)
        context.verify_mode = ssl.CERT_OPTIONAL  # browsers have none; who must have one is decided with its key
        if settings.tls_client_crl is not None:
            context.load_verify_locations(cafile=settings.tls_client_crl)
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    own = signing.read_certificates(cert.read_bytes())[0]
    names = tuple(signing.names_of(own)) or (signing.common_name(own),)
    issuer = own.issuer.rfc4514_string().rpartition("CN=")[2]
    return LoadedTls(context, ServedCertificate(names, issuer, own.not_valid_after_utc, signing.fingerprint_of(own)))
