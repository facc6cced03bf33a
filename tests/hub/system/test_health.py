"""Alive and ready are two things."""

from __future__ import annotations

import asyncio

import pytest

from hub.system import api
from tests.support.api_hub import ApiHub


async def test_health_needs_no_credential_and_no_database(hub: ApiHub) -> None:
    async with hub.client() as nobody:
        answer = await nobody.get("/api/health")
    assert answer.status_code == 200
    assert answer.json()["data"] == {"status": "ok", "version": hub.context.version}


async def test_ready_says_so_on_each_database(any_hub: ApiHub) -> None:
    async with any_hub.client() as nobody:
        assert (await nobody.get("/api/ready")).status_code == 200


async def test_a_database_that_hangs_is_not_waited_for(hub: ApiHub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(hub.context.store, "fetch_one", hang)
    monkeypatch.setattr(api, "READY_WITHIN_S", 0.05)
    async with hub.client() as nobody:
        answer = await nobody.get("/api/ready")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
