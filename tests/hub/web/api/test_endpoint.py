"""One shape for every answer, whatever was wrong."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from db.errors import Unavailable
from hub.model import views
from hub.web.auth.state import AuthState
from hub.web.http.problems import MEDIA_TYPE
from tests.support.api_hub import ApiHub


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["cache-control"] == "no-store"
    document: dict[str, Any] = answer.json()
    assert {"success", "message", "type", "title", "status", "detail"} <= set(document)
    assert document["success"] is False
    assert document["status"] == status
    assert document["message"] == document["detail"]
    assert "Traceback" not in answer.text
    assert "hub/" not in answer.text
    return document


async def test_every_refusal_is_a_problem_document(hub: ApiHub) -> None:
    jsonish = {"Content-Type": "application/json"}
    async with hub.of("admin") as admin, hub.of("viewer") as viewer, hub.client() as nobody:
        problem(await admin.post("/api/v2/rvms", content=b"{", headers=jsonish), 400)
        assert "bearer" in (await nobody.get("/api/v2/rvms")).headers["www-authenticate"].lower()
        problem(await nobody.get("/api/v2/rvms"), 401)
        assert "Administrator" in problem(await viewer.post("/api/v2/rvms", json={"name": "x"}), 403)["detail"]
        problem(await admin.get("/api/v2/rvms/nix"), 404)
        problem(await admin.get("/api/v2/nowhere/at/all"), 404)
        problem(await admin.get("/api"), 404)
        problem(await admin.get("/api/v2"), 404)
        problem(await admin.get("/api/v2/rvms/"), 404)
        refused = await admin.put("/api/v2/rvms", json={})
        problem(refused, 405)
        assert refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        problem(await admin.post("/api/v2/rvms", json={"name": "one"}), 409)
        problem(await admin.post("/api/v2/rvms", content=b"x" * 70_000, headers=jsonish), 413)
        problem(await admin.post("/api/v2/rvms", content=b"name=x"), 415)
        assert problem(await admin.post("/api/v2/rvms", json={"name": 5}), 422)["errors"]["name"]


async def test_success_has_its_envelope(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        answer = await admin.get("/api/v2/rvms")
    assert list(answer.json()) == ["success", "data"]
    assert answer.json()["success"] is True
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_head_is_get_without_a_body_and_options_names_the_methods(hub: ApiHub) -> None:
    async with hub.of("viewer") as viewer, hub.client() as nobody:
        for path in ("/api/v2/rvms", "/api/v2/rvms/99"):
            got, head = await viewer.get(path), await viewer.head(path)
            assert head.content == b""
            assert (head.status_code, head.headers["content-length"]) == (
                got.status_code,
                got.headers["content-length"],
            )
        assert (await nobody.head("/api/v2/rvms")).status_code == 401
        options = await nobody.options("/api/v2/rvms/1")
        assert (options.status_code, options.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH")
        assert "access-control-allow-origin" not in options.headers


async def test_a_database_that_is_away_is_503_with_a_time_to_come_back(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("SECRET host db-1")

    async with hub.of("admin") as admin:
        assert (await admin.get("/api/v2/rvms")).status_code == 200
        monkeypatch.setattr(hub.context.store, "fetch_one", away)
        monkeypatch.setattr(hub.context.store, "fetch_all", away)
        for path in ("/api/v2/events", "/api/v2/users", "/api/ready"):
            answer = await admin.get(path)
            problem(answer, 503)
            assert int(answer.headers["retry-after"]) >= 1
            assert "SECRET" not in answer.text
        assert (await admin.get("/api/v2/rvms")).status_code == 200, "the fleet is in memory"
        assert (await admin.get("/api/health")).status_code == 200
        hub.context[AuthState].credentials.drop_all()
        problem(await admin.get("/api/v2/rvms"), 503)
    async with hub.of("one") as machine:
        assert (await machine.get("/api/v2/rvms/1")).status_code == 200, "a machine's key is in memory too"


async def test_what_may_be_stored_all_the_same_is_not_called_lost_or_undone(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        raise Unavailable("it took too long", outcome_unknown=True)

    monkeypatch.setattr(hub.context, "announce", silent)
    async with hub.of("admin") as admin:
        answer = await admin.patch("/api/v2/rvms/1", json={"name": "Lobby"})
    assert "look first" in problem(answer, 503)["detail"]


async def test_a_mistake_of_ours_shows_a_number_and_nothing_else(
    hub: ApiHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("SECRET /home/path")

    monkeypatch.setattr(views, "machine_view", broken)
    async with hub.of("admin") as admin:
        answer = await admin.get("/api/v2/rvms/1")
    document = problem(answer, 500)
    assert "SECRET" not in answer.text
    number = document["detail"].split()[-1].rstrip(".")
    assert number in caplog.text


async def test_messages_come_in_the_callers_language(hub: ApiHub) -> None:
    async with hub.client() as nobody:
        for header, title in (
            ("id", "Masuk dahulu"), ("id-ID,id;q=0.9,en;q=0.8", "Masuk dahulu"), ("in", "Masuk dahulu"),
            ("en;q=0.9,id;q=0.1", "Sign in first"), ("fr", "Sign in first"), ("", "Sign in first"),
            ("id;q=x,en", "Sign in first"), ("fr,id;q=0.5", "Masuk dahulu"), (",;q=,,", "Sign in first"),
        ):  # fmt: skip
            answer = await nobody.get("/api/v2/rvms", headers={"Accept-Language": header})
            assert problem(answer, 401)["title"] == title, header


async def test_bodies_that_are_no_object_are_refused(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        wrong: list[Any] = [[], None, 5, "x", [[]], True]
        for body in wrong:
            jsonish = {"Content-Type": "application/json"}
            problem(await admin.post("/api/v2/rvms", content=json.dumps(body), headers=jsonish), 422)
        problem(await admin.post("/api/v2/rvms", content=b"", headers={"Content-Type": "application/json"}), 400)
        deep = json.dumps({"name": "x", "x": 1})[:-1] + ',"y":' + "[" * 3000 + "]" * 3000 + "}"
        problem(await admin.post("/api/v2/rvms", content=deep, headers={"Content-Type": "application/json"}), 400)


async def test_hostile_paths_lead_nowhere(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        for key in (
            "%00",
            "..%2f..",
            "1%2f..",
            "%ff",
            "x" * 3000,
            "-1",
            "1e1",
            "٣",
            "999999999999999999999",
            " 1",
            "1;x",
        ):
            problem(await admin.get(f"/api/v2/rvms/{key}"), 404)
            problem(await admin.get(f"/api/v2/commands/{key}"), 404)
