"""The authenticator app of somebody, at a hub in this process."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx

from hub.people.two_step import rules
from tests.support.api_hub import PASSWORD, ApiHub

OWN = "/api/v2/auth/two-step"
EMAIL = "budi@example.com"


class Phone:
    """The app of somebody, and what they stored on paper. Its clock is the hub's, which only the test
    moves: a busy computer makes no code late."""

    def __init__(self, hub: ApiHub) -> None:
        self._at = hub.context.clock()
        self.secret, self.codes = "", list[str]()
        hub.context.clock = self._now

    def _now(self) -> datetime:
        return self._at

    def code(self, steps: int = 0) -> str:
        """Steps later than now (or earlier, below 0)."""
        return rules.code_at(self.secret, rules.step_at(self._now()) + steps)

    def next_code(self) -> str:
        """In another step than any before."""
        self._at += timedelta(seconds=rules.STEP_S)
        return self.code()

    def wait(self, **time: float) -> None:
        self._at += timedelta(**time)

    async def turn_on(self, client: httpx.AsyncClient, password: str | None = PASSWORD) -> httpx.Response:
        made = await client.post(f"{OWN}/secret")
        self.secret = made.json()["data"]["secret"]
        answer = await client.post(OWN, json={"code": self.code(), "current_password": password})
        self.codes = answer.json().get("data", {}).get("recovery_codes", [])
        return answer


async def login(hub: ApiHub, code: str | None = None, password: str = PASSWORD) -> httpx.Response:
    more = {} if code is None else {"code": code}
    async with hub.client() as client:
        return await client.post("/api/v2/auth/login", json={"email": EMAIL, "password": password, **more})


async def first_step(hub: ApiHub, client: httpx.AsyncClient, **more: str) -> httpx.Response:
    answer = await client.post("/login", data={"email": EMAIL, "password": PASSWORD, **more})
    client.cookies.update(answer.cookies)
    return answer


async def events(hub: ApiHub, code: str) -> list[dict[str, Any]]:
    async with hub.of("admin") as admin:
        found: list[dict[str, Any]] = (await admin.get("/api/v2/events", params={"code": code})).json()["data"]
    return found
