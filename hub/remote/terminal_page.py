"""`/machines/{id}/terminal`: the short way to a terminal, or to a page of the machine: a reason, and one button."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from hub.model.actors import row_id
from hub.model.machine import Machine
from hub.remote.page import begin, offer_of, page_names, part_place
from hub.remote.rules import life
from hub.web.shell.page import Visit, go


async def show_terminal(visit: Visit) -> Response:
    """Asks for a reason; who has a session goes straight to its terminal, or with `page` to the machine's pages."""
    found = visit.machine()
    if any(session.admin_id == visit.user.id for session in life.open_of(found)):
        return go(_place_of(visit, found))
    return await _terminal_form(visit, found)


async def open_terminal(visit: Visit) -> Response:
    return await begin(visit, _terminal_form, _place_of(visit, visit.machine()))


async def _terminal_form(visit: Visit, found: Machine, fault: str = "", status: int = 200) -> Response:
    values = await part_place(visit)
    return visit.render("terminal.html", status, **values, wanted=_page_wanted(visit, found), fault=fault)


def _page_wanted(visit: Visit, found: Machine) -> tuple[int, str] | None:
    """Port and name of the page that is wanted rather than the terminal."""
    port = row_id(visit.form.get("page", "") or visit.request.query_params.get("page", ""))
    name = page_names(visit.reader, found).get(port or 0)
    return None if port is None or name is None else (port, name)


def _place_of(visit: Visit, found: Machine) -> str:
    return f"/machines/{found.id}/remote#{'terminal' if _page_wanted(visit, found) is None else 'pages'}"


async def front_card(visit: Visit, found: Machine) -> dict[str, Any]:
    """What somebody in front of the machine may open: its pages by name, with their own session where there is one."""
    own = life.held(found.remote_sessions, visit.user.id, None, visit.now)
    offer = await offer_of(visit, found)
    return {
        "pages": page_names(visit.reader, found),
        "own": None if own is None else own.id,
        "own_ports": () if own is None or not life.allows(own, "ports") else own.ports or (),
        "refusal": offer.refusal if own is None else "",
    }
