"""`/admin/settings`: what holds for every machine that does not say otherwise, and how many run it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.responses import Response

from db import users
from hub.machine_settings import form as settings_form
from hub.machine_settings import rows as settings_rows
from hub.machine_settings.form import Said
from hub.model.actors import user as user_actor
from hub.model.machine import Machine
from hub.web.shell.page import Visit, go, who


@dataclass
class Spread:
    """How far the wanted settings have come: machines that run them, that are away, that lag, that refused some."""

    total: int = 0
    same: int = 0
    away: int = 0
    behind: int = 0
    # Bound: one page's, a machine each.
    errors: list[tuple[int, str]] = field(default_factory=list)


async def show_fleet_settings(visit: Visit) -> Response:
    return await _fleet_page(
        visit, Said(note=settings_form.note_of(visit, visit.context.fleet.settings.written.version))
    )


async def save_fleet_settings(visit: Visit) -> Response:
    said = await settings_form.save(visit, None)
    return go(f"/admin/settings?said={said}") if isinstance(said, str) else await _fleet_page(visit, said)


async def _fleet_page(visit: Visit, said: Said) -> Response:
    reader, fleet = visit.reader, visit.context.fleet.settings
    changed = await settings_rows.changed_last(visit.context.store, None)
    shown = {actor for actor, _, _ in changed.values()} | {fleet.written.by}
    everybody = await users.all_users(visit.context.store)
    names = {str(user.id): user.name for user in everybody if user_actor(user.id) in shown}
    rows = settings_rows.rows_of(
        reader, fleet.shared.values, fleet.written.values, fleet.base, lambda _: "default", changed, {}
    )
    form = settings_form.values_of(
        visit, rows, said, scope="fleet", version=fleet.written.version, action="/admin/settings",
        address="/api/v2/config", may_edit=visit.may("fleet_config.write"),
    )  # fmt: skip
    return visit.render(
        "fleet_settings.html",
        said.status,
        names=names,
        who=lambda actor: who(reader, actor, names),
        spread=spread(m for m in visit.context.fleet.machines.values() if visit.user.reaches(m.id)),
        **settings_form.written(fleet.written),
        **form,
    )


def spread(machines: Iterable[Machine]) -> Spread:
    found = Spread()
    for machine in machines:
        found.total += 1
        if machine.config_version >= machine.effective_settings.version:
            found.same += 1
        elif machine.connection in ("offline", "never"):
            found.away += 1
        else:
            found.behind += 1
        if machine.config_errors:
            found.errors.append((machine.id, machine.name))
    return found
