"""What `python3 -m certs` does with a folder: makes, renews, revokes, shows. Results on stdout, the rest on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from certs import signing
from certs.folder import (
    AUTHORITY,
    CLIENTS,
    HUB,
    NEXT,
    OLD,
    REVOKED,
    TRUSTED,
    AuthorityFolder,
    FolderError,
    Issued,
)
from certs.signing import CertifiedKey, SigningError
from certs.words import CertsError, ExitCode, failure, passphrase, sentence

Shown = dict[str, Any]
AUTHORITIES: Final = (AUTHORITY, NEXT, OLD)


def run(wanted: argparse.Namespace) -> int:
    verbs: Mapping[str, Callable[[argparse.Namespace, datetime], None]] = {
        "authority": authority, "hub": hub, "client": client, "renew": renew, "revoke": revoke, "show": show,
    }  # fmt: skip
    try:
        verbs[wanted.verb](wanted, datetime.now(timezone.utc))
    except CertsError as error:
        return failure(error, as_json=wanted.json)
    except SigningError as error:
        return failure(_signing(error), as_json=wanted.json)
    except FolderError as error:
        code = ExitCode.CONFLICT if error.code == "busy" else ExitCode.CONFIGURATION
        return failure(CertsError(code, f"folder_{error.code}", file=error.path, why=error.why), as_json=wanted.json)
    except OSError as error:  # what is read before the folder is held
        values = {"file": error.filename or wanted.dir, "why": error.strerror or error}
        return failure(CertsError(ExitCode.CONFIGURATION, "folder_unwritable", **values), as_json=wanted.json)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    return int(ExitCode.OK)


def _signing(error: SigningError) -> CertsError:
    usage = ("wrong_name", "wrong_machine", "many_names", "no_names")
    return CertsError(ExitCode.USAGE if error.code in usage else ExitCode.CONFIGURATION, error.code, value=error.value)


class OpenAuthority:
    """A held folder with its unlocked authorities."""

    def __init__(self, folder: AuthorityFolder, secret: bytes | None, now: datetime) -> None:
        self.folder = folder
        self.secret = secret
        self.now = now

    def authority(self, name: str = AUTHORITY) -> CertifiedKey | None:
        content = self.folder.read(name)
        return None if content is None else signing.read_identity(content, self.secret)

    def signer(self) -> CertifiedKey:
        found = self.authority()
        if found is None:
            raise CertsError(ExitCode.NOT_FOUND, "no_authority", folder=self.folder.path)
        return found

    def issue(self, kind: str, name: str, file: str, made: CertifiedKey) -> Shown:
        """Noted before it is there: a certificate that counts is always known here."""
        signer = self.signer().certificate
        entry = Issued(
            serial=made.certificate.serial_number, kind=kind, name=name, file=file,
            not_after=_instant(made.certificate.not_valid_after_utc), authority=signing.fingerprint_of(signer),
            names=signing.names_of(made.certificate),
        )  # fmt: skip
        self.folder.note([*self.folder.issued(), entry], self.now)
        self.folder.write(file, signing.pem_of(made, signer))
        return describe(made.certificate, self.now, kind=kind, file=str(self.folder.path / file))

    def write_trusted(self, *names: str) -> None:
        """What machines trust: the certificates of these authorities."""
        found = [each.certificate for each in map(self.authority, names) if each is not None]
        self.folder.write(TRUSTED, signing.certificates_pem(*dict.fromkeys(found)))

    def write_revoked(self) -> None:
        """A list of each authority: who checks by lists refuses what has none."""
        lists: dict[str, bytes] = {}
        for each in filter(None, map(self.authority, AUTHORITIES)):
            print_ = signing.fingerprint_of(each.certificate)
            revoked = {
                entry.serial: datetime.fromisoformat(entry.revoked_at.replace("Z", "+00:00"))
                for entry in self.folder.issued()
                if entry.revoked_at is not None and entry.authority == print_
            }
            lists[print_] = signing.revocation_list(each, revoked, int(self.now.timestamp()), self.now)
        self.folder.write(REVOKED, b"".join(lists.values()))


def _workshop(wanted: argparse.Namespace, now: datetime, *, is_new: bool = False) -> OpenAuthority:
    folder = AuthorityFolder(wanted.dir)
    secret = passphrase(wanted, is_new=is_new)
    if secret is None and not is_new and signing.is_encrypted(folder.read(AUTHORITY) or b""):
        if not sys.stdin.isatty():
            raise SigningError("passphrase")
        wanted.passphrase = True
        secret = passphrase(wanted)
    return OpenAuthority(folder, secret, now)


def authority(wanted: argparse.Namespace, now: datetime) -> None:
    is_first = not (wanted.next or wanted.switch or wanted.drop_old)
    shop = _workshop(wanted, now, is_new=is_first)
    with shop.folder.held():
        if is_first:
            _first_authority(shop, wanted)
        elif wanted.next:
            _next_authority(shop, wanted)
        elif wanted.switch:
            _switch(shop)
        else:
            _drop_old(shop)
        _answer(wanted, "authority", _authorities(shop.folder, now))


def _first_authority(shop: OpenAuthority, wanted: argparse.Namespace) -> None:
    if shop.folder.read(AUTHORITY) is not None:
        raise CertsError(ExitCode.CONFLICT, "authority_exists", file=shop.folder.path / AUTHORITY)
    made = signing.new_authority(wanted.name, wanted.days, shop.now)
    shop.folder.write(AUTHORITY, signing.pem_of(made, passphrase=shop.secret))
    shop.write_trusted(AUTHORITY)
    shop.write_revoked()


def _next_authority(shop: OpenAuthority, wanted: argparse.Namespace) -> None:
    """Beside the one that signs: machines learn to trust it before anything is signed by it."""
    shop.signer()
    if shop.folder.read(NEXT) is None:
        made = signing.new_authority(wanted.name, wanted.days, shop.now)
        shop.folder.write(NEXT, signing.pem_of(made, passphrase=shop.secret))
    shop.write_revoked()
    shop.write_trusted(*AUTHORITIES)


def _switch(shop: OpenAuthority) -> None:
    """The next one signs from now on; what the old one signed counts until it is dropped."""
    current, coming = shop.signer(), shop.authority(NEXT)
    if coming is None and shop.authority(OLD) is None:
        raise CertsError(ExitCode.NOT_FOUND, "no_next", folder=shop.folder.path)
    if coming is not None:
        shop.folder.write(OLD, signing.pem_of(current, passphrase=shop.secret))
        shop.folder.rename(NEXT, AUTHORITY)
    shop.write_revoked()
    shop.write_trusted(*AUTHORITIES)


def _drop_old(shop: OpenAuthority) -> None:
    shop.signer()
    hub_pem = shop.folder.read(HUB)
    if hub_pem is not None and shop.folder.read(OLD) is not None and not _is_of(hub_pem, shop.signer()):
        raise CertsError(ExitCode.CONFLICT, "hub_is_old")
    shop.write_trusted(AUTHORITY, NEXT)
    shop.folder.remove(OLD)
    shop.write_revoked()


def _is_of(content: bytes, signer: CertifiedKey) -> bool:
    """Whether this authority's key signed the first certificate."""
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()).key_identifier
    try:
        held = signing.read_certificates(content)[0].extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return False
    return held.value.key_identifier == key_id


