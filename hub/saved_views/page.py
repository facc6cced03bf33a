"""Shows `/views`: keeps what the Machines page shows by a name, lists what is kept. And the views above its table."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import anyio
from starlette.responses import Response

from dashboard import fleet
from db.errors import StoreError
from db.queries import saved_views
from hub.saved_views import api, rules
from hub.web.http.problems import Problem, not_found
from hub.web.http.validation import validate
from hub.web.shell.page import Visit, go

WITHIN_S: Final = 0.5
"""The Machines page waits no longer for them."""


class ShownView(NamedTuple):
    """`owner` "": one's own; `words`: what it shows."""

    id: int
    name: str
    address: str
    words: str
    shared: bool
    owner: str
    may_change: bool


async def above_the_table(visit: Visit) -> list[ShownView]:
    """None while the database is away or slow: the machines are shown without them."""
    try:
        with anyio.fail_after(WITHIN_S):
            return await _seen(visit)
    except (StoreError, TimeoutError):
        return []


async def show_views(visit: Visit) -> Response:
    """`?q=` and so on: the view that may be kept."""
    return await _page(visit, fleet.query_from(visit.request.query_params))


async def save_view(visit: Visit) -> Response:
    form = visit.form
    query = fleet.query_from(form)
    wanted: dict[str, Any] = {"name": rules.composed(form.get("name", "")), "shared": "shared" in form}
    try:
        await api.save_view(visit.call(validate(api.NewView, query.members() | wanted)))
    except Problem as refused:
        return await _page(visit, query, ("bad", visit.sentence(refused)), refused.status, given=wanted)
    return go(query.address())


async def change_view(visit: Visit) -> Response:
    form, what = visit.form, visit.request.path_params["what"]
    try:
        if what == "remove":
            await api.remove_view(visit.call())
        elif what in ("share", "unshare"):
            await api.edit_view(visit.call(api.ViewPatch(shared=what == "share")))
        elif what == "rename":
            patch = validate(api.ViewPatch, {"name": rules.composed(form.get("name", ""))})
            await api.edit_view(visit.call(patch))
        else:
            raise not_found()
    except Problem as refused:
        if refused.kind not in ("conflict", "invalid"):
            raise
        return await _page(visit, fleet.FleetQuery(), ("bad", visit.sentence(refused)), refused.status)
    return go("/views")


async def to_views(_visit: Visit) -> Response:
    return go("/views")


async def _page(
    visit: Visit, query: fleet.FleetQuery, notice: tuple[str, str] | None = None, status: int = 200,
    given: dict[str, Any] | None = None,
) -> Response:  # fmt: skip
    return visit.render(
        "views.html", status, notice=notice, query=query, members=query.members(),
        words=fleet.described(query, visit.reader), views=await _seen(visit), may_share=visit.may("saved_view.share"),
        given=given or {"name": "", "shared": False}, most=rules.MAX_VIEWS, longest=rules.MAX_NAME,
    )  # fmt: skip


async def _seen(visit: Visit) -> list[ShownView]:
    user, is_admin = visit.user, visit.may("saved_view.share")
    return [
        ShownView(
            view.id, view.name, query.address(), fleet.described(query, visit.reader), view.shared,
            "" if view.user_id == user.id else view.owner, rules.may_change(view, user.id, is_admin=is_admin),
        )
        for view in await saved_views.seen_by(visit.context.store, user.id)
        for query in (api.query_of(view),)
    ]  # fmt: skip
