"""Users: added, edited, disabled, removed; and what that ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from db.records import UserRow
from db.schema import sign_in_links
from hub.kernel.announce import Announcer
from hub.model.changes import Change, Patch
from protocol.instants import parse
from tests.support.api_hub import ORIGIN, PASSWORD, ApiHub


async def test_a_user_without_a_password_gets_a_link_once(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        body = {"email": " Budi@Example.com ", "name": "Budi", "role": "technician", "machines": ["dev-one", 2]}
        refused = await admin.post("/api/v2/users", json=body)
        assert list(refused.json()["errors"]) == ["email"]
        added = await admin.post("/api/v2/users", json=body | {"email": "Budi@Example.com"})
        assert added.status_code == 201
        data = added.json()["data"]
        assert data["email"] == "budi@example.com"
        assert data["machines"] == [1, 2]
        assert data["sign_in_link"].startswith("/signin#rvml_")
        shown = (await admin.get(added.headers["location"])).json()["data"]
        assert "sign_in_link" not in shown
        assert shown["has_password"] is False
        again = await admin.post("/api/v2/users", json=body | {"email": "budi@example.COM"})
        assert (again.status_code, list(again.json()["errors"])) == (409, ["email"])


async def test_a_weak_password_is_refused_with_the_reason(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        for password, why in (
            ("short", "at least 10"),
            ("password123", "first that anybody"),
            ("x" * 201, "at most 200"),
        ):
            body = {"email": "a@b.c", "name": "A", "role": "viewer", "password": password}
            refused = await admin.post("/api/v2/users", json=body)
            assert refused.status_code == 422
            assert why in refused.json()["errors"]["password"][0]
            assert password not in refused.text or len(password) < 6


async def test_a_disabled_user_is_out_at_once(any_hub: ApiHub) -> None:
    session = await any_hub.add_session("operator")
    path = f"/api/v2/users/{any_hub.users['operator']}"
    async with any_hub.of("admin") as admin, any_hub.program("operator") as token, any_hub.browser(session) as browser:
        for client in (token, browser):
            assert (await client.get("/api/v2/auth/me")).status_code == 200
        disabled = await admin.patch(path, json={"disabled": True})
        assert disabled.json()["data"]["disabled"] is True
        for client in (token, browser):
            assert (await client.get("/api/v2/auth/me")).status_code == 401
        await admin.patch(path, json={"disabled": False})
        assert (await token.get("/api/v2/auth/me")).status_code == 401, "it stays revoked"
        assert (await browser.get("/api/v2/auth/me")).status_code == 401


async def test_a_lower_role_counts_at_once(hub: ApiHub) -> None:
    session = await hub.add_session("operator")
    async with hub.of("admin") as admin, hub.of("operator") as operator, hub.browser(session) as browser:
        assert (await operator.patch("/api/v2/rvms/1/status", json={"status": "full"})).status_code == 200
        await admin.patch(f"/api/v2/users/{hub.users['operator']}", json={"role": "viewer"})
        for client in (operator, browser):
            assert (await client.patch("/api/v2/rvms/1/status", json={"status": "full"})).status_code == 401
    async with hub.client(await hub.add_session("operator")) as again:
        refused = await again.patch("/api/v2/rvms/1/status", json={"status": "full"})
    assert refused.status_code == 403
    assert "needs the role Operator" in refused.json()["message"]


async def test_taking_a_machine_away_counts_at_once(hub: ApiHub) -> None:
    path = f"/api/v2/users/{hub.users['technician']}"
    async with hub.of("admin") as admin, hub.of("technician") as technician:
        assert (await technician.get("/api/v2/rvms/1")).status_code == 200
        await admin.patch(path, json={"machines": ["dev-two"]})
        assert (await technician.get("/api/v2/rvms/1")).status_code == 404
        assert (await technician.get("/api/v2/rvms/2")).status_code == 200
        promoted = await admin.patch(path, json={"role": "operator"})
        assert promoted.json()["data"]["machines"] == []


async def test_a_technician_has_machines_by_name_and_by_site(any_hub: ApiHub) -> None:
    path = f"/api/v2/users/{any_hub.users['technician']}"
    async with any_hub.of("admin") as admin:
        assert (await admin.patch("/api/v2/rvms/2", json={"location_description": " Mall Kelapa Gading "})).is_success
        for named, machines in (
            ({"machines": ["two"]}, [2]),
            ({"sites": ["Mall Kelapa Gading"]}, [2]),
            ({"sites": ["Mall Kelapa Gading"], "machines": [1]}, [1, 2]),
            ({"machines": []}, []),
        ):
            edited = await admin.patch(path, json=named)
            assert edited.json()["data"]["machines"] == machines, edited.text
        for site in ("Mall", "", " "):
            refused = await admin.patch(path, json={"sites": [site]})
            assert (refused.status_code, list(refused.json()["errors"])) == (422, ["sites"])


async def test_a_technician_has_the_machines_that_have_a_tag_as_long_as_they_have_it(any_hub: ApiHub) -> None:
    path = f"/api/v2/users/{any_hub.users['technician']}"
    async with any_hub.of("admin") as admin, any_hub.of("technician") as own:
        given = (await admin.patch(path, json={"machines": [1], "tags": ["Mall", "mall", "south"]})).json()["data"]
        assert (given["machines"], given["tags"], given["reaches"]) == ([1], ["mall", "south"], [1])
        for tags, seen in ((["mall"], [1, 2]), (["malls"], [1]), (["north", "south"], [1, 2])):
            assert (await admin.patch("/api/v2/rvms/2", json={"tags": tags})).is_success
            assert [one["id"] for one in (await own.get("/api/v2/rvms")).json()["data"]] == seen
            assert (await own.get("/api/v2/rvms/2")).is_success is (2 in seen)
            assert (await admin.get(path)).json()["data"]["reaches"] == seen
        shown = (await admin.get("/api/v2/users")).json()["data"]
        assert [one["reaches"] for one in shown if one["tags"]] == [[1, 2]]
        kept = await admin.patch(path, json={"machines": []})
        assert kept.json()["data"]["tags"] == ["mall", "south"], "each set is replaced by itself"
        event = (await admin.get("/api/v2/events?kind=user&limit=2")).json()["data"]
        assert event[-1]["after"] == {"tags": ["mall", "south"]}
        promoted = (await admin.patch(path, json={"role": "operator"})).json()["data"]
        assert (promoted["tags"], promoted["reaches"]) == ([], [])


async def test_tags_are_for_technicians_few_and_short(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin:
        for name, tags in (("operator", ["mall"]), ("technician", ["a,b"]), ("technician", ["x"] * 51)):
            refused = await admin.patch(f"/api/v2/users/{any_hub.users[name]}", json={"tags": tags})
            assert refused.status_code == 422
            assert next(iter(refused.json()["errors"])).startswith("tags")
        body = {"email": "tuti@example.com", "name": "Tuti", "role": "technician", "tags": ["Mall"]}
        added = (await admin.post("/api/v2/users", json=body)).json()["data"]
        assert (added["tags"], added["machines"]) == (["mall"], [])
        refused = await admin.post("/api/v2/users", json=body | {"email": "x@example.com", "role": "viewer"})
        assert list(refused.json()["errors"]) == ["tags"]


async def test_a_zone_is_the_name_of_one(any_hub: ApiHub) -> None:
    path = f"/api/v2/users/{any_hub.users['technician']}"
    async with any_hub.of("admin") as admin, any_hub.of("technician") as own:
        for zone in ("Asia/Jayapura", "UTC", None):
            assert (await admin.patch(path, json={"timezone": zone})).json()["data"]["timezone"] == zone
            assert (await own.get("/api/v2/auth/me")).json()["data"]["timezone"] == zone
        assert (await own.patch("/api/v2/auth/me", json={"timezone": "Asia/Makassar"})).is_success
        assert (await admin.get(path)).json()["data"]["timezone"] == "Asia/Makassar"
        for client, place in ((admin, path), (own, "/api/v2/auth/me")):
            for wrong in ("Mars/Olympus", "asia/jakarta", "", 7):
                refused = await client.patch(place, json={"timezone": wrong})
                assert (refused.status_code, list(refused.json()["errors"])) == (422, ["timezone"])


async def test_an_edit_of_what_was_seen_only(any_hub: ApiHub) -> None:
    """A sign-in in between changes nothing that is edited."""
    path = f"/api/v2/users/{any_hub.users['technician']}"
    async with any_hub.of("admin") as admin, any_hub.of("technician") as own:
        seen = (await admin.get(path)).headers["etag"]
        await any_hub.context.announce(Patch(UserRow, any_hub.users["technician"], {"last_sign_in_at": None}))
        assert (await own.patch("/api/v2/auth/me", json={"theme": "dark"})).is_success
        edited = await admin.patch(path, json={"machines": [2]}, headers={"If-Match": seen})
        assert edited.status_code == 200
        assert edited.headers["etag"] != seen
        stale = await admin.patch(path, json={"role": "admin"}, headers={"If-Match": seen})
        assert (stale.status_code, stale.headers["etag"]) == (412, edited.headers["etag"])
        assert (await admin.get(path)).json()["data"]["role"] == "technician"


async def test_a_new_invitation_lasts_three_days_and_ends_the_one_before(any_hub: ApiHub) -> None:
    path = f"/api/v2/users/{any_hub.users['viewer']}"
    async with any_hub.of("admin") as admin, any_hub.client(Origin=ORIGIN) as stranger:
        first, second = [(await admin.post(f"{path}/invitation")).json()["data"] for _ in range(2)]
        left = parse(second["expires_at"]) - any_hub.context.clock()
        assert timedelta(hours=71, minutes=59) < left <= timedelta(hours=72)
        for link, status in ((first, 401), (second, 303), (second, 401)):
            used = await stranger.post("/signin", data={"link": link["sign_in_link"]})
            assert used.status_code == status
        await admin.patch(path, json={"disabled": True})
        assert (await admin.post(f"{path}/invitation")).status_code == 409


async def test_an_administrator_ends_a_lock(any_hub: ApiHub) -> None:
    """Of the account's name, and of the places it is familiar with."""
    user_id = await any_hub.add_user("budi", "operator", password=PASSWORD)
    right, wrong = [{"email": "budi@example.com", "password": text} for text in (PASSWORD, "wrong")]
    async with any_hub.of("admin") as admin, any_hub.client() as here, any_hub.client(address="10.9.9.9") as there:
        assert (await here.post(LOGIN, json=right)).status_code == 200
        for client in (here, there):
            for _ in range(5):
                await client.post(LOGIN, json=wrong)
            refused = await client.post(LOGIN, json=right)
            assert refused.status_code == 429
            assert "An administrator can end the lock" in refused.json()["detail"]
        path = f"/api/v2/users/{user_id}"
        assert (await admin.get(path)).json()["data"]["locked_until"] is not None
        assert (await admin.delete(f"{path}/lock")).status_code == 204
        assert (await admin.delete(f"{path}/lock")).status_code == 204, "there is none any more"
        for client in (here, there):
            assert (await client.post(LOGIN, json=right)).status_code == 200
        assert (await admin.get(path)).json()["data"]["locked_until"] is None