def hub(wanted: argparse.Namespace, now: datetime) -> None:
    shop = _workshop(wanted, now)
    with shop.folder.held():
        made = signing.issue_hub(shop.signer(), wanted.names, wanted.days, now)
        _answer(wanted, "hub", [shop.issue("hub", made.name, HUB, made)])


def client(wanted: argparse.Namespace, now: datetime) -> None:
    shop = _workshop(wanted, now)
    with shop.folder.held():
        signer = shop.signer()
        made = [(name, signing.issue_client(signer, name, wanted.days, now)) for name in wanted.machines]
        _answer(wanted, "clients", [shop.issue("client", name, _file_of(name), each) for name, each in made])


def _file_of(machine: str) -> str:
    return f"{CLIENTS}/{machine}.pem"


def renew(wanted: argparse.Namespace, now: datetime) -> None:
    """A new key and certificate for the same names and as many days; the old one counts until it expires."""
    shop = _workshop(wanted, now)
    with shop.folder.held():
        signer = shop.signer()
        held = {_short(file): file for file in _files(shop.folder)}
        for name in wanted.which:
            if name not in held:
                raise CertsError(ExitCode.NOT_FOUND, "no_certificate", value=name)
        revoked = shop.folder.revoked_serials()
        shown = []
        for name, file in held.items():
            old = signing.read_certificates((shop.folder.path / file).read_bytes())[0]
            is_due = signing.days_left(old, now) < wanted.within or not _is_of_certificate(old, signer)
            is_shut_out = file != HUB and old.serial_number in revoked  # a timer lets no machine in again
            if name in wanted.which or (not wanted.which and is_due and not is_shut_out):
                shown.append(_renewed(shop, file, old))
        _answer(wanted, "renewed", shown)


def _is_of_certificate(certificate: x509.Certificate, signer: CertifiedKey) -> bool:
    return _is_of(signing.certificates_pem(certificate), signer)


