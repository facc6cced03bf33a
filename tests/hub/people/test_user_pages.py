"""Everything of one person as a page: edited, invited, unlocked, signed out; and one's own account."""

from __future__ import annotations

import re

import pytest

from dashboard.reader import Reader
from db.queries import users
from db.queries.users import UserWithMachines
from db.records import UserRow
from hub.model.changes import Patch
from hub.people import users_page
from hub.people.page import device
from tests.support.api_hub import ORIGIN, PASSWORD, ApiHub
from tests.support.page_visitor import browser


async def stored(hub: ApiHub, name: str) -> UserWithMachines:
    found = await users.find_user(hub.context.store, hub.users[name])
    assert found is not None
    return found


def form_of(page: str) -> dict[str, str]:
    """The hidden version that an edit shows again."""
    (seen,) = re.findall(r'name="seen" value="(\w+)"', page)
    return {"seen": seen}


async def test_a_technician_gets_machines_by_name_and_by_site(any_hub: ApiHub) -> None:
    await any_hub.add_user("budi", "technician")
    path = f"/admin/users/{any_hub.users['budi']}"
    async with await browser(any_hub) as admin:
        await admin.patch("/api/v2/rvms/2", json={"location_description": "Mall <Kelapa>"})
        page = (await admin.get(path)).text
        assert "budi sees nothing yet" in page
        assert "Mall &lt;Kelapa&gt; (1 machine)" in page
        for chosen, machines in (({"rvm": "1"}, {1}), ({"site": "Mall <Kelapa>"}, {2}), ({}, set())):
            whole = {"name": "Budi S.", "email": "budi@example.com", "role": "technician", "language": "id"}
            form = form_of((await admin.get(path)).text) | whole | {"zone": "own", "timezone": "Asia/Jayapura"} | chosen
            saved = await admin.post(path, data=form)
            assert saved.headers["location"] == f"{path}?notice=saved", saved.text
            user = await stored(any_hub, "budi")
            assert (set(user.machines), user.name, user.language) == (machines, "Budi S.", "id")
            first = re.search(r'name="rvm" value="(\d+)"', (await admin.get(path)).text)
            assert first is not None
            assert machines <= {int(first[1])}, "what somebody has stands first"
            assert user.timezone == "Asia/Jayapura"
        form = form_of((await admin.get(path)).text) | {"role": "operator", "zone": "site", "rvm": "1"}
        assert (await admin.post(path, data=form)).status_code == 303
        user = await stored(any_hub, "budi")
        assert (user.role, user.machines, user.timezone) == ("operator", frozenset(), None)