async def test_the_last_administrator_stays_whoever_goes_meanwhile(
    any_hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command line, between the look and the commit."""
    await any_hub.add_user("second", "admin")
    announce, other = Announcer.__call__, Patch(UserRow, any_hub.users["admin"], {"role": "viewer"})

    async def late(self: Announcer, *made: Change) -> list[Change]:
        monkeypatch.setattr(Announcer, "__call__", announce)
        await announce(self, other)
        return await announce(self, *made)

    async with any_hub.of("second") as second:
        monkeypatch.setattr(Announcer, "__call__", late)
        refused = await second.patch(f"/api/v2/users/{any_hub.users['second']}", json={"disabled": True})
    assert (refused.status_code, "Administrator" in refused.json()["detail"]) == (409, True)


async def test_machines_are_for_technicians_and_must_exist(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        for name, machines in (("operator", [1]), ("technician", ["nix"]), ("technician", [99])):
            refused = await admin.patch(f"/api/v2/users/{hub.users[name]}", json={"machines": machines})
            assert refused.status_code == 422
            assert list(refused.json()["errors"]) == ["machines"]


async def test_the_last_admin_cannot_go(any_hub: ApiHub) -> None:
    path = f"/api/v2/users/{any_hub.users['admin']}"
    async with any_hub.of("admin") as admin:
        assert (await admin.delete(path)).status_code == 409
        assert (await admin.patch(path, json={"role": "viewer"})).status_code == 409
        assert (await admin.patch(path, json={"disabled": True})).status_code == 409
        await any_hub.add_user("second", "admin")
        second = f"/api/v2/users/{any_hub.users['second']}"
        async with any_hub.of("second") as other:
            both = await asyncio.gather(admin.delete(second), other.delete(path))
        assert sorted(answer.status_code for answer in both) in ([204, 401], [204, 409])


async def test_a_removed_user_takes_tokens_along(any_hub: ApiHub) -> None:
    async with any_hub.of("admin") as admin, any_hub.of("viewer") as viewer:
        assert (await viewer.get("/api/v2/auth/me")).status_code == 200
        path = f"/api/v2/users/{any_hub.users['viewer']}"
        assert (await admin.delete(path)).status_code == 204
        assert (await viewer.get("/api/v2/auth/me")).status_code == 401
        assert (await admin.delete(path)).status_code == 404
        for unknown in ("0", "99999999999999999999", "abc", "1%00"):
            assert (await admin.get(f"/api/v2/users/{unknown}")).status_code == 404


async def test_a_new_password_ends_every_session(hub: ApiHub) -> None:
    session = await hub.add_session("viewer")
    async with hub.of("admin") as admin, hub.browser(session) as browser:
        assert (await browser.get("/api/v2/auth/me")).status_code == 200
        changed = await admin.patch(f"/api/v2/users/{hub.users['viewer']}", json={"password": PASSWORD})
        assert changed.json()["data"]["has_password"] is True
        assert (await browser.get("/api/v2/auth/me")).status_code == 401


@pytest.mark.parametrize("edit", [{"password": "quite another phrase"}, {"disabled": True}])
async def test_a_new_password_or_a_disabled_account_closes_open_invitations(
    any_hub: ApiHub, edit: dict[str, object]
) -> None:
    async with any_hub.of("admin") as admin:
        new = {"email": "new@example.com", "name": "New", "role": "viewer"}
        invited = (await admin.post("/api/v2/users", json=new)).json()["data"]
        assert (await admin.patch(f"/api/v2/users/{invited['id']}", json=edit)).status_code == 200
    left = await any_hub.context.store.fetch_all(sa.select(sign_in_links))
    assert [row for row in left if row["user_id"] == invited["id"]] == []


LOGIN = "/api/v2/auth/login"
APART, ONE = "jose\u0301@example.com", "jos\u00e9@example.com"


@pytest.mark.parametrize("stored", [APART, ONE])
async def test_two_accounts_of_one_look_are_refused_and_either_spelling_signs_in(any_hub: ApiHub, stored: str) -> None:
    """Whoever was stored with accents apart, before addresses were composed, still comes in."""
    await any_hub.add_user("jose", "viewer", password=PASSWORD)
    await any_hub.context.announce(Patch(UserRow, any_hub.users["jose"], {"email": stored}))
    async with any_hub.of("admin") as admin:
        for email in (APART, ONE, ONE.upper()):
            refused = await admin.post("/api/v2/users", json={"email": email, "name": "J", "role": "viewer"})
            assert (refused.status_code, list(refused.json()["errors"])) == (409, ["email"])
            other = f"/api/v2/users/{any_hub.users['viewer']}"
            assert (await admin.patch(other, json={"email": email})).status_code == 409
        own = await admin.patch(f"/api/v2/users/{any_hub.users['jose']}", json={"email": APART})
        assert own.json()["data"]["email"] == ONE
    async with any_hub.client() as nobody:
        for email in (APART, ONE):
            for _ in range(4):  # each right one forgets the wrong ones before it, or the fifth would lock
                assert (await nobody.post(LOGIN, json={"email": email, "password": "no"})).status_code == 401
            assert (await nobody.post(LOGIN, json={"email": email, "password": PASSWORD})).status_code == 200


@pytest.mark.parametrize("unseen", ["\u200b", "\u00ad", "\u202e", "\u2066", "\ufeff", "\u3164", "\u0085"])
async def test_names_and_addresses_hold_nothing_invisible(hub: ApiHub, unseen: str) -> None:
    async with hub.of("admin") as admin:
        for place in (f"Bu{unseen}di", f"{unseen}Budi", f"Budi{unseen}"):
            new = {"email": "x@example.com", "name": place, "role": "viewer"}
            for path, body, member in (
                ("/api/v2/users", new, "name"),
                ("/api/v2/users", new | {"name": "Budi", "email": f"{place}@example.com"}, "email"),
                ("/api/v2/rvms", {"name": place}, "name"),
                ("/api/v2/tokens", {"name": place}, "name"),
            ):
                refused = await admin.post(path, json=body)
                assert (refused.status_code, list(refused.json()["errors"])) == (422, [member]), (path, place)