def _renewed(shop: OpenAuthority, file: str, old: x509.Certificate) -> Shown:
    days = max(1, round((old.not_valid_after_utc - old.not_valid_before_utc).total_seconds() / 86400))
    if file == HUB:
        made = signing.issue_hub(shop.signer(), signing.names_of(old), days, shop.now)
        return shop.issue("hub", made.name, file, made)
    name = signing.common_name(old)
    return shop.issue("client", name, file, signing.issue_client(shop.signer(), name, days, shop.now))


def revoke(wanted: argparse.Namespace, now: datetime) -> None:
    """All that was ever signed for a machine (or `hub`), or one by its serial number."""
    shop = _workshop(wanted, now)
    with shop.folder.held():
        shop.signer()
        issued, chosen = shop.folder.issued(), set[int]()
        for which in wanted.which:
            found = {each.serial for each in issued if which in (each.name, f"{each.serial:x}", _short(each.file))}
            if not found:
                raise CertsError(ExitCode.NOT_FOUND, "no_certificate", value=which)
            chosen |= found
        at = _instant(now)
        changed = [
            replace(each, revoked_at=at) if each.serial in chosen and each.revoked_at is None else each
            for each in issued
        ]
        shop.folder.note(changed, now)
        shop.write_revoked()
        shown = [{"name": each.name, "serial": f"{each.serial:x}"} for each in changed if each.serial in chosen]
        _answer(wanted, "revoked", shown)


def show(wanted: argparse.Namespace, now: datetime) -> None:
    if wanted.file is not None:
        try:
            found = signing.read_certificates(wanted.file.read_bytes())
        except OSError as error:
            raise CertsError(ExitCode.NOT_FOUND, "no_file", file=wanted.file, why=error.strerror or error) from error
        _answer(wanted, "certificates", [describe(each, now, kind="file", file=str(wanted.file)) for each in found])
        return
    folder = AuthorityFolder(wanted.dir)
    if folder.read(AUTHORITY) is None:
        raise CertsError(ExitCode.NOT_FOUND, "no_authority", folder=wanted.dir)
    revoked = folder.revoked_serials()
    shown = _authorities(folder, now)
    for file in _files(folder):
        certificate = signing.read_certificates((folder.path / file).read_bytes())[0]
        kind = "hub" if file == HUB else "client"
        shown.append(
            describe(certificate, now, kind=kind, file=str(folder.path / file))
            | {"revoked": certificate.serial_number in revoked}
        )
    _answer(wanted, "certificates", shown)


def _authorities(folder: AuthorityFolder, now: datetime) -> list[Shown]:
    """By their certificates: no passphrase is needed to look."""
    return [
        describe(signing.read_certificates(content)[0], now, kind="authority", file=str(folder.path / name))
        for name in AUTHORITIES
        if (content := folder.read(name)) is not None
    ]


def _files(folder: AuthorityFolder) -> Iterator[str]:
    if (folder.path / HUB).exists():
        yield HUB
    yield from (f"{CLIENTS}/{path.name}" for path in sorted((folder.path / CLIENTS).glob("[!.]*.pem")))


def _short(file: str) -> str:
    """What people call it: `hub`, or the machine."""
    return Path(file).name.removesuffix(".pem")


def describe(certificate: x509.Certificate, now: datetime, *, kind: str, file: str) -> Shown:
    return {
        "kind": kind, "name": signing.common_name(certificate), "names": signing.names_of(certificate),
        "serial": f"{certificate.serial_number:x}", "fingerprint": signing.fingerprint_of(certificate),
        "not_before": _instant(certificate.not_valid_before_utc),
        "not_after": _instant(certificate.not_valid_after_utc), "days_left": signing.days_left(certificate, now),
        "file": file,
    }  # fmt: skip


def _instant(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _answer(wanted: argparse.Namespace, name: str, shown: list[Shown]) -> None:
    if wanted.json:
        print(json.dumps({name: shown}))
        return
    if not shown:
        print(sentence("nothing"))
    for each in shown:
        print(_line(each))


def _line(each: Shown) -> str:
    if "kind" not in each:
        return sentence("line.revoked", name=each["name"], serial=each["serial"])
    key = "line.expired" if each["days_left"] < 0 else "line"
    names = ", ".join(each["names"]) or each["name"]
    words = sentence(
        key, kind=sentence(f"kind.{each['kind']}"), names=names, until=each["not_after"][:10], file=each["file"],
        count=each["days_left"],
    )  # fmt: skip
    more = [sentence("line.fingerprint", fingerprint=each["fingerprint"])] if each["kind"] == "authority" else []
    more += [sentence("line.is_revoked")] if each.get("revoked") else []
    return "\n".join([words, *(f"  {extra}" for extra in more)])
