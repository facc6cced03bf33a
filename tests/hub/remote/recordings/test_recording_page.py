"""The page of a recorded terminal without script: what it tells to whom, and how it is deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.api_hub import ApiHub, api_hub
from tests.support.page_visitor import browser
from tests.support.session_record import REMOTE, lease, moved, page_of, recording


@pytest_asyncio.fixture
async def hub(tmp_path: Path, sqlite_url: str) -> AsyncIterator[ApiHub]:
    async with api_hub(tmp_path, database_url=sqlite_url) as made:
        await made.add_everybody()
        yield made


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            ["Recording: ", "From address", "Kept until", "Download", "Typing recorded too", "2.1 kB", "1\u202fmin"],
        ),
        ("id", ["Rekaman: ", "Unduh", "2,1 kB"]),
    ],
)
async def test_a_recording_shows_whose_it_is(hub: ApiHub, language: str, words: list[str]) -> None:
    session = await lease(hub)
    made = await recording(hub, session, hub.context.clock())
    assert f'href="/recordings/{made}"' not in await page_of(hub, "viewer"), "who may not play it is not led there"
    page = await page_of(hub, "operator", language, f"/recordings/{made}")
    for said in (*words, "operator", "The camera is dark", "10.0.0.1"):
        assert said in page, said
    assert f' data-recording="{made}"' in page
    assert " data-id=" not in page, "to the palette that were a machine's number"
    assert f"/recordings/{made}/delete" not in page
    assert f"/recordings/{made}/delete" in await page_of(hub, "admin", language, f"/recordings/{made}")
    async with await browser(hub, "viewer") as viewer:
        assert (await viewer.get(f"/recordings/{made}")).status_code == 403


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "1 · You need the role Operator for this"), ("id", "1 · Perlu peran Operator untuk ini")],
)
async def test_a_past_session_says_that_it_has_recordings_to_who_may_not_play_them(
    hub: ApiHub, language: str, words: str
) -> None:
    now = hub.context.clock()
    over = {"status": "expired", "end_time": now, "end_reason": "timed_out", "ended_by": "system"}
    with_one, without = await lease(hub), await lease(hub)
    made = await recording(hub, with_one, now)
    for session in (with_one, without):
        await moved(hub, session, **over)
    for name in ("viewer", "operator"):
        page = await page_of(hub, name, language)
        table = page[
            page.index('<table class="history">') : page.index("</table>", page.index('<table class="history">'))
        ]
        assert (words in table, f'href="/recordings/{made}"' in table) == (name == "viewer", name == "operator")
        assert table.count('<span class="muted">—</span>') == 1, "the session without one"


async def test_a_recording_is_deleted_by_its_machines_name_alone(hub: ApiHub) -> None:
    made = await recording(hub, await lease(hub), hub.context.clock())
    async with await browser(hub, "admin") as admin, await browser(hub, "operator") as operator:
        token = {"csrf_token": admin.headers["X-CSRF-Token"]}
        assert (await operator.post(f"/recordings/{made}/delete", data={"confirm": "one"})).status_code == 403
        answer = await admin.post(f"/recordings/{made}/delete", data={"confirm": "two", **token})
        assert answer.status_code == 422
        assert "Type one to confirm" in answer.text
        answer = await admin.post(f"/recordings/{made}/delete", data={"confirm": "one", **token})
        assert answer.headers["location"] == REMOTE
        assert (await admin.get(f"/recordings/{made}")).status_code == 404
