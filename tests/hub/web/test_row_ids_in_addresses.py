"""Ids as addresses carry them, on both databases: what no row has is not there, and never an error of the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from hub.model.actors import MAX_ROW_ID
from tests.support.api_hub import ApiHub, api_hub

OF_NO_ROW = (str(MAX_ROW_ID), str(MAX_ROW_ID + 1), "9" * 15, "9" * 5000, "-1", "\u0661")


@pytest_asyncio.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=database_url) as made:
        await made.add_everybody()
        yield made


async def test_what_no_row_has_is_not_there(hub: ApiHub) -> None:
    async with hub.of("admin") as admin, hub.browser(await hub.add_session("admin")) as page:
        for written in OF_NO_ROW:
            for path in ("users", "recordings", "rvms"):
                assert (await admin.get(f"/api/v2/{path}/{written}")).status_code == 404, (path, written)
            assert (await admin.delete(f"/api/v2/tokens/{written}")).status_code == 404, written
            for path in ("admin/users", "machines", "recordings"):
                assert (await page.get(f"/{path}/{written}")).status_code == 404, (path, written)


async def test_a_list_that_begins_there_is_a_list(hub: ApiHub) -> None:
    one = f"machines/{hub.machines['one']}"
    async with hub.of("admin") as admin, hub.browser(await hub.add_session("admin")) as page:
        for written in OF_NO_ROW:
            for path in ("jobs?rvm", f"{one}/remote?before", "events?before", f"{one}?before"):
                assert (await page.get(f"/{path}={written}")).status_code == 200, (path, written)
        history = f"/api/v2/rvms/{hub.machines['one']}/remote-access/history?before"
        assert (await admin.get(f"{history}={MAX_ROW_ID}")).status_code == 200
        assert (await admin.get(f"{history}={MAX_ROW_ID + 1}")).status_code == 422
