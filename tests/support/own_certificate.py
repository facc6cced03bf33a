"""A certificate for 127.0.0.1, made with openssl for one test."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


class OwnCertificate(NamedTuple):
    cert: Path
    key: Path

    def trusted(self) -> ssl.SSLContext:
        """What a client uses who trusts it and nobody else."""
        return ssl.create_default_context(cafile=str(self.cert))


async def own_certificate(folder: Path) -> OwnCertificate:
    cert, key = folder / "cert.pem", folder / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=hub"
    words = [*make.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    await asyncio.to_thread(subprocess.run, words, check=True, capture_output=True)
    return OwnCertificate(cert, key)
