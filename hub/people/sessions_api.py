"""/auth/sessions and /users/{user_id}/sessions: where somebody is signed in, and ending that."""

from __future__ import annotations

import msgspec

from db.queries import credentials, users
from db.queries.users import UserWithMachines
from db.records import SessionRow
from hub.model import views
from hub.model.actors import row_id
from hub.people import rules
from hub.people.users_api import named
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.problems import Text, not_found


@of_record(SessionRow, without=("user_id", "hash"))
class Session(msgspec.Struct):
    """`ip` and `user_agent` are those of the sign-in; `last_used_at` is noted every five minutes; `current` is the one
    that asks."""

    current: bool


async def list_own_sessions(call: Call) -> Answer:
    return await _listed(call, await _oneself(call))


async def end_own_session(call: Call) -> Answer:
    return await _end(call, await _oneself(call))


async def sign_out_everywhere(call: Call) -> Answer:
    return await _end_all(call, await _oneself(call))


async def list_user_sessions(call: Call) -> Answer:
    return await _listed(call, await named(call))


async def end_user_session(call: Call) -> Answer:
    return await _end(call, await named(call))


async def end_user_sessions(call: Call) -> Answer:
    return await _end_all(call, await named(call))


async def sessions_of(call: Call, user: UserWithMachines) -> list[Session]:
    rows = await credentials.sessions_of(call.context.store, user.id, call.now)
    here = call.principal.credential_id if call.principal.is_signed_in else 0
    return [msgspec.convert(views.answer(Session, row, current=row.id == here), Session) for row in rows]


async def _oneself(call: Call) -> UserWithMachines:
    user = await users.find_user(call.context.store, call.principal.id)
    if user is None:
        raise not_found()
    return user


async def _listed(call: Call, user: UserWithMachines) -> Answer:
    return Answer(await sessions_of(call, user))


async def _end(call: Call, user: UserWithMachines) -> Answer:
    session_id = row_id(call.request.path_params["session_id"])
    rows = await credentials.sessions_of(call.context.store, user.id, call.now)
    session = next((row for row in rows if row.id == session_id), None)
    if session is None:
        raise not_found()
    await call.announce(*rules.end_session(session, user.email, call.now, call.principal.actor))
    return Answer(status=204)


async def _end_all(call: Call, user: UserWithMachines) -> Answer:
    rows = await credentials.sessions_of(call.context.store, user.id, call.now)
    await call.announce(*rules.sign_out_everywhere(user.id, user.email, len(rows), call.now, call.principal.actor))
    return Answer(status=204, message=Text("signed_out"))


_OWN = "/v2/auth/sessions"
_OF_USER = "/v2/users/{user_id}/sessions"

OPERATIONS = (
    Operation(
        name="list_own_sessions", method="GET", path=_OWN, handler=list_own_sessions, tag="Sign-in",
        summary="Where you are signed in", action="session.manage_own", answers={200: list[Session]},
    ),
    Operation(
        name="sign_out_everywhere", method="DELETE", path=_OWN, handler=sign_out_everywhere, tag="Sign-in",
        summary="End every session of yours, this one too", action="session.manage_own", answers={204: None},
        description="Tokens stay: they are revoked one by one, or all by a new password.",
    ),
    Operation(
        name="end_own_session", method="DELETE", path=f"{_OWN}/{{session_id}}", handler=end_own_session, tag="Sign-in",
        summary="End one session of yours", action="session.manage_own", answers={204: None}, refusals=(404,),
    ),
    Operation(
        name="list_user_sessions", method="GET", path=_OF_USER, handler=list_user_sessions, tag="Users",
        summary="Where a user is signed in", action="session.manage_all", answers={200: list[Session]}, refusals=(404,),
    ),
    Operation(
        name="end_user_sessions", method="DELETE", path=_OF_USER, handler=end_user_sessions, tag="Users",
        summary="End every session of a user", action="session.manage_all", answers={204: None}, refusals=(404,),
    ),
    Operation(
        name="end_user_session", method="DELETE", path=f"{_OF_USER}/{{session_id}}", handler=end_user_session,
        tag="Users", summary="End one session of a user", action="session.manage_all", answers={204: None},
        refusals=(404,),
    ),
)  # fmt: skip
