"""How the hub itself is: by REST, and as a page for people."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from hub.server.tls import HubTls
from hub.settings import LAST_BACKUP, Settings
from hub.system.service import HubLoad, look_at_disk
from hub.web.shell.page import ADMIN
from tests.support.api_hub import ApiHub
from tests.support.certificates import TestAuthority


async def test_the_hub_reports_its_load_its_database_and_its_disk(any_hub: ApiHub) -> None:
    async with any_hub.of("operator") as operator:
        found = (await operator.get("/api/v2/system")).json()["data"]
        assert found["machines"] == {"live": 0, "late": 0, "offline": 0, "never": 2, "links": 0}
        assert found["database"]["kind"] == any_hub.context.store.dialect
        assert found["database"]["size_bytes"] > 10_000
        assert 0 < found["disk"]["free_bytes"] <= found["disk"]["total_bytes"]
        assert found["version"] == any_hub.context.version
        assert (found["last_backup"], found["warnings"][-1]) == (None, "never_backed_up")
        note = {"made_at": "2026-11-20T01:02:03Z", "file": "/backups/hub.rvm", "bytes": 1234}
        (any_hub.context.settings.data_dir / LAST_BACKUP).write_text(json.dumps(note))
        found = (await operator.get("/api/v2/system")).json()["data"]
        assert found["last_backup"] == note | {"made_at": "2026-11-20T01:02:03.000Z"}
        assert "never_backed_up" not in found["warnings"]


async def test_a_broken_note_of_a_backup_is_none(any_hub: ApiHub) -> None:
    settings = any_hub.context.settings
    for text in ("", "[]", "{}", '{"made_at": 5, "file": "x", "bytes": 1}', '{"made_at": "soon"}'):
        (settings.data_dir / LAST_BACKUP).write_text(text)
        assert look_at_disk(settings).last_backup is None


async def test_frames_and_samples_are_counted_by_the_second(hub: ApiHub) -> None:
    load = hub.context[HubLoad]
    links, lane = load._links, load._lane
    load._marks.clear()
    load.note(100.0)
    links.frames += 50
    lane.committed += 20
    load.note(105.0)
    assert load.per_second() == (10.0, 4.0)


async def test_every_role_finds_what_it_may_administer(hub: ApiHub) -> None:
    async with hub.browser(await hub.add_session("admin")) as admin:
        page = (await admin.get("/admin")).text
        assert re.findall(r'<h2><a href="(/admin/\w+)">', page) == [
            "/admin/users", "/admin/enrol", "/admin/tokens", "/admin/settings", "/admin/backups",
            "/admin/notifications", "/admin/system",
        ]  # fmt: skip
        for _, address, _ in ADMIN:
            tabs = (await admin.get(address)).text.partition('<nav class="tabs"')[2].partition("</nav>")[0]
            assert re.findall(r'href="(/admin/\w+)"', tabs) == [each for _, each, _ in ADMIN]
            assert re.findall(r'href="(/admin/\w+)" aria-current="page"', tabs) == [address]
        assert "never backed up" in page
        shown = (await admin.get("/admin/system")).text
        assert 'id="system"' in shown
        assert "Messages from machines" in shown
        admin.headers["Accept-Language"] = "id"
        assert "Pesan dari mesin" in (await admin.get("/admin/system")).text
        assert (await admin.get("/admin/system/parts?of=system")).status_code == 200
    async with hub.browser(await hub.add_session("viewer")) as viewer:
        page = (await viewer.get("/admin")).text
        assert re.findall(r'<h2><a href="(/admin/\w+)">', page) == [
            "/admin/tokens",
            "/admin/settings",
            "/admin/backups",
        ]
        assert "You need the role Administrator" in page
        assert "never backed up" not in page
        assert (await viewer.get("/admin/system")).status_code == 403


def with_certificate(hub: ApiHub, folder: Path, days: int) -> HubTls:
    """As if the hub served TLS by a certificate that ends in so many days."""
    authority = TestAuthority(folder)
    pem = authority.hub(days=days)
    given = {"data_dir": folder, "tls_cert": pem, "tls_key": pem, "tls_authority": authority.crt}
    own = HubTls(Settings.load(given, {}), hub.context.clock)
    hub.context.add(own)
    return own


@pytest.mark.parametrize(("days", "code"), [(20, "certificate_soon"), (5, "certificate_very_soon")])
async def test_a_certificate_that_ends_needs_an_administrator(
    hub: ApiHub, tmp_path: Path, days: int, code: str
) -> None:
    with_certificate(hub, tmp_path / "own", days)
    async with hub.of("operator") as operator:
        found = (await operator.get("/api/v2/system")).json()["data"]
        (one,) = found["expiring"]
        assert code in found["warnings"]
        assert (one["code"], one["part"], one["renew"]) == (code, "certificate", "python3 -m certs renew hub")
        assert one["not_after"] == found["certificate"]["not_after"]
    async with hub.browser(await hub.add_session("admin")) as admin:
        page = (await admin.get("/")).text
        assert f'data-key="hub-{code}"' in page
        assert re.search(rf"expires within {7 if days < 7 else 30} days", page)
        assert (
            "<b>Administrator:</b> On the computer that holds the authority’s key: “python3 -m certs renew hub”" in page
        )
        assert '<section class="card calm" id="calm" tabindex="-1" hidden>' in page
        assert re.search(r'data-on="[^"]*"[^>]* data-until="\d+"', page)
        (alarms,) = re.findall(r'id="alarms"[^>]*>(\d+)<', page)
        assert f"<title>({alarms})" in page
        assert int(alarms) == len(re.findall('<li data-key="', page))
        assert "python3 -m certs renew hub" in (await admin.get("/admin/system")).text
        admin.headers["Accept-Language"] = "id"
        assert "Di komputer yang menyimpan kunci otoritas: “python3 -m certs renew hub”" in (await admin.get("/")).text
    async with hub.browser(await hub.add_session("viewer")) as viewer:
        assert "hub-certificate" not in (await viewer.get("/")).text


async def test_a_renewed_certificate_needs_nobody(hub: ApiHub, tmp_path: Path) -> None:
    own = with_certificate(hub, tmp_path / "own", 5)
    assert own.warnings(hub.context.clock())
    (tmp_path / "own" / "hub.pem").write_text("torn")
    own.look()
    (one,) = own.warnings(hub.context.clock())
    assert (one.code, one.is_urgent) == ("certificate_refused", True)
    async with hub.browser(await hub.add_session("admin")) as admin:
        assert "the hub’s log says what is wrong" in (await admin.get("/")).text
        authority = TestAuthority(tmp_path / "own")
        authority.hub(days=90)
        assert own.look()
        assert 'data-key="hub-' not in (await admin.get("/")).text
    changes = own.next_change(hub.context.clock())
    assert changes is not None
    assert changes > hub.context.clock() + timedelta(days=59)
