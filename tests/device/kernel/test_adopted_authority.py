"""Other authorities from the hub: trusted once they verify the hub itself, and a kill leaves the old or the new."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import pytest

from certs.bundle import parse_bundle
from device.kernel.tls import HubTrust, adopt
from tests.support.certificates import TestAuthority, server_context
from tests.support.killed_at import killed_at
from tests.support.man_in_the_middle import man_in_the_middle

CALLS: Final = ("open", "fdopen", "fsync", "replace", "close")


def _trust(folder: Path, own: TestAuthority) -> HubTrust:
    (folder / "state").mkdir(exist_ok=True)
    return HubTrust(authorities=str(own.crt), adopted=str(folder / "state" / "hub_authority"))


def test_what_verifies_the_hub_is_taken_instead_and_what_does_not_changes_nothing(tmp_path: Path) -> None:
    old, new = TestAuthority(tmp_path / "old"), TestAuthority(tmp_path / "new")
    trust, both = _trust(tmp_path, old), (old.pem + new.pem).decode()
    with man_in_the_middle(server_context(old.hub())) as hub:
        url = f"https://127.0.0.1:{hub.port}"
        with pytest.raises(ssl.SSLCertVerificationError):
            adopt(trust, url, new.pem.decode(), 5.0)  # it would lock the machine out
        for wrong in ("", "torn", old.hub().read_text()):
            with pytest.raises(OSError, match="authority"):
                adopt(trust, url, wrong, 5.0)
        assert trust.bundle() == parse_bundle(old.pem.decode())
        assert adopt(trust, url, old.pem.decode(), 5.0) is None
        assert adopt(trust, url, both, 5.0) == parse_bundle(both) == trust.bundle()
    with man_in_the_middle(server_context(new.hub())) as hub:
        adopt(trust, f"https://127.0.0.1:{hub.port}", new.pem.decode(), 5.0)
    assert trust.bundle() == parse_bundle(new.pem.decode())  # the old one counts no more


def test_another_file_of_the_owner_counts_more_and_a_damaged_note_not_at_all(tmp_path: Path) -> None:
    old, new, third = (TestAuthority(tmp_path / name) for name in ("old", "new", "third"))
    trust = _trust(tmp_path, old)
    with man_in_the_middle(server_context(old.hub())) as hub:
        adopt(trust, f"https://127.0.0.1:{hub.port}", (old.pem + new.pem).decode(), 5.0)
    old.crt.write_bytes(third.pem)
    assert trust.bundle() == parse_bundle(third.pem.decode())
    old.crt.write_bytes(old.pem)
    Path(trust.adopted).write_bytes(b"torn")
    assert trust.bundle() == parse_bundle(old.pem.decode())


def test_killed_at_any_step_it_still_connects(tmp_path: Path) -> None:
    old, new = TestAuthority(tmp_path / "old"), TestAuthority(tmp_path / "new")
    trust, both = _trust(tmp_path, old), (old.pem + new.pem).decode()
    with man_in_the_middle(server_context(old.hub())) as hub:
        url = f"https://127.0.0.1:{hub.port}"

        def take() -> None:
            adopt(trust, url, both, 5.0)

        for step in range(1, 50):
            ended = killed_at(step, CALLS, take)
            assert trust.bundle() in (parse_bundle(both), parse_bundle(old.pem.decode()))
            trust.context()
            if ended:
                break
            Path(trust.adopted).unlink(missing_ok=True)
        assert step > 4
        assert trust.bundle() == parse_bundle(both)
