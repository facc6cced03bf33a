"""What only the hub has: settings as `RVM_*` in one file, certificate and key, the folder of its nightly backups."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from installer import service
from installer.plan import HUB, read
from installer.steps import ROOT, InstallError, Step, file, folder

FILE: Final = HUB.settings / "hub.env"
TLS: Final = HUB.settings / "tls"
AUTHORITY: Final = TLS / "authority.crt"
FLAGS: Final = ("host", "port", "public_url", "base_path", "behind_proxy", "admin_email")
"""Settings that the command line takes over into the file."""
BACKUPS: Final = Path("/var/backups/myrvm-hub")
_ODD: Final = frozenset('"\\$`\n\r\0')
_HEAD: Final = (
    "# Settings of the hub, as RVM_NAME=value (run_hub.py --help names them).\n"
    "# After a change: systemctl restart myrvm-hub\n"
)


def settings(wanted: argparse.Namespace) -> list[Step]:
    """Of the settings' folder; what the file has and nobody names stays."""
    given = {f"RVM_{name.upper()}": getattr(wanted, name) for name in FLAGS if getattr(wanted, name) is not None}
    steps: list[Step] = []
    if wanted.tls_cert is not None and wanted.tls_key is not None:
        held = (ROOT[0], HUB.user)
        steps = [
            folder(TLS, 0o750, held),
            file(TLS / "key.pem", read(wanted.tls_key), 0o640, held),
            file(TLS / "cert.pem", read(wanted.tls_cert), 0o640, held),  # `certs` makes one file of key and certificate
        ]
        given |= {"RVM_TLS_CERT": str(TLS / "cert.pem"), "RVM_TLS_KEY": str(TLS / "key.pem")}
    elif wanted.tls_cert is not None or wanted.tls_key is not None:
        raise InstallError("half_tls", 2)
    if wanted.tls_authority is not None:
        steps += [
            folder(TLS, 0o750, (ROOT[0], HUB.user)),
            file(AUTHORITY, _authority(wanted.tls_authority), 0o644),
        ]
        given["RVM_TLS_AUTHORITY"] = str(AUTHORITY)
    backups = BACKUPS
    if wanted.backup_dir is not None:
        backups = wanted.backup_dir.absolute()
        given["MYRVM_BACKUP_DIR"] = str(backups)
    if wanted.backup_days is not None:
        given["MYRVM_BACKUP_DAYS"] = str(wanted.backup_days)
    text = merged(read(FILE).decode() if FILE.exists() else _HEAD, given)
    return [*steps, folder(backups, 0o700, HUB.owner), _read_anew(file(FILE, text.encode(), 0o600))]


def _read_anew(written: Step) -> Step:
    """A running hub reads its settings at its start: it is stopped, and the installation starts it again."""

    def exchange() -> None:
        written.do()
        stop = service.stopped(HUB.service)
        if not stop.is_done():
            stop.do()

    return written._replace(do=exchange)


def _authority(path: Path) -> bytes:
    """Everybody may read it, so it has to be without its key."""
    found = read(path)
    if b"PRIVATE KEY" in found:
        raise InstallError("authority_key", 3, path=path)
    return found


def merged(text: str, given: Mapping[str, str]) -> str:
    """Each named once, at its old place where it has one."""
    for name, value in given.items():
        if _ODD & set(value):
            raise InstallError("odd_value", 2, name=name)
    lines, left = [], dict(given)
    for line in text.splitlines():
        name = line.split("=", 1)[0].strip() if "=" in line else ""
        lines.append(f'{name}="{left.pop(name)}"' if name in left else line)
    return "\n".join([*lines, *(f'{name}="{value}"' for name, value in left.items())]) + "\n"
