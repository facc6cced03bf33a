"""Authorities and certificates for one test, made by the product's own signing."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

from certs import signing
from certs.signing import CertifiedKey


class TestAuthority:
    """Makes files below `folder`; `crt` is what clients trust."""

    __test__ = False

    def __init__(self, folder: Path, name: str = "Test", now: datetime | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.now = now or datetime.now(timezone.utc)
        self.identity = signing.new_authority(name, 3650, self.now - timedelta(days=1000))
        self.crt = folder / "authority.crt"
        self.crt.write_bytes(self.pem)
        self.crt.chmod(0o644)

    @property
    def pem(self) -> bytes:
        return signing.certificates_pem(self.identity.certificate)

    def hub(self, *names: str, days: int = 90, ago: int = 0, file: str = "hub.pem") -> Path:
        made = signing.issue_hub(self.identity, names or ("127.0.0.1", "localhost"), days, self._ago(ago))
        return self._file(file, made)

    def client(self, machine: str, days: int = 90, ago: int = 0) -> Path:
        made = signing.issue_client(self.identity, machine, days, self._ago(ago))
        return self._file(f"{machine}.pem", made)

    def _ago(self, days: int) -> datetime:
        return self.now - timedelta(days=days)

    def _file(self, name: str, made: CertifiedKey) -> Path:
        path = self.folder / name
        path.write_bytes(signing.pem_of(made, self.identity.certificate))
        path.chmod(0o600)
        return path


def server_context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
