"""`/bulk/undo`: takes back what many machines were just asked for."""

from __future__ import annotations

from starlette.responses import Response

from hub.commands import cards
from hub.status import service
from hub.web.api.endpoint import permit
from hub.web.shell.page import Visit


async def undo_many(visit: Visit) -> Response:
    permit(visit.user, "command.send")
    group = visit.form.get("group", "")
    data = await service.take_back_group(visit.call(), group)
    asked = [row["command"] for row in data["results"] if row["command"] is not None]
    again = any(command["group_id"] == data["group_id"] for command in asked)
    return visit.render(
        "bulk.html", key="undo", machines=data["results"], refused=cards.refusals(visit, data), fault="",
        group=data["group_id"] if again else group, can_undo=False,
    )  # fmt: skip
