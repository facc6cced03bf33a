"""`python3 -m certs`: what each verb makes, what it refuses and with which fix, and a kill at each of its steps."""

from __future__ import annotations

import contextlib
import io
import json
import os
import ssl
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from certs import signing
from certs.bundle import read_bundle
from certs.folder import AUTHORITY, HUB, ISSUED, NEXT, OLD, REVOKED, TRUSTED, AuthorityFolder, Issued
from certs.verbs import run
from certs.words import FOLDER, ExitCode, read
from tests.support.killed_at import killed_at
from texts.catalogue import read as read_texts

Certs = Callable[..., Any]
CALLS = ("open", "fsync", "replace", "unlink", "mkdir", "fchmod")


@pytest.fixture
def certs(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Certs:
    """Called with words: what the verb answers, or its exit code and error."""
    monkeypatch.setenv("RVM_LANG", "en")

    def call(verb: str, *words: object) -> Any:
        code = run(read([verb, "--dir", str(tmp_path / "private"), "--json", *map(str, words)]))
        out = capsys.readouterr()
        return next(iter(json.loads(out.out).values())) if code == 0 else (code, json.loads(out.err)["error"]["code"])

    return call


def _verify(folder: Path, pem: Path, host: str = "hub.example") -> str:
    """A handshake of a client that trusts the folder's authority: `refused`, or nothing."""
    client_in, server_in = ssl.MemoryBIO(), ssl.MemoryBIO()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(pem)
    server = served.wrap_bio(server_in, client_in, server_side=True)
    trusting = ssl.create_default_context(cafile=str(folder / TRUSTED))
    client = trusting.wrap_bio(client_in, server_in, server_hostname=host)
    with contextlib.suppress(ssl.SSLCertVerificationError):
        for side in (client, server) * 3:
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        return ""
    return "refused"


def test_an_authority_a_hub_and_machines(certs: Certs, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    (authority,) = certs("authority", "--name", "Our shop")
    assert (authority["name"], authority["days_left"]) == ("Our shop", 3650)
    (hub,) = certs("hub", "hub.example", "192.168.1.10", "::1", "*.pages.example")
    assert hub["names"] == ["hub.example", "*.pages.example", "192.168.1.10", "::1"]
    assert hub["days_left"] == 90
    assert read_bundle(folder / TRUSTED).fingerprints == (authority["fingerprint"],)
    assert _verify(folder, folder / HUB) == ""
    assert _verify(folder, folder / HUB, "other.example") == "refused"
    machines = certs("client", "rvm-1", "rvm-2", "--days", 30)
    assert [each["name"] for each in machines] == ["rvm-1", "rvm-2"]
    for file in (AUTHORITY, HUB, ISSUED, "clients/rvm-1.pem"):
        assert stat.S_IMODE((folder / file).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / TRUSTED).stat().st_mode) == 0o644
    assert (folder / ".gitignore").read_text() == "*\n"
    shown = {(each["kind"], each["name"]) for each in certs("show")}
    assert shown == {("authority", "Our shop"), ("hub", "hub.example"), ("client", "rvm-1"), ("client", "rvm-2")}
    assert [each["name"] for each in certs("show", folder / HUB)] == ["hub.example", "Our shop"]


def test_renewed_is_what_expires_soon_with_a_new_key_and_the_same_names(certs: Certs, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    certs("authority")
    certs("hub", "hub.example", "10.0.0.1", "--days", 20)
    certs("client", "rvm-1", "--days", 60)
    before = signing.read_identity((folder / HUB).read_bytes())
    (renewed,) = certs("renew")
    after = signing.read_identity((folder / HUB).read_bytes())
    assert renewed["names"] == ["hub.example", "10.0.0.1"]
    assert renewed["days_left"] == 20
    assert before.key.public_key() != after.key.public_key()
    assert certs("renew", "--within", 10) == []
    assert [each["name"] for each in certs("renew", "rvm-1")] == ["rvm-1"]
    assert certs("renew", "rvm-9") == (5, "no_certificate")


def test_a_revoked_certificate_is_on_the_list_with_all_that_were_before_it(certs: Certs, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    certs("authority")
    (first,) = certs("client", "rvm-1")
    (second,) = certs("client", "rvm-1")
    (other,) = certs("client", "rvm-2")
    assert certs("revoke", "rvm-9") == (5, "no_certificate")
    assert {each["serial"] for each in certs("revoke", "rvm-1")} == {first["serial"], second["serial"]}
    held = signing.read_identity((folder / AUTHORITY).read_bytes()).certificate
    context = ssl.create_default_context(cafile=str(folder / TRUSTED))
    context.load_verify_locations(folder / REVOKED)
    listed = x509.load_pem_x509_crl((folder / REVOKED).read_bytes())
    assert {f"{each.serial_number:x}" for each in listed} == {first["serial"], second["serial"]}
    assert listed.next_update_utc == held.not_valid_after_utc
    assert [each["revoked"] for each in certs("show") if each["kind"] == "client"] == [True, False]
    certs("revoke", other["serial"])
    assert len(list(x509.load_pem_x509_crl((folder / REVOKED).read_bytes()))) == 3


def test_a_timer_lets_no_revoked_machine_in_again(certs: Certs, tmp_path: Path) -> None:
    """Neither when its certificate ends nor when the authority is exchanged: only whoever names it does."""
    certs("authority")
    certs("hub", "hub.example", "--days", 20)
    certs("client", "rvm-1", "rvm-2", "--days", 20)
    certs("revoke", "rvm-1")
    certs("revoke", "hub")
    assert [each["name"] for each in certs("renew")] == ["hub.example", "rvm-2"]
    for step in ("--next", "--switch"):
        certs("authority", step)
    assert [each["name"] for each in certs("renew", "--within", 1)] == ["hub.example", "rvm-2"]
    assert [each["name"] for each in certs("renew", "rvm-1")] == ["rvm-1"]
    assert [each["revoked"] for each in certs("show") if each["name"] == "rvm-1"] == [False]


def test_the_authority_is_exchanged_in_three_steps_and_trust_never_breaks(certs: Certs, tmp_path: Path) -> None:
    folder = tmp_path / "private"
    (old,) = certs("authority")
    certs("hub", "hub.example")
    assert certs("authority") == (8, "authority_exists")
    assert certs("authority", "--switch") == (5, "no_next")
    certs("authority", "--next", "--name", "Second")
    new = next(each for each in certs("show") if each["name"] == "Second")
    assert set(read_bundle(folder / TRUSTED).fingerprints) == {old["fingerprint"], new["fingerprint"]}
    assert _verify(folder, folder / HUB) == ""
    certs("authority", "--switch")
    certs("authority", "--switch")  # again changes nothing
    assert _verify(folder, folder / HUB) == ""
    assert certs("authority", "--drop-old") == (8, "hub_is_old")
    (renewed,) = certs("renew", "--within", 1)
    assert renewed["kind"] == "hub"
    assert _verify(folder, folder / HUB) == ""
    certs("authority", "--drop-old")
    assert read_bundle(folder / TRUSTED).fingerprints == (new["fingerprint"],)
    assert _verify(folder, folder / HUB) == ""
    assert not (folder / OLD).exists()
    assert not (folder / NEXT).exists()


def test_a_passphrase_comes_from_a_file_or_standard_input_and_is_asked_for_again(
    certs: Certs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o644)
    assert certs("authority", "--passphrase-file", secret) == (3, "passphrase_exposed")
    secret.chmod(0o600)
    certs("authority", "--passphrase-file", secret)
    assert b"ENCRYPTED PRIVATE KEY" in (tmp_path / "private" / AUTHORITY).read_bytes()
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert certs("hub", "hub.example") == (3, "passphrase")
    assert certs("hub", "hub.example", "--passphrase") == (2, "no_terminal")
    monkeypatch.setattr("sys.stdin", io.StringIO("wrong\n"))
    assert certs("hub", "hub.example", "--passphrase-file", "-") == (3, "passphrase")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert certs("hub", "hub.example", "--passphrase-file", "-")[0]["name"] == "hub.example"
    assert len(certs("show")) == 2  # to look needs none


def test_each_refusal_has_its_code(certs: Certs, tmp_path: Path) -> None:
    assert certs("hub", "hub.example") == certs("show") == (5, "no_authority")
    certs("authority")
    for name in ("https://hub.example", "hub.example:443", "hub_example", "", "999.1.1.1", "x" * 300):
        assert certs("hub", name) == (2, "wrong_name"), name
    for machine in ("../authority", "a/b", "", "-x", "x" * 101, "a\nb"):
        assert certs("client", "--", machine) == (2, "wrong_machine"), machine
    assert certs("hub", *(f"h{n}.example" for n in range(51))) == (2, "many_names")
    assert certs("show", tmp_path / "none") == (5, "no_file")
    (tmp_path / "private" / ISSUED).write_text("{")
    assert certs("client", "rvm-1") == (3, "folder_damaged")
    with AuthorityFolder(tmp_path / "private").held():
        assert certs("client", "rvm-1") == (8, "folder_busy")
    (tmp_path / "private" / AUTHORITY).write_bytes(b"torn")
    assert certs("hub", "hub.example") == (3, "damaged")


def test_it_counts_no_longer_than_its_authority(certs: Certs) -> None:
    certs("authority", "--days", 10)
    (hub,) = certs("hub", "hub.example", "--days", 90)
    assert hub["days_left"] in (9, 10)


def test_what_cannot_be_used_is_named_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LANG", "id")
    (tmp_path / "file").write_text("")
    for words in (["show"], ["hub", "hub.example"]):
        assert run(read([*words, "--dir", str(tmp_path / "file")])) == ExitCode.CONFIGURATION
        assert f"{tmp_path / 'file'}/authority.pem tidak dapat dipakai" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        read(["hub", "hub.example", "--days", "ninety"])
    assert "argumen --days: 1 … 36500\n" in capsys.readouterr().err


def test_json_is_whole_on_a_terminal_without_every_character(certs: Certs, tmp_path: Path) -> None:
    certs("authority", "--name", "Toko “Sinar”")
    with (tmp_path / "out").open("w", encoding="latin-1", errors="replace") as out, contextlib.redirect_stdout(out):
        run(read(["show", "--dir", str(tmp_path / "private"), "--json"]))
    (shown,) = json.loads((tmp_path / "out").read_text("latin-1"))["certificates"]
    assert shown["name"] == "Toko “Sinar”"


def test_both_languages_have_every_sentence() -> None:
    english, indonesian = (read_texts(FOLDER, language) for language in ("en", "id"))
    assert english.keys() == indonesian.keys()
    errors = {key.partition(".")[2] for key in english if key.startswith("error.")}
    assert errors == {key.partition(".")[2] for key in english if key.startswith("fix.")}


STEPS: dict[str, list[tuple[str, ...]]] = {
    "authority": [],
    "hub": [("authority",)],
    "client": [("authority",)],
    "renew": [("authority",), ("hub", "hub.example", "--days", "5")],
    "revoke": [("authority",), ("client", "rvm-1")],
    "authority --next": [("authority",), ("hub", "hub.example")],
    "authority --switch": [("authority",), ("hub", "hub.example"), ("authority", "--next")],
    "authority --drop-old": [
        ("authority",), ("authority", "--next"), ("authority", "--switch"), ("hub", "hub.example"),
    ],
}  # fmt: skip
WORDS = {"hub": ("hub.example",), "client": ("rvm-1",), "revoke": ("rvm-1",)}


@pytest.mark.parametrize("words", STEPS)
def test_killed_at_any_step_it_leaves_the_old_or_the_new_and_can_be_run_again(
    certs: Certs, tmp_path: Path, words: str
) -> None:
    folder, verb = tmp_path / "private", tuple(words.split())
    for earlier in STEPS[words]:
        certs(*earlier)
    call = (*verb, *WORDS.get(words, ()))
    kept = _files(folder)
    for step in range(1, 100):
        _restore(folder, kept)
        ended = killed_at(step, CALLS, partial(_run_in_silence, folder, call))
        _check_whole(folder)
        if step % 3 == 0 or ended:  # what is left can be finished by the same words
            again = certs(*call)
            assert isinstance(again, list) or again == (8, "authority_exists"), again
            _check_whole(folder)
        if ended:
            assert step > 8
            return
    raise AssertionError("it never ended")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _restore(folder: Path, files: dict[str, bytes]) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _check_whole(folder: Path) -> None:
    """Every pair is one; what machines trust takes the hub's certificate; the lists load."""
    for pem in (*folder.glob("[!.]*.pem"), *folder.glob("clients/[!.]*.pem")):
        signing.read_identity(pem.read_bytes())
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pem)
    if (folder / HUB).exists():
        assert _verify(folder, folder / HUB) == ""
    if (folder / TRUSTED).exists():
        (folder / TRUSTED).chmod(0o644)
        read_bundle(folder / TRUSTED)
    if (folder / REVOKED).exists():
        ssl.create_default_context(cafile=str(folder / TRUSTED)).load_verify_locations(folder / REVOKED)
    assert isinstance(AuthorityFolder(folder).issued(), list)


def _run_in_silence(folder: Path, call: tuple[str, ...]) -> int:
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    return run(read([call[0], "--dir", str(folder), *call[1:]]))


def test_what_expired_two_years_ago_is_no_longer_noted(tmp_path: Path) -> None:
    folder, now = AuthorityFolder(tmp_path), datetime.now(timezone.utc)
    rows = [
        Issued(serial=n, kind="client", name="rvm-1", file="x", not_after=f"{at:%Y-%m-%d}", authority="a")
        for n, at in enumerate((now - timedelta(days=1200), now))
    ]
    folder.note(rows, now)
    assert [row.serial for row in folder.issued()] == [1]
    (tmp_path / "x").touch()
    folder.note([replace(row, revoked_at="2020-01-01T00:00:00Z") for row in rows], now)
    assert folder.revoked_serials() == {0, 1}  # as long as its file is there
