"""A person at the pages of a hub in this process: a session, a language, and our own origin."""

from __future__ import annotations

import httpx

from tests.support.api_hub import ApiHub


async def browser(hub: ApiHub, name: str = "admin", language: str = "en") -> httpx.AsyncClient:
    client = hub.browser(await hub.add_session(name))
    client.headers["Cookie"] += f"; rvm_language={language}"
    return client
