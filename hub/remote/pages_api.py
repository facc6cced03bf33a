"""/rvms/{id}/remote-access/pages: opens a page of the machine, and answers with its address."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import msgspec

from db.records import RemoteSessionRow
from hub.model.changes import EventHappened
from hub.remote.machine_pages import proxy_request
from hub.remote.machine_pages.open_pages import OpenPage, OpenPages
from hub.remote.machine_pages.own_host import ENTRANCE, names_of
from hub.remote.machine_pages.sandbox import BELOW
from hub.remote.rules import life
from hub.web.api.operation import Answer, Call, Operation
from hub.web.http.problems import Problem, Text, one_wrong
from hub.web.http.validation import Row

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class PageWanted(msgspec.Struct):
    """`port`: one of the session's. `session_id`: which, when the caller holds several."""

    port: Port
    session_id: Row | None = None


class OpenedPage(msgspec.Struct):
    """`sandbox`: open `url` in a new tab. `host`: post `ticket` as a form to `enter`, within a minute, once; then
    the page is at `url`."""

    session_id: int
    port: int
    mode: Literal["sandbox", "host"]
    url: str
    enter: str | None
    ticket: str | None


def held(call: Call, part: str, session_id: int | None) -> RemoteSessionRow:
    """The caller's own, that allows `part`. Raises Problem."""
    session = life.held(call.machine.remote_sessions, call.principal.id, session_id, call.now)
    if session is None or call.principal.kind != "user":
        raise Problem("conflict", Text("remote_use.no_lease"))
    if not proxy_request.address_allowed(call.machine, call.address):
        raise Problem("forbidden", Text("remote_use.address", {"address": call.address}))
    if not life.allows(session, part):
        raise Problem("conflict", Text(f"remote_use.without_{part}"))
    return session


async def open_page(call: Call) -> Answer:
    wanted: PageWanted = call.body
    session = held(call, "ports", wanted.session_id)
    if wanted.port not in (session.ports or ()):
        raise one_wrong("port", "remote_use.ports", ports=list(session.ports or ()))
    context = call.context
    page = OpenPage(call.machine.id, session.id, call.principal.id, wanted.port)
    await context.announce(
        EventHappened(
            at=call.now, code="remote.page_opened", actor=call.principal.actor, rvm_id=call.machine.id,
            params={"session_id": session.id, "port": wanted.port},
        )
    )  # fmt: skip
    context[OpenPages].purge(partial(proxy_request.alive, context))
    names = names_of(context.settings)
    if names is None:
        url = f"{context.settings.base_path}{BELOW}{context[OpenPages].capability(page)}/"
        return Answer(_view(page, "sandbox", url), 201)
    label = context[OpenPages].label(page)
    origin = names.origin(label)
    return Answer(_view(page, "host", f"{origin}/", f"{origin}{ENTRANCE}", context[OpenPages].ticket(label)), 201)


def _view(
    page: OpenPage, mode: Literal["sandbox", "host"], url: str, enter: str | None = None, ticket: str | None = None
) -> OpenedPage:
    return OpenedPage(
        session_id=page.session_id, port=page.port, mode=mode, url=url, enter=enter, ticket=ticket
    )  # fmt: skip


OPERATIONS = (
    Operation(
        name="open_machine_page", method="POST", path="/v2/rvms/{id}/remote-access/pages", handler=open_page,
        tag="Remote access", summary="Open a page that the machine serves on one of its own ports",
        action="remote.open_page", body=PageWanted, answers={201: OpenedPage}, refusals=(409,), example={"port": 5000},
        description="For the holder of an active lease that allows ports. The address is worth nothing once the lease "
        "is over, and is to be treated like a password until then: whoever has it and comes from an address in the "
        "machine's admin_ips reaches that port.",
    ),
)  # fmt: skip
