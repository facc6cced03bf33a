"""/views: filters, order, groups and columns of the Machines page, kept by a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from dashboard import fleet
from dashboard.fleet import FleetQuery
from db.errors import Conflict
from db.queries import saved_views
from db.queries.saved_views import SavedViewOfPerson
from db.records import SavedViewRow
from hub.model import access
from hub.model.actors import row_id
from hub.model.changes import put_rows
from hub.model.views import rfc3339
from hub.saved_views import rules
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, not_found
from hub.web.http.validation import ONE_LINE, Instant, Search
from protocol.kinds import Status

ViewName = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=rules.MAX_NAME, pattern=ONE_LINE, extra={"expect": "expect.view_name"}),
]
_SORTS: Final = "|".join(fleet.SORTS)
ViewSort = Annotated[
    str, msgspec.Meta(max_length=20, pattern=rf"^-?({_SORTS})$(?!\n)", extra={"expect": "expect.view_sort"})
]
_COLUMNS: Final = "|".join(("machine", *fleet.COLUMNS))
ViewColumns = Annotated[
    str,
    msgspec.Meta(
        max_length=100, pattern=rf"^({_COLUMNS})( ({_COLUMNS}))*$(?!\n)", extra={"expect": "expect.view_columns"}
    ),
]

ViewSpark = Literal["memory", "disk", "gpu", "temperature"]


class FleetFilter(msgspec.Struct, kw_only=True):
    """As the address of the Machines page has it. `sort`: a column, with a hyphen before it in descending order.
    `columns`: those that stand beside the machine's name, with spaces between; `machine`: none; null: all. `look` null:
    a table; `spark`: the metric of its small line, null: CPU."""

    q: Search = ""
    status: Status | None = None
    connection: Literal["offline", "late", "never"] | None = None
    tag: Search | None = None
    group: Literal["site", "tag", "status"] | None = None
    columns: ViewColumns | None = None
    look: Literal["cards", "map"] | None = None
    spark: ViewSpark | None = None
    sort: ViewSort = "machine"


class SavedView(FleetFilter, kw_only=True):
    """`owner`: who keeps it; `shared`: everybody sees it; `address`: where the Machines page shows it."""

    id: int
    name: str
    address: str
    shared: bool
    mine: bool
    owner: str
    created_at: Instant
    updated_at: Instant


class NewView(FleetFilter, kw_only=True):
    """`shared`: with everybody; for administrators."""

    name: ViewName
    shared: bool = False


class ViewPatch(msgspec.Struct):
    """Only what is named changes."""

    name: ViewName | msgspec.UnsetType = msgspec.UNSET
    q: Search | msgspec.UnsetType = msgspec.UNSET
    status: Status | msgspec.UnsetType | None = msgspec.UNSET
    connection: Literal["offline", "late", "never"] | msgspec.UnsetType | None = msgspec.UNSET
    tag: Search | msgspec.UnsetType | None = msgspec.UNSET
    group: Literal["site", "tag", "status"] | msgspec.UnsetType | None = msgspec.UNSET
    columns: ViewColumns | msgspec.UnsetType | None = msgspec.UNSET
    look: Literal["cards", "map"] | msgspec.UnsetType | None = msgspec.UNSET
    spark: ViewSpark | msgspec.UnsetType | None = msgspec.UNSET
    sort: ViewSort | msgspec.UnsetType = msgspec.UNSET
    shared: bool | msgspec.UnsetType = msgspec.UNSET


def query_of(view: SavedViewRow) -> FleetQuery:
    """What a newer hub kept and this one does not know is left out."""
    return fleet.query_from({name: str(value) for name, value in view.query.items()})


async def list_views(call: Call) -> Answer:
    found = await saved_views.seen_by(call.context.store, call.principal.id)
    return Answer([_view(call, view) for view in found])


async def save_view(call: Call) -> Answer:
    wanted: NewView = call.body
    _permit_sharing(call, wanted.shared)
    own, query = call.principal.id, _kept(msgspec.structs.asdict(wanted))
    async with call.context.counting:
        name = await _free_name(call, own, wanted.name)
        try:
            stored = await call.announce(
                *rules.saved(own, name, query, call.now, call.principal.actor, shared=wanted.shared)
            )
        except Conflict as late:
            raise _taken() from late
    view = await find(call, next(put_rows(stored, SavedViewRow)).id)
    return Answer(_view(call, view), 201, headers={"Location": f"/api/v2/views/{view.id}"})


async def edit_view(call: Call) -> Answer:
    patch: ViewPatch = call.body
    view = await named(call)
    values: dict[str, Any] = {}
    if patch.name is not msgspec.UNSET:
        values["name"] = await _free_name(call, view.user_id, patch.name, view.id)
    given = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not msgspec.UNSET}
    values["query"] = _kept(query_of(view).members() | given)
    if patch.shared is not msgspec.UNSET and patch.shared != view.shared:
        _permit_sharing(call, patch.shared)
        values["shared"] = patch.shared
    made = rules.edited(view, values, call.now, call.principal.actor)
    try:
        await call.announce(*made)
    except Conflict as late:
        if late.kind == "missing":
            raise not_found() from late
        raise _taken() from late
    return Answer(_view(call, await find(call, view.id)))


async def remove_view(call: Call) -> Answer:
    view = await named(call)
    try:
        await call.announce(*rules.removed(view, call.now, call.principal.actor))
    except Conflict as late:
        raise not_found() from late
    return Answer(status=204)


async def named(call: Call) -> SavedViewOfPerson:
    """The one of the path, that this person may change."""
    number = row_id(call.request.path_params["view_id"])
    view = await find(call, -1 if number is None else number)
    if rules.may_change(view, call.principal.id, is_admin=access.may(call.principal, "saved_view.share")):
        return view
    if view.shared:
        raise Problem("forbidden", Text("needs_role", {"role": Text("role.admin")}))
    raise not_found()


async def find(call: Call, view_id: int) -> SavedViewOfPerson:
    view = await saved_views.find(call.context.store, view_id)
    if view is None:
        raise not_found()
    return view


def _permit_sharing(call: Call, shared: bool) -> None:
    if shared and not access.may(call.principal, "saved_view.share"):
        raise Problem("forbidden", Text("needs_role", {"role": Text("role.admin")}))


async def _free_name(call: Call, user_id: int, name: str, own_id: int | None = None) -> str:
    name = rules.composed(name)
    own = await saved_views.of_user(call.context.store, user_id)
    refused = rules.refusal(own, name, own_id)
    if refused == "many":
        raise Problem("conflict", Text("too_many_views", {"most": rules.MAX_VIEWS}))
    if refused is not None:
        raise _taken()
    return name


def _taken() -> Problem:
    return Problem("conflict", Text("taken.view_name"), errors={"name": [Text("taken.view_name")]})


def _kept(given: Mapping[str, Any]) -> dict[str, str]:
    return fleet.query_from({name: str(value) for name, value in given.items() if value is not None}).members()


def _view(call: Call, view: SavedViewOfPerson) -> dict[str, Any]:
    query = query_of(view)
    known = query.members()
    return {
        "id": view.id, "name": view.name,
        "q": query.text, "sort": known.get("sort", "machine"),
        **{name: known.get(name) for name in ("status", "connection", "tag", "group", "columns", "look", "spark")},
        "address": query.address(), "shared": view.shared, "mine": view.user_id == call.principal.id,
        "owner": view.owner, "created_at": rfc3339(view.created_at), "updated_at": rfc3339(view.updated_at),
    }  # fmt: skip


_EXAMPLE = {"name": "Full in Jakarta", "status": "full", "tag": "jakarta", "sort": "-capacity"}
_CONFLICTS: Final = (404, 409)

OPERATIONS = (
    Operation(
        name="list_views", method="GET", path="/v2/views", handler=list_views, tag="Machines",
        summary="Saved views of the Machines page: your own and those shared with everybody",
        action="saved_view.keep", answers={200: list[SavedView]},
    ),
    Operation(
        name="save_view", method="POST", path="/v2/views", handler=save_view, tag="Machines",
        summary="Keep filters, order, groups and columns by a name", action="saved_view.keep", body=NewView,
        answers={201: SavedView}, refusals=(409,), example=_EXAMPLE,
    ),
    Operation(
        name="edit_view", method="PATCH", path="/v2/views/{view_id}", handler=edit_view, tag="Machines",
        summary="Rename, change or share a view", action="saved_view.keep", body=ViewPatch,
        answers={200: SavedView}, refusals=_CONFLICTS, example={"name": "Full in West Jakarta"},
        description="Your own; administrators also those shared with everybody.",
    ),
    Operation(
        name="remove_view", method="DELETE", path="/v2/views/{view_id}", handler=remove_view, tag="Machines",
        summary="Remove a view", action="saved_view.keep", answers={204: None}, refusals=(404,),
        description="Your own; administrators also those shared with everybody.",
    ),
)  # fmt: skip
