"""Two steps at sign-in by REST, on both databases: who gets in, who does not, and what is recorded."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import pytest

from db.engine import migrate
from db.errors import Unavailable
from db.queries import credentials as stored
from db.queries import users
from hub.kernel.sealing import Seal
from hub.people import rules as people
from hub.people.two_step import rules
from hub.web.auth.limits import AddressLimiter
from hub.web.auth.state import SECOND_STEP_S, TWO_STEP_KEY, AuthState, HalfSignIn, SecondSteps
from tests.support.api_hub import ORIGIN, PASSWORD, ApiHub
from tests.support.authenticator import EMAIL, OWN, Phone, events, first_step, login
from tests.support.page_visitor import browser


async def test_it_is_switched_on_by_a_first_code_and_the_password(hub: ApiHub) -> None:
    phone = Phone(hub)
    async with hub.of("budi") as budi:
        assert (await budi.get(OWN)).json()["data"] == {"on": False, "since": None, "recovery_codes_left": 0}
        early = await budi.post(OWN, json={"code": "123456", "current_password": PASSWORD})
        assert (early.status_code, "no new secret" in early.json()["detail"]) == (409, True)
        made = (await budi.post(f"{OWN}/secret")).json()["data"]
        phone.secret = made["secret"]
        assert made["address"].startswith("otpauth://totp/MyRVM:budi%40example.com?")
        wrong = await budi.post(OWN, json={"code": "000000", "current_password": PASSWORD})
        assert "code" in wrong.json()["errors"]
        wrong = await budi.post(OWN, json={"code": phone.code(), "current_password": "no"})
        assert "current_password" in wrong.json()["errors"]
        assert not (await budi.get(OWN)).json()["data"]["on"]
        assert (await phone.turn_on(budi)).status_code == 201
        assert len(set(phone.codes)) == 10
        shown = (await budi.get(OWN)).json()["data"]
        assert (shown["on"], shown["recovery_codes_left"]) == (True, 10)
        assert (await budi.post(f"{OWN}/secret")).status_code == 409
    (event,) = await events(hub, "sign_in.two_step_on")
    assert event["params"] == {"user_id": hub.users["budi"], "email": EMAIL}


async def test_a_password_alone_lets_nobody_in(hub: ApiHub, phone: Phone) -> None:
    refused = await login(hub)
    assert refused.status_code == 401
    assert "two steps" in refused.json()["detail"]
    assert (await login(hub, "000000")).status_code == 401
    assert (await login(hub, phone.code(), "wrong")).status_code == 401
    allowed = await login(hub, phone.code())
    assert allowed.status_code == 200, allowed.text
    async with hub.client(allowed.json()["data"]["token"]) as budi:
        assert (await budi.get("/api/v2/auth/me")).json()["data"]["email"] == EMAIL
    event = (await events(hub, "sign_in.succeeded"))[0]
    assert {key: event["params"][key] for key in ("by", "second")} == {"by": "password", "second": "app"}


async def test_a_code_is_accepted_once_and_none_before_it(hub: ApiHub, phone: Phone) -> None:
    earlier, code = phone.code(-1), phone.code()
    assert (await login(hub, code)).status_code == 200
    assert [(await login(hub, again)).status_code for again in (code, earlier)] == [401, 401]
    assert (await login(hub, f" {phone.next_code()[:3]} {phone.code()[3:]}")).status_code == 200


async def test_a_code_that_is_sent_twice_is_no_guess(hub: ApiHub, phone: Phone) -> None:
    """By a double tap, or at Account right after signing in."""
    code = phone.code()
    assert [(await login(hub, code)).status_code for _ in range(7)] == [200, *[401] * 6]
    assert await events(hub, "sign_in.failed") == []
    assert (await login(hub, phone.next_code())).status_code == 200


async def test_a_code_that_came_from_two_places_at_once_opens_one_session(hub: ApiHub, phone: Phone) -> None:
    """The guard of the row, where no lock of one place helps."""
    row = await stored.find_two_step(hub.context.store, hub.users["budi"])
    assert row is not None
    proof = rules.use_step(hub.users["budi"], row.last_step + 1)
    await hub.context.announce(*proof.changes)
    with pytest.raises(Exception, match="two_step"):
        await hub.context.announce(*proof.changes)


async def test_a_clock_may_be_a_step_wrong_and_no_more(hub: ApiHub, phone: Phone) -> None:
    phone.wait(seconds=5 * rules.STEP_S)
    outcomes = [(steps, (await login(hub, phone.code(steps))).status_code) for steps in (-2, 2, -1, 1)]
    assert outcomes == [(-2, 401), (2, 401), (-1, 200), (1, 200)]


async def test_wrong_codes_lock_as_wrong_passwords_do(hub: ApiHub, phone: Phone) -> None:
    """A right password between them ends no count."""
    for tries in range(5):
        assert (await login(hub)).status_code == 401, "no code is no try"
        assert (await login(hub, "000000")).status_code == 401, tries
    locked = await login(hub, phone.code())
    assert (locked.status_code, "Retry-After" in locked.headers) == (429, True)
    (event,) = await events(hub, "sign_in.locked")
    assert event["params"]["second"] is True
    async with hub.client(None, Origin=ORIGIN) as client:
        assert (await first_step(hub, client)).status_code == 429
    async with hub.of("admin") as admin:
        assert (await admin.delete(f"/api/v2/users/{hub.users['budi']}/lock")).status_code == 204
    assert (await login(hub, phone.code())).status_code == 200


async def test_codes_that_an_open_browser_tries_are_counted_through_right_passwords(hub: ApiHub, phone: Phone) -> None:
    """Neither the password of each try nor one given elsewhere begins the count anew."""
    guess = {"code": "000000", "current_password": PASSWORD}
    async with hub.of("budi") as budi:
        for _ in range(5):
            assert (await budi.post(f"{OWN}/off", json=guess)).status_code == 422
            weak = {"password": "short", "current_password": PASSWORD}
            assert (await budi.patch("/api/v2/auth/me", json=weak)).status_code in (422, 429)
        assert (await budi.post(f"{OWN}/off", json=guess | {"code": phone.code()})).status_code == 429
        assert (await budi.get(OWN)).json()["data"]["on"]


async def test_wrong_codes_cost_their_address_and_right_ones_nothing(hub: ApiHub, phone: Phone) -> None:
    hub.context[AuthState].wrong_sign_ins = AddressLimiter(burst=3)
    assert [(await login(hub, phone.next_code())).status_code for _ in range(5)] == [200] * 5
    answers = [(await login(hub, "000000")).status_code for _ in range(4)]
    assert answers == [401, 401, 401, 429]


async def test_a_recovery_code_lets_in_once_and_says_how_many_are_left(hub: ApiHub, phone: Phone) -> None:
    code = phone.codes[3]
    assert (await login(hub, code.lower().replace("-", " "))).status_code == 200
    assert (await login(hub, code)).status_code == 401
    event = (await events(hub, "sign_in.succeeded"))[0]
    assert (event["params"]["second"], event["params"]["left"]) == ("recovery", 9)
    async with hub.of("admin") as admin:
        (other,) = {(await admin.get(OWN)).json()["data"]["on"]}
        assert other is False, "it is one person's"
    async with await browser(hub) as admin_page:
        page = (await admin_page.get("/events")).text
    assert "with a recovery code (9 left)" in page


async def test_new_recovery_codes_end_the_old_ones(hub: ApiHub, phone: Phone) -> None:
    old = phone.codes
    async with hub.of("budi") as budi:
        proof = {"code": phone.code(), "current_password": PASSWORD}
        made = await budi.post(f"{OWN}/recovery-codes", json=proof)
        phone.codes = made.json()["data"]["recovery_codes"]
        again = await budi.post(f"{OWN}/recovery-codes", json=proof)
        assert again.status_code == 422, "its code is used up"
    assert not set(old) & set(phone.codes)
    assert [(await login(hub, code)).status_code for code in (old[0], phone.codes[0])] == [401, 200]
    assert len(await events(hub, "sign_in.recovery_codes_made")) == 1


async def test_it_is_switched_off_by_password_and_code(hub: ApiHub, phone: Phone) -> None:
    async with hub.of("budi") as budi:
        for wrong, member in (
            ({"code": phone.code(), "current_password": "no"}, "current_password"),
            ({"code": phone.code()}, "current_password"),
            ({"code": "", "current_password": PASSWORD}, "code"),
        ):
            refused = await budi.post(f"{OWN}/off", json=wrong)
            assert (refused.status_code, [*refused.json()["errors"]]) == (422, [member])
        assert (await budi.post(f"{OWN}/off", json={"code": phone.codes[0], "current_password": PASSWORD})).is_success
        assert (await budi.post(f"{OWN}/off", json={"code": "x", "current_password": PASSWORD})).status_code == 409
    assert (await login(hub)).status_code == 200
    assert await stored.recovery_codes_of(hub.context.store, hub.users["budi"]) == frozenset()
    assert len(await events(hub, "sign_in.two_step_off")) == 1


async def test_an_administrator_resets_it_and_its_sessions_end(hub: ApiHub, phone: Phone) -> None:
    path = f"/api/v2/users/{hub.users['budi']}"
    async with hub.of("admin") as admin, hub.of("budi") as budi:
        assert (await admin.get(path)).json()["data"]["two_step"] is True
        assert (await budi.get("/api/v2/auth/me")).status_code == 200
        assert (await admin.delete(f"{path}/two-step")).status_code == 204
        assert (await budi.get("/api/v2/auth/me")).status_code == 401
        assert (await admin.get(path)).json()["data"]["two_step"] is False
        assert (await admin.delete(f"{path}/two-step")).status_code == 204
        own = await admin.delete(f"/api/v2/users/{hub.users['admin']}/two-step")
        assert own.status_code == 409
        assert (await admin.delete("/api/v2/users/99999/two-step")).status_code == 404
    assert (await login(hub)).status_code == 200
    (event,) = await events(hub, "sign_in.two_step_reset")
    assert event["params"]["email"] == EMAIL
    async with hub.program("budi") as program:
        assert (await program.get("/api/v2/auth/me")).status_code == 200, "tokens are not asked, and stay"


async def test_nothing_of_it_is_done_by_a_session_that_ends_meanwhile(hub: ApiHub, phone: Phone) -> None:
    real = hub.context[SecondSteps].seal

    class Ended(Seal):
        async def open(self, sealed: str) -> str | None:
            await hub.context.announce(people.end_sessions(hub.users["budi"]))
            return await real.open(sealed)

    for path in ("off", "recovery-codes"):
        hub.context[SecondSteps].seal = Ended(hub.context.settings.data_dir / TWO_STEP_KEY)
        async with hub.client(await hub.add_session("budi")) as budi:
            proof = {"code": phone.next_code(), "current_password": PASSWORD}
            assert (await budi.post(f"{OWN}/{path}", json=proof)).status_code == 401, path
    assert await stored.find_two_step(hub.context.store, hub.users["budi"]) is not None


async def test_a_password_that_is_being_compared_meanwhile_lets_nobody_in(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, state = Phone(hub), hub.context[AuthState]
    real = state.passwords.matches
    state.familiar.add(EMAIL, "10.0.0.1")

    async def compared(*given: Any, **more: Any) -> bool:
        monkeypatch.undo()
        async with hub.of("budi") as budi:
            assert (await phone.turn_on(budi)).status_code == 201
        return await real(*given, **more)

    monkeypatch.setattr(state.passwords, "matches", compared)
    async with hub.client(address="10.9.0.1") as stranger:
        late = await stranger.post("/api/v2/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert (late.status_code, "two steps" in late.json()["detail"]) == (401, True)


async def test_it_is_nobodys_by_a_token(hub: ApiHub, phone: Phone) -> None:
    async with hub.program("budi") as program:
        for method, path in (("GET", OWN), ("POST", f"{OWN}/secret"), ("POST", OWN), ("POST", f"{OWN}/off")):
            assert (await program.request(method, path, json={"code": "1"})).status_code == 403


async def test_five_half_sign_ins_of_one_person_push_out_nobody_elses(hub: ApiHub, phone: Phone) -> None:
    steps = hub.context[SecondSteps]
    other = steps.keep(HalfSignIn(hub.users["viewer"], "link", (), None, "10.0.0.1"))
    own = [steps.keep(HalfSignIn(hub.users["budi"], "password", (), None, "10.0.0.1")) for _ in range(7)]
    assert steps.find(other) is not None
    assert [steps.find(secret) is not None for secret in own] == [False, False, *[True] * 5]


async def test_a_stranger_who_knows_the_password_ends_nobodys_sign_in(hub: ApiHub, phone: Phone) -> None:
    async with hub.client(None, Origin=ORIGIN) as client, hub.client(None, address="10.9.0.1", Origin=ORIGIN) as other:
        await first_step(hub, client)
        for _ in range(7):
            await first_step(hub, other)
        assert (await client.post("/login/code", data={"code": phone.code()})).headers["location"] == "/"


async def test_nobody_keeps_a_second_step_waiting_by_a_name(hub: ApiHub, phone: Phone) -> None:
    typed = people.normal_email(f" second step of {hub.users['budi']}")
    async with hub.context[AuthState].one_try_at_a_time(typed):
        with anyio.fail_after(20):
            assert (await login(hub, phone.code())).status_code == 200


async def test_without_its_key_file_the_hub_takes_recovery_codes_only(hub: ApiHub, phone: Phone) -> None:
    """As after a restore elsewhere. Nobody gets in by the password alone."""
    hub.context[SecondSteps].seal = Seal(hub.context.settings.data_dir / "another.key")
    assert (await login(hub)).status_code == 401
    refused = await login(hub, phone.code())
    assert (refused.status_code, "two_step.key" in refused.json()["detail"]) == (401, True)
    async with hub.client(None, Origin=ORIGIN) as client:
        await first_step(hub, client)
        page = await client.post("/login/code", data={"code": phone.code()})
        assert "its file two_step.key is missing" in page.text
    assert (await login(hub, phone.codes[0])).status_code == 200


async def test_the_secret_and_the_codes_are_readable_nowhere(
    hub: ApiHub, phone: Phone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = hub.context.settings.data_dir
    assert (folder / TWO_STEP_KEY).stat().st_mode & 0o777 == 0o600
    row = await stored.find_two_step(hub.context.store, hub.users["budi"])
    assert row is not None
    hashes = await stored.recovery_codes_of(hub.context.store, hub.users["budi"])
    plain = [phone.secret, *phone.codes, *map(rules.plain_code, phone.codes)]
    held = [repr(row), repr(hashes), caplog.text]
    async with hub.of("admin") as admin, hub.of("budi") as budi:
        held += [(await admin.get(f"/api/v2/{path}")).text for path in ("users", "events", "system")]
        held += [(await budi.get(path)).text for path in ("/api/v2/auth/me", OWN)]
    async with await browser(hub) as page:
        held += [(await page.get(path)).text for path in ("/admin/users", f"/admin/users/{row.user_id}", "/events")]
    held += [file.read_bytes().decode("latin-1") for file in folder.rglob("*.sqlite3*")]
    assert not [(text[:40], secret) for text in held for secret in plain if secret in text]


async def test_while_the_disk_is_full_a_code_still_counts_once(
    hub: ApiHub, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise Unavailable("full")

    code, recovery = phone.code(), phone.codes[0]
    with monkeypatch.context() as patch:
        patch.setattr(type(hub.context.announce), "__call__", full)
        tries = [code, code, recovery, recovery]
        assert [(await login(hub, each)).status_code for each in tries] == [200, 401, 200, 401]


async def test_who_is_removed_takes_it_along(hub: ApiHub, phone: Phone) -> None:
    async with hub.of("admin") as admin:
        assert (await admin.delete(f"/api/v2/users/{hub.users['budi']}")).status_code == 204
    assert await stored.find_two_step(hub.context.store, hub.users["budi"]) is None
    assert await stored.recovery_codes_of(hub.context.store, hub.users["budi"]) == frozenset()


def test_an_older_database_gets_its_tables(tmp_path: Path) -> None:
    """Its people stay, with one step."""
    old = migrate.make_sqlite(tmp_path / "old.sqlite3", "0023")
    with old:
        people_columns = "email, name, role, created_at, updated_at"
        old.execute(f"INSERT INTO users ({people_columns}) VALUES ('a@b.c', 'A', 'admin', 1, 1)")
    old.close()
    migrate.upgrade(f"sqlite:///{tmp_path}/old.sqlite3")
    with sqlite3.connect(tmp_path / "old.sqlite3") as new:
        assert new.execute("SELECT count(*) FROM users").fetchone() == (1,)
        assert new.execute("SELECT count(*) FROM two_steps, recovery_codes").fetchone() == (0,)


async def left_without_a_code(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch, later_s: float = SECOND_STEP_S
) -> list[Any]:
    """What is on record once the time for a code is over."""
    missing, began = hub.context[AuthState].missing_codes, monotonic()
    monkeypatch.setattr(missing, "_clock", lambda: began + later_s + 60.0)
    await missing.record(hub.context.announce, hub.context.clock())
    return await events(hub, "sign_in.code_missing")


@pytest.mark.parametrize("way", ["page", "rest", "empty"])
async def test_a_right_password_that_no_code_follows_is_on_record_once(
    hub: ApiHub, phone: Phone, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    for _ in range(3):
        if way == "rest":
            await login(hub)
            continue
        async with hub.client(None, Origin=ORIGIN) as stranger:
            await first_step(hub, stranger)
            if way == "empty":
                await stranger.post("/login/code", data={"code": ""})
    assert await left_without_a_code(hub, monkeypatch, -120.0) == [], "somebody looks for their phone"
    (event,) = await left_without_a_code(hub, monkeypatch)
    assert (event["actor"], event["params"]) == (f"user:{hub.users['budi']}", {"email": EMAIL, "ip": "10.0.0.1"})
    assert len(await left_without_a_code(hub, monkeypatch)) == 1


async def test_who_finishes_and_whose_wrong_code_is_on_record_left_no_code_out(
    hub: ApiHub, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    await login(hub)
    assert (await login(hub, phone.code())).status_code == 200
    assert await left_without_a_code(hub, monkeypatch) == []
    await login(hub)
    await login(hub, "000000")
    assert await left_without_a_code(hub, monkeypatch) == []
    assert len(await events(hub, "sign_in.failed")) == 1


async def test_what_the_database_cannot_take_now_is_recorded_when_it_can(
    hub: ApiHub, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    await login(hub)

    async def away(*_changes: Any) -> list[Any]:
        raise Unavailable("away")

    announce: Any = away
    missing, began = hub.context[AuthState].missing_codes, monotonic()
    monkeypatch.setattr(missing, "_clock", lambda: began + SECOND_STEP_S + 60.0)
    with pytest.raises(Unavailable):
        await missing.record(announce, hub.context.clock())
    assert len(await left_without_a_code(hub, monkeypatch)) == 1


async def test_neither_a_phone_that_changes_networks_nor_who_is_signed_in_left_a_code_out(
    hub: ApiHub, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub.client(None, Origin=ORIGIN) as home, hub.client(None, address="10.9.0.1", Origin=ORIGIN) as away:
        await first_step(hub, home)
        away.cookies.update(home.cookies)
        assert (await away.post("/login/code", data={"code": phone.code()})).headers["location"] == "/"
    async with hub.of("budi") as budi:
        await budi.post(f"{OWN}/off", json={"code": "", "current_password": PASSWORD})
    assert await left_without_a_code(hub, monkeypatch) == []


async def test_many_networks_of_one_person_hide_nobody_else(
    hub: ApiHub, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing, store = hub.context[AuthState].missing_codes, hub.context.store
    for name, networks in (("budi", 1200), ("viewer", 1)):
        user = await users.find_user(store, hub.users[name])
        assert user is not None
        for number in range(networks):
            missing.expect(user, f"10.{number // 250}.{number % 250}.1")
    found = [event["params"]["email"].partition("@")[0] for event in await left_without_a_code(hub, monkeypatch)]
    assert sorted(found) == ["budi"] * 5 + ["viewer"]
