"""What the forms of a lease lead to outside its page: a page of the machine, and a file of it. Both in a new tab."""

from __future__ import annotations

from starlette.responses import Response

from hub.core.row_id import row_id
from hub.web.api_v2 import remote_files, remote_pages
from hub.web.api_v2.guard import permit
from hub.web.api_v2.remote_pages import MachinePage
from hub.web.api_v2.validation import validate
from hub.web.page import Visit, go


async def open_page(visit: Visit) -> Response:
    """To the page; where it stands on a host of its own, by a form that carries the ticket there and nowhere else."""
    found = visit.machine()
    permit(visit.user, "remote.use", found.id)
    body = validate(remote_pages.PageWanted, _numbers(visit, "port", "session_id"))
    page: MachinePage = (await remote_pages.open_page(visit.call(body, machine=found))).data
    if page.enter is None:
        return go(page.url)
    return visit.render("page_enter.html", m=found, port=page.port, enter=page.enter, ticket=page.ticket)


async def download(visit: Visit) -> Response:
    found = visit.machine()
    permit(visit.user, "remote.use", found.id)
    wanted = {"path": visit.form.get("path", ""), **_numbers(visit, "session_id")}
    body = validate(remote_files.FileWanted, wanted)
    answer = (await remote_files.download(visit.call(body, machine=found))).data
    if not isinstance(answer, Response):
        raise TypeError("a download answers the file")
    return answer


def _numbers(visit: Visit, *names: str) -> dict[str, int]:
    """The form's whole numbers; what is none is left out, and refused where it was needed."""
    given = {name: row_id(visit.form.get(name, "")) for name in names}
    return {name: number for name, number in given.items() if number is not None}
