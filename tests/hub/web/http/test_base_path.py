"""Below a path of a site: every address that goes out has it, none that comes needs it, and none has it twice."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from dashboard.pages import ADDRESSES
from hub.serving import routes
from hub.settings import OWN_PLACES
from hub.web.http.layers import outward
from tests.support.api_hub import PASSWORD, ApiHub, api_hub
from tests.support.backup_client import BackupClient, good
from tests.support.machine_pages import Asked, machine_server, pages_hub

BASE = "/rvm"
_OUTSIDE = re.compile(r' ([a-z-]+)="(/[^"]*)"')


@pytest_asyncio.fixture
async def below(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url, base_path=BASE) as hub:
        await hub.add_everybody()
        yield hub


def test_a_base_path_cannot_be_taken_for_an_address_of_the_hub() -> None:
    """Else what came with it could not be told from what a proxy took it away from."""
    paths = [route.path for route in routes() if isinstance(route, (Route, WebSocketRoute))]
    places = {path.split("/")[1] for path in paths} - {"", "{rest:path}"}
    assert places == OWN_PLACES


@pytest.mark.parametrize("base_path", ["", BASE])
@pytest.mark.parametrize(
    ("name", "held", "below_it"),
    [
        ("Location", "/jobs", "/rvm/jobs"),
        ("Location", "/", "/rvm/"),
        ("Location", "/rvm/jobs", "/rvm/jobs"),
        ("Location", "https://store.example/x", "https://store.example/x"),
        ("Location", "//elsewhere.example/", "//elsewhere.example/"),
        ("Link", '</api/v2/events?before=3>; rel="next"', '</rvm/api/v2/events?before=3>; rel="next"'),
        ("Link", '</rvm/api/v2/events>; rel="next"', '</rvm/api/v2/events>; rel="next"'),
    ],
)
def test_addresses_in_headers_get_it_once(base_path: str, name: str, held: str, below_it: str) -> None:
    answer = outward(outward(Response(headers={name: held}), base_path), base_path)
    assert answer.headers[name] == (below_it if base_path else held)


async def test_a_proxy_may_pass_the_path_on_or_take_it_away(below: ApiHub) -> None:
    async with below.of("admin") as admin:
        for path in ("/rvm/api/v2/rvms", "/api/v2/rvms"):
            assert (await admin.get(path)).status_code == 200
        assert (await admin.get("/rvmx/api/v2/rvms")).status_code == 404
        assert (await admin.get("/rvm/rvm/api/v2/rvms")).status_code == 404
        bare = await admin.get("/rvm?q=a%20b")
        assert (bare.status_code, bare.headers["location"]) == (308, "/rvm/?q=a%20b")
        assert "content-security-policy" in bare.headers


async def test_rest_names_addresses_as_its_callers_reach_them(below: ApiHub) -> None:
    async with below.of("admin") as admin:
        made = await admin.post("/rvm/api/v2/rvms", json={"name": "three"})
        assert made.headers["location"] == f"/rvm/api/v2/rvms/{made.json()['data']['id']}"
        page = await admin.get("/rvm/api/v2/events?limit=1")
        assert page.headers["link"].startswith("</rvm/api/v2/events?")
        onward = re.findall("<(.*)>", page.headers["link"])[0]
        assert (await admin.get(onward)).status_code == 200
        for path in ("/rvm/api/v2/nothing", "/rvm/api/v2/rvms/999"):
            assert (await admin.get(path)).json()["type"] == "/rvm/api/v2/docs#problem-not-found"
        assert (await admin.get("/rvm/api/v2/openapi.json")).json()["servers"] == [{"url": "/rvm"}]
        assert 'href="/rvm/api/v2/openapi.json"' in (await admin.get("/rvm/api/v2/docs")).text


async def test_pages_lead_below_it_alone(below: ApiHub) -> None:
    """Every attribute of every element: what is no address of the hub's is a value of a form's field."""
    session = await below.add_session("admin")
    async with below.browser(session) as browser:
        for path in ("/", "/machines/1", "/machines/1/parts", "/jobs", "/events", "/admin/users", "/nothing/here"):
            page = await browser.get(BASE + path)
            outside = [
                (name, value)
                for name, value in _OUTSIDE.findall(page.text)
                if name != "value" and not value.startswith(f"{BASE}/")
            ]
            assert outside == []
            assert f"{BASE}{BASE}" not in page.text
            assert f'="{BASE}/' in page.text or path.endswith("parts")


async def test_its_scripts_and_its_policy_know_it(below: ApiHub) -> None:
    async with below.client() as nobody:
        page = await nobody.get("/rvm/login")
        script = re.findall(r'src="([^"]+/plain[^"]+)"', page.text)[0]
        assert (await nobody.get(script)).status_code == 200
        policy = page.headers["content-security-policy"]
    assert "script-src hub.test/rvm/static/;" in policy
    assert "ws://hub.test/rvm/ws/" in policy
    assert " hub.test/api/" not in policy


@pytest.mark.parametrize(("secure", "name"), [(False, "rvm_session"), (True, "__Secure-rvm_session")])
async def test_its_cookies_stay_below_it(tmp_path: Path, sqlite_url: str, secure: bool, name: str) -> None:
    """`__Host-` would demand the whole site."""
    origin = "https://hub.test" if secure else "http://hub.test"
    async with api_hub(tmp_path, database_url=sqlite_url, base_path=BASE, public_url=origin) as hub:
        await hub.add_user("ayu", "admin", password=PASSWORD)
        async with hub.client(Origin=origin) as browser:
            form = {"email": "ayu@example.com", "password": PASSWORD, "next": "/jobs"}
            signed_in = await browser.post("/rvm/login", data=form)
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/rvm/jobs")
        kept = [cookie for cookie in signed_in.headers.get_list("set-cookie") if cookie.startswith(f"{name}=")]
        assert len(kept) == 1
        assert "Path=/rvm;" in kept[0] + ";"
        assert ("Secure" in kept[0]) is secure


async def test_signing_in_leads_back_to_where_one_wanted_to_be(below: ApiHub) -> None:
    async with below.client() as nobody:
        sent = await nobody.get("/rvm/events?kind=status")
        headers = {"Origin": "http://hub.test", "Referer": "http://hub.test/rvm/m/dev-one"}
        pressed = await nobody.post("/rvm/machines/1/status", headers=headers)
    assert sent.headers["location"] == "/rvm/login?next=%2Fevents%3Fkind%3Dstatus"
    assert pressed.headers["location"] == "/rvm/login?next=%2Fm%2Fdev-one"


async def test_labels_commands_and_links_for_others_have_it(below: ApiHub) -> None:
    """What leaves the hub on paper, in a shell and in a message."""
    session = await below.add_session("admin")
    async with below.browser(session) as browser:
        assert "http://hub.test/rvm<wbr>/m/dev-one<" in (await browser.get("/rvm/machines/1/label")).text
        form = {"csrf_token": browser.headers["X-CSRF-Token"]}
        made = await browser.post("/rvm/machines/1/enrol", data=form)
        assert re.search(
            r"run_device.py enrol http://hub.test/rvm\b", (await browser.get(made.headers["location"])).text
        )
        invited = await browser.post(f"/rvm/admin/users/{below.users['viewer']}/link", data=form)
        assert "http://hub.test/rvm/signin#rvml_" in (await browser.get(invited.headers["location"])).text


async def test_a_download_once_stands_below_it_by_rest_and_on_its_page(tmp_path: Path, sqlite_url: str) -> None:
    async with api_hub(tmp_path, database_url=sqlite_url, base_path=BASE, backup_scratch_gib=0) as hub:
        await hub.add_everybody()
        async with hub.of("one") as machine:
            client = BackupClient(machine, hub.machines["one"])
            good(await client.made(b"\x1f\x8b" + b"x" * 100))
            number = (await client.status())["backup_id"]
        async with hub.of("admin") as admin:
            made = await admin.post(f"/rvm/api/v2/rvms/1/backups/{number}/download")
            assert (url := made.json()["data"]["url"]).startswith("/rvm/api/v2/backup-downloads/")
            assert (await admin.get(url)).status_code == 200
        async with hub.browser(await hub.add_session("admin")) as browser:
            form = {"csrf_token": browser.headers["X-CSRF-Token"]}
            sent = await browser.post(f"/rvm/machines/1/backups/{number}/download", data=form)
        assert re.match("/rvm/api/v2/backup-downloads/", sent.headers["location"])


async def test_a_machines_page_stands_below_it(tmp_path: Path, sqlite_url: str) -> None:
    async def page(asked: Asked) -> None:
        if asked.path.startswith("/moved"):
            asked.answer(b"", status="302 Found", more="Location: /here\r\n")
        else:
            asked.answer(f'<a href="/x">{asked.path}</a>'.encode())

    async with (
        pages_hub(tmp_path, database_url=sqlite_url, base_path=BASE) as pages,
        machine_server(page) as machine,
        httpx.AsyncClient(timeout=60) as browser,
    ):
        pages.lease(machine.port)
        address = await pages.page(machine.port)
        assert address.startswith(f"{pages.url}/rvm/remote/")
        place = address.removeprefix(pages.url)
        shown = await browser.get(f"{address}deep%2Fer?q=1", headers={"Sec-Fetch-Dest": "document"})
        assert f'href="{place}x"' in shown.text
        assert ">/deep%2Fer?q=1<" in shown.text
        assert f"{pages.url.removeprefix('http://')}{place}" in shown.headers["content-security-policy"]
        moved = await browser.get(f"{address}moved")
        assert moved.headers["location"] == f"{place}here"


def test_attributes_that_hold_addresses_are_named_once() -> None:
    assert len(set(ADDRESSES)) == len(ADDRESSES)
