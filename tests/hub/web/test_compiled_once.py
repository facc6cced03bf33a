"""Whatever people and programs ask for, each select is compiled once: that costs more than many a read."""

from __future__ import annotations

import pytest

from tests.support.api_hub import ApiHub
from tests.support.compilations import compilations
from tests.support.page_visitor import browser

MACHINE = "/machines/{n}"
PAGES = (
    "/", "/?q={n}", "/map", "/jobs", "/jobs?state=pending&machine={n}", "/jobs?range=24h", "/events",
    "/events?range=24h&q=a{n}&kind=status", "/events?actor=user&machine={n}", "/events/lines?machine={n}", "/alerts",
    "/alerts?show=over", "/alerts?show=over&page={n}", "/alerts/rules", "/account", "/views", "/admin/system",
    "/admin/users", "/admin/users/{n}", "/admin/tokens", "/admin/backups", "/admin/enrol", "/admin/notifications",
    MACHINE, *(f"{MACHINE}/{tab}" for tab in ("history", "events", "backups", "remote", "settings", "key", "enrol")),
)  # fmt: skip
OF_MACHINE = "/api/v2/rvms/{n}"
RESOURCES = (
    "/api/v2/rvms", "/api/v2/commands", "/api/v2/commands?name=reboot&limit={n}", "/api/v2/events?limit={n}",
    "/api/v2/troubles", "/api/v2/troubles?state=over&limit={n}", "/api/v2/users/{n}/sessions", "/api/v2/tokens",
    "/api/v2/backups/statistics", "/api/v2/enrolments", "/api/v2/notifications?limit={n}", "/api/v2/system",
    *(
        f"{OF_MACHINE}/{what}"
        for what in (
            "status/history", "status/history?from=2026-01-0{n}T00:00:00Z", "metrics", "commands", "events", "backups",
            "backup/status", "restores", "remote-access/history", "remote-access/recordings", "config",
        )
    ),
)  # fmt: skip


async def test_what_is_read_again_has_no_select_compiled_again(
    any_hub: ApiHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = compilations(monkeypatch)
    known: set[str] = set()
    async with await browser(any_hub, "admin") as admin, any_hub.program("admin") as program:
        for n in (1, 2):
            for path in PAGES:
                assert (await admin.get(path.format(n=n))).status_code == 200, path
            for path in RESOURCES:
                assert (await program.get(path.format(n=n))).status_code == 200, path
            again = known.intersection(compiled)
            known.update(compiled)
            compiled.clear()
    assert known
    assert again == set()