async def test_a_technician_keeps_machines_of_a_fleet_that_is_too_great_for_the_form(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first 2,000 by name had boxes: the next Save, of a language even, took the others from the technician."""
    monkeypatch.setattr(users_page, "MOST_MACHINES", 1)
    await hub.add_user("budi", "technician", (hub.machines["two"],))
    path = f"/admin/users/{hub.users['budi']}"
    async with await browser(hub) as admin:
        page = (await admin.get(path)).text
        boxes = dict.fromkeys(re.findall(r'name="rvm" value="(\d+)" checked', page))
        form = form_of(page) | {"name": "Budi", "email": "budi@example.com", "role": "technician", "language": "id"}
        assert (await admin.post(path, data=form | {"rvm": "".join(boxes)})).status_code == 303
    assert (await stored(hub, "budi")).machines == {hub.machines["two"]}


async def test_a_technician_gets_machines_by_tag(any_hub: ApiHub) -> None:
    path = f"/admin/users/{any_hub.users['technician']}"
    async with await browser(any_hub) as admin:
        await admin.patch("/api/v2/rvms/2", json={"tags": ["mall <1>", "south"]})
        page = (await admin.get(path)).text
        assert "mall &lt;1&gt; (1 machine)" in page
        whole = {"name": "T", "email": "t@example.com", "role": "technician"}
        assert (await admin.post(path, data=form_of(page) | whole | {"tag": "mall <1>"})).status_code == 303
        user = await stored(any_hub, "technician")
        assert user.tags == {"mall <1>"}
        assert not user.named
        assert user.machines == {2}
        await admin.patch("/api/v2/rvms/2", json={"tags": ["south"]})
        page = (await admin.get(path)).text
        assert 'value="mall &lt;1&gt;" checked' in page, "it stays given, whether a machine has it or not"
        assert "sees nothing yet" in page
        assert (await admin.post(path, data=form_of(page) | whole)).status_code == 303
        assert (await stored(any_hub, "technician")).tags == frozenset()


async def test_what_is_wrong_is_named_and_what_was_typed_stays(hub: ApiHub) -> None:
    path = f"/admin/users/{hub.users['technician']}"
    async with await browser(hub) as admin:
        seen = form_of((await admin.get(path)).text)
        for wrong, told in (
            ({"zone": "own", "timezone": "Mars"}, "Must be the name of a time zone"),
            ({"email": "admin@example.com"}, "Another user has this email address"),
            ({"name": ""}, "Must"),
            ({"email": "x"}, "Must"),
        ):
            refused = await admin.post(path, data=seen | {"name": "Typed", "role": "technician"} | wrong)
            assert refused.status_code in (409, 422)
            assert told in refused.text, wrong
            if "name" not in wrong:
                assert 'value="Typed"' in refused.text
        refused = await admin.post(f"/admin/users/{hub.users['admin']}", data={"role": "viewer"})
        assert (refused.status_code, "nobody who may administer" in refused.text) == (409, True)
        for name in ("technician", "admin"):
            assert (await stored(hub, name)).role == name


async def test_an_edit_of_a_page_that_is_out_of_date_is_asked_again(hub: ApiHub) -> None:
    path = f"/admin/users/{hub.users['technician']}"
    await hub.add_user("Siti", "admin")
    async with await browser(hub) as admin, await browser(hub, "Siti") as other:
        seen = form_of((await admin.get(path)).text)
        await other.patch(f"/api/v2/users/{hub.users['technician']}", json={"machines": [2]})
        await other.patch(f"/api/v2/users/{hub.users['operator']}", json={"name": "Otto"})
        refused = await admin.post(path, data=seen | {"name": "Typed", "role": "technician", "rvm": "1"})
        assert refused.status_code == 412
        assert "Siti changed this person while you were editing." in refused.text
        assert 'value="Typed"' in refused.text
        assert (await stored(hub, "technician")).machines == {2}
        again = await admin.post(path, data=form_of(refused.text) | {"name": "Typed", "role": "technician", "rvm": "1"})
        assert again.status_code == 303
        user = await stored(hub, "technician")
        assert (user.name, set(user.machines)) == ("Typed", {1})


async def test_a_lock_is_shown_and_ended(hub: ApiHub) -> None:
    await hub.add_user("budi", "operator", password=PASSWORD)
    path, wrong = f"/admin/users/{hub.users['budi']}", {"email": "budi@example.com", "password": "no"}
    async with await browser(hub) as admin, hub.client(None, Origin=ORIGIN) as budi:
        assert "Unlock" not in (await admin.get(path)).text
        for _ in range(6):
            refused = await budi.post("/login", data=wrong)
        assert "ask an administrator: they can end the lock" in refused.text
        assert "locked" in (await admin.get("/admin/users")).text
        assert re.search(r"Locked until (today|tomorrow) \d\d:\d\d WIB", (await admin.get(path)).text)
        assert (await admin.post(f"{path}/unlock")).headers["location"] == f"{path}?notice=unlocked"
        assert (await budi.post("/login", data=wrong | {"password": PASSWORD})).status_code == 303


async def test_an_invitation_lets_in_in_spite_of_a_lock(hub: ApiHub) -> None:
    await hub.add_user("budi", "operator", password=PASSWORD)
    async with await browser(hub) as admin, hub.client(None, Origin=ORIGIN) as budi:
        for _ in range(5):
            await budi.post("/login", data={"email": "budi@example.com", "password": "no"})
        made = await admin.post(f"/admin/users/{hub.users['budi']}/link")
        page = (await admin.get(made.headers["location"])).text
        (link,) = re.findall(r"http://hub\.test/signin#\w+", page)
        assert "within 72 hours" in page
        assert (await budi.post("/signin", data={"link": link})).status_code == 303
        right = {"email": "budi@example.com", "password": PASSWORD}
        assert (await budi.post("/login", data=right)).status_code == 303, "the lock is over"


@pytest.mark.parametrize("over", ["used", "disabled", "another"])
async def test_an_invitation_that_lets_nobody_in_is_shown_no_more(hub: ApiHub, over: str) -> None:
    """The page went on offering it to be sent for a quarter of an hour."""
    await hub.add_user("budi", "operator")
    path = f"/admin/users/{hub.users['budi']}"
    async with await browser(hub) as admin, hub.client(None, Origin=ORIGIN) as budi:
        await admin.post(f"{path}/link")
        (link,) = re.findall(r"http://hub\.test/signin#\w+", (await admin.get(path)).text)
        if over == "used":
            await budi.post("/signin", data={"link": link})
        elif over == "disabled":
            await admin.post(f"{path}/disable")
        else:
            async with await browser(hub) as other:
                await other.post(f"{path}/link")
        page = await admin.get(path)
        assert page.status_code == 200
        assert "signin#" not in page.text
        assert "Invitation for" not in page.text


async def test_sessions_of_others_are_listed_and_ended(hub: ApiHub) -> None:
    session = await hub.add_session("viewer")
    path = f"/admin/users/{hub.users['viewer']}"
    async with await browser(hub) as admin, hub.browser(session) as viewer:
        page = (await admin.get(path)).text
        assert "Since (WIB)" in page
        numbers = re.findall(r'name="session" value="(\d+)"', page)
        assert len(numbers) == 2
        for chosen in (numbers[0], numbers[0], "x"):
            assert (await admin.post(f"{path}/sessions", data={"session": chosen})).status_code == 303
        assert (await viewer.get("/help")).status_code == 303
        await admin.post(f"{path}/sessions", data={"session": "all"})
        assert "Not signed in anywhere" in (await admin.get(path)).text


async def test_signing_out_everywhere_by_the_account_page(any_hub: ApiHub) -> None:
    other, here = await any_hub.add_session("operator"), await any_hub.add_session("operator")
    async with any_hub.browser(here) as client, any_hub.browser(other) as there:
        page = (await client.get("/account")).text
        assert page.count("this one") == 1
        first = re.findall(r'name="session" value="(\d+)"', page)[1]
        assert (await client.post("/account/sessions", data={"session": first})).headers["location"] == (
            "/account?notice=ended"
        )
        assert (await there.get("/help")).status_code == 303
        gone = await client.post("/account/sessions", data={"session": "all"})
        assert gone.headers["location"] == "/login?notice=out"
        assert "rvm_session=" in gone.headers["set-cookie"]
        assert (await client.get("/help")).status_code == 303


async def test_a_person_chooses_a_zone(any_hub: ApiHub) -> None:
    async with await browser(any_hub, "operator") as client:
        for form, zone in (
            ({"zone": "own", "timezone": " Asia/Jayapura "}, "Asia/Jayapura"),
            ({"zone": "utc", "timezone": "Asia/Jayapura"}, "UTC"),
            ({"zone": "site"}, None),
        ):
            saved = await client.post("/account", data=form | {"name": "Ops"})
            assert saved.headers["location"] == "/account?notice=saved"
            assert (await stored(any_hub, "operator")).timezone == zone
        for wrong in ("", "Mars"):
            refused = await client.post("/account", data={"zone": "own", "timezone": wrong, "name": "Typed"})
            assert (refused.status_code, 'value="Typed"' in refused.text) == (422, True)


@pytest.mark.parametrize(
    ("name", "told"), [("admin", "Ask an administrator: admin."), (None, "Ask your administrator.")]
)
async def test_a_technician_without_machines_reads_whom_to_ask(hub: ApiHub, name: str | None, told: str) -> None:
    await hub.add_user("sari", "technician")
    if name is None:
        await hub.context.announce(Patch(UserRow, hub.users["admin"], {"role": "viewer"}))
    async with await browser(hub, "sari") as client:
        page = (await client.get("/")).text
    assert "No machine is assigned to you." in page
    assert told in page
    for wrong in ("Add your first machine", "/machines/add", "/admin", "You need the role"):
        assert wrong not in page


@pytest.mark.parametrize("path", ["/events", "/jobs", "/map", "/labels"])
async def test_a_page_about_machines_says_to_who_has_none_that_they_have_none(hub: ApiHub, path: str) -> None:
    """Not that nothing has happened, that no machine has coordinates, or how to print no label."""
    await hub.add_user("sari", "technician")
    async with await browser(hub, "sari") as client:
        page = (await client.get(path)).text
    assert "No machine is assigned to you." in page
    for wrong in ("Nothing has happened yet", "No jobs yet", "No machine has coordinates", "Print this page"):
        assert wrong not in page
    async with await browser(hub, "viewer") as client:
        assert "No machine is assigned to you." not in (await client.get(path)).text


async def test_who_administers_nothing_has_no_entry_for_it(hub: ApiHub) -> None:
    for name, entry in (("viewer", ""), ("technician", ""), ("operator", "/admin"), ("admin", "/admin")):
        async with await browser(hub, name) as client:
            page = (await client.get("/help")).text
            tokens = (await client.get("/admin/tokens")).text
        assert re.findall(r'<a href="(/admin[^"]*)"', page) == ([entry] if entry else [])
        assert ('href="/admin/users"' in tokens) is (name == "admin")
        assert ('href="/admin/settings"' in tokens) is (entry != "")


async def test_the_first_administrator_has_the_browsers_language(any_hub: ApiHub) -> None:
    """From the first sign-in on, and for good: also where no browser asks for it."""
    await any_hub.add_user("boss", "admin")
    async with await browser(any_hub) as admin:
        for language, kept in (("id-ID,id;q=0.9", "id"), ("en-US", "id")):
            made = await admin.post(f"/api/v2/users/{any_hub.users['boss']}/invitation")
            async with any_hub.client(None, Origin=ORIGIN, **{"Accept-Language": language}) as stranger:
                signed = await stranger.post("/signin", data={"link": made.json()["data"]["sign_in_link"]})
                assert signed.status_code == 303
            assert (await stored(any_hub, "boss")).language == kept


ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36"
)


@pytest.mark.parametrize(
    ("agent", "named"),
    [
        (ANDROID, "Chrome di Android"),
        (f"{ANDROID} Edg/126.0", "Edge di Android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox di Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) AppleWebKit/605 Version/17.5 Mobile Safari/604", "Safari di iPhone"),
        ("python-httpx/0.28 extra", "python-httpx/0.28"),
        ("\x1b[31m" + "x" * 300, "�[31m" + "x" * 35 + "…"),
        ("", "perangkat tak dikenal"),
        (None, "perangkat tak dikenal"),
    ],
)
def test_a_device_is_named_by_what_its_browser_sends(agent: str | None, named: str) -> None:
    assert device(Reader(language="id", theme="auto", zone="Asia/Jakarta", now=0), agent) == named
