"""A destination chooses kinds of trouble, or single causes of them: in REST, on the page, and in what is sent."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dashboard.trouble import HEALTH_CAUSES, RANKS
from db.queries import notifications as stored
from hub.attention.rules import GROUPS, KIND_OF
from hub.model.effective_settings import Limits
from hub.model.presence import judge_readings
from hub.notifications import rules
from hub.notifications.rules import AskedAccess, Lost
from protocol.messages import Sample
from tests.hub.notifications.test_rules import MINUTE, NOW, destination, new, stored_row, there, trouble
from tests.support.api_hub import ApiHub
from tests.support.page_visitor import browser

PLACES = "/api/v2/notification-destinations"
PLACE = {"name": "Operators", "address": "tgram://1:a/2"}
FORM = {
    "name": "Jakarta", "address": "tgram://1:a/2", "language": "id", "timezone": "Asia/Jakarta", "after": "2",
    "remind_h": "", "quiet_from": "", "quiet_to": "", "per_hour": "20", "also_over": "on",
}  # fmt: skip


def test_every_cause_is_of_one_kind() -> None:
    assert sorted(RANKS) == sorted(cause for causes in GROUPS.values() for cause in causes)


def test_a_reading_that_is_a_cause_is_judged() -> None:
    """Else its name could be chosen, and nobody would ever be told."""
    readings: dict[str, Any] = dict.fromkeys(
        (name for name in Sample.__struct_fields__ if name not in ("timestamp", "reasons")), 1e6
    )
    _, reasons = judge_readings(Sample(timestamp="", **readings), Limits())
    assert {reason.code for reason in reasons} == set(HEALTH_CAUSES)


@pytest.mark.parametrize(
    ("chosen", "sent"),
    [
        ({}, {"offline", "hot", "backup_late", "backup_unverified"}),
        ({"causes": ("offline",)}, {"offline"}),
        ({"kinds": ("backups",)}, {"backup_late", "backup_unverified"}),
        ({"kinds": ("backups",), "causes": ("hot", "backup_late")}, {"hot", "backup_late", "backup_unverified"}),
    ],
)
def test_a_whole_kind_or_single_causes_are_sent(chosen: dict[str, Any], sent: set[str]) -> None:
    found = there(
        trouble(1, "offline"), trouble(2, "hot"), trouble(3, "backup_late"), trouble(4, "backup_unverified")
    )  # fmt: skip
    made = new(rules.decide(destination(**chosen), (), found, NOW))
    assert {key.rpartition("-")[2] for _, key in made} == sent


def test_outages_and_requests_for_access_are_causes_too() -> None:
    lost, asked = Lost((1, 2, 3), 4, "Mall", NOW - MINUTE), AskedAccess(7, 2, "Budi", "camera is dark", NOW)
    found = there(outages=[lost], asked=[asked])
    assert [kind for kind, _ in new(rules.decide(destination(causes=("offline",)), (), found, NOW))] == ["outage"]
    assert [kind for kind, _ in new(rules.decide(destination(causes=("approval",)), (), found, NOW))] == ["approval"]
    assert new(rules.decide(destination(causes=("never",)), (), found, NOW)) == []


def test_the_end_is_sent_of_what_was_sent_whatever_is_chosen_now() -> None:
    to = destination(causes=("hot",))
    assert rules.decide(to, (), there(trouble(cause="error")), NOW) == []
    assert rules.decide(to, (), there(), NOW) == [], "nothing began for it: nothing is over"
    row = stored_row(to, there(trouble(cause="hot")), state="sent", sent_at=NOW)
    other = replace(to, causes=("disk",))
    assert rules.decide(other, (row,), there(trouble(cause="hot")), NOW) == [], "it goes on"
    assert [kind for kind, _ in new(rules.decide(other, (row,), there(), NOW))] == ["over"]
    waits = replace(row, state="waiting", sent_at=None)
    (dropped,) = rules.decide(other, (waits,), there(trouble(cause="hot")), NOW)
    assert new([dropped]) == [], "what is not wanted any more is not sent"


async def test_rest_chooses_causes_and_names_those_it_knows(hub: ApiHub) -> None:
    async with hub.of("admin") as admin:
        answer = await admin.post(PLACES, json={**PLACE, "causes": ["weather"]})
        assert answer.status_code == 422
        assert "backup_unverified" in answer.json()["errors"]["causes"][0]
        made = (await admin.post(PLACES, json={**PLACE, "causes": ["offline", "hot", "hot"]})).json()["data"]
        assert (made["kinds"], made["causes"]) == (None, ["offline", "hot"])
        path = f"{PLACES}/{made['id']}"
        assert (await admin.patch(path, json={"kinds": ["backups"]})).json()["data"]["causes"] == ["offline", "hot"]
        assert (await admin.patch(path, json={"causes": None})).json()["data"]["kinds"] == ["backups"]
        shape = (await admin.get("/api/v2/openapi.json")).json()["components"]["schemas"]["NewDestination"]
        assert str(sorted(KIND_OF)[0]) in str(shape["properties"]["causes"])


async def test_the_page_chooses_causes(hub: ApiHub) -> None:
    async with await browser(hub, "admin") as client:
        data = {**FORM, "kinds": ["away", "approval"], "causes": ["offline", "hot"]}
        made = await client.post("/admin/notifications", data=data)
        assert made.status_code == 303, made.text
        here = made.headers["location"].partition("?")[0]
        (row,) = await stored.all_destinations(hub.context.store)
        assert (row.kinds, row.causes) == (("away", "approval"), ("hot",)), "offline is of a kind that is sent wholly"
        page = (await client.get(here)).text
        assert 'name="causes" value="hot" checked' in page
        assert 'name="causes" value="disk" checked' not in page
        assert 'name="kinds" value="health" checked' not in page
        await client.post(here, data={**FORM, "address": "", "kinds": list(GROUPS), "causes": ["hot"]})
        (row,) = await stored.all_destinations(hub.context.store)
        assert (row.kinds, row.causes) == (None, None), "everything"
        page = (await client.get(here)).text
        assert page.count('name="kinds"') == page.count("checked><span>") - page.count('name="also_over" checked')
        await client.post(here, data={**FORM, "address": "", "causes": ["disk"]})
        (row,) = await stored.all_destinations(hub.context.store)
        assert (row.kinds, row.causes) == (None, ("disk",)), "this one alone"
        assert 'name="kinds" value="health" checked' not in (await client.get(here)).text
