"""A machine that reaches the hub without encryption: its page shows that for as long as it reports it."""

from __future__ import annotations

import pytest

from db.records import MachineRow
from hub.machines.tab import is_unencrypted
from hub.model.changes import Patch
from tests.support.api_hub import ApiHub


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        (None, False), ({}, False), ({"hub_tls": "plain"}, False), ({"hub_tls": {"mode": "pinned"}}, False),
        ({"hub_tls": {"mode": "loopback"}}, False), ({"hub_tls": {"mode": "plain"}}, True),
    ],
)  # fmt: skip
def test_only_what_it_reports_itself_counts(hardware: dict[str, object] | None, expected: bool) -> None:
    assert is_unencrypted(hardware) is expected


async def test_its_page_shows_it_in_both_languages(hub: ApiHub) -> None:
    machine = next(iter(hub.context.fleet.machines.values()))
    async with hub.browser(await hub.add_session("viewer")) as viewer:
        assert "allow_plain_http" not in (await viewer.get(f"/machines/{machine.id}")).text
        await hub.context.announce(Patch(MachineRow, machine.id, {"hardware": {"hub_tls": {"mode": "plain"}}}))
        page = (await viewer.get(f"/machines/{machine.id}")).text
        assert "without encryption" in page
        viewer.headers["Accept-Language"] = "id"
        assert "tanpa enkripsi" in (await viewer.get(f"/machines/{machine.id}/events")).text
