"""/users: who may sign in, with which role and machines. For administrators."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from db.queries import users
from db.records import UserRow
from hub.model import views
from hub.model.actors import row_id
from hub.model.changes import EventHappened, Put, put_rows
from hub.people import rules
from hub.web.api.operation import Answer, Call, Operation
from hub.web.auth.state import AuthState
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import Email, Instant, Language, Password, Theme, Title, UserRole


async def checked_hash(call: Call, password: str, email: str) -> str:
    """Raises the 422 with the reason of a refused password."""
    fault = rules.password_fault(password, email)
    if fault is not None:
        raise one_wrong("password", f"password.{fault}", least=rules.MIN_PASSWORD, most=rules.MAX_PASSWORD)
    return await call.context[AuthState].passwords.hash(password, call.address)


INVITATION_S = 24 * 3600.0

Machines = Annotated[list[int | str], msgspec.Meta(max_length=1000)]
"""Ids or device_ids."""


class User(msgspec.Struct):
    id: int
    email: str
    name: str
    role: UserRole
    machines: list[int]
    language: Language | None
    theme: Theme | None
    disabled: bool
    has_password: bool
    last_sign_in_at: Instant | None
    created_at: Instant
    updated_at: Instant


class AddedUser(User):
    """`sign_in_link`: when no password was given; single use, shown here and never again."""

    sign_in_link: str | None


class NewUser(msgspec.Struct):
    """Without a password the answer holds a sign-in link, good once, within 24 hours."""

    email: Email
    name: Title
    role: UserRole
    password: Password | None = None
    language: Language | None = None
    machines: Machines = []


class UserPatch(msgspec.Struct):
    """`machines` replaces a technician's whole set."""

    name: Title | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
    role: UserRole | msgspec.UnsetType = msgspec.UNSET
    language: Language | msgspec.UnsetType | None = msgspec.UNSET
    password: Password | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    machines: Machines | msgspec.UnsetType = msgspec.UNSET


async def list_users(call: Call) -> Answer:
    return Answer([_view(user) for user in await users.all_users(call.context.store)])


async def show_user(call: Call) -> Answer:
    return Answer(_view(await _named(call)))


async def add_user(call: Call) -> Answer:
    wanted: NewUser = call.body
    email = await _email(call, wanted.email)
    machines = _machines(call, wanted.machines, wanted.role)
    hashed = None if wanted.password is None else await checked_hash(call, wanted.password, email)
    stored = await call.announce(
        *rules.add_user(
            email=email, name=wanted.name, role=wanted.role, password_hash=hashed, language=wanted.language,
            machines=machines, now=call.now, by=call.principal.actor,
        )
    )  # fmt: skip
    user_id = next(put_rows(stored, UserRow)).id
    link = None
    if hashed is None:
        secret, made = rules.make_link(user_id, call.now, INVITATION_S)
        known = {"user_id": user_id, "email": email}
        by = call.principal.actor
        await call.announce(Put(made), EventHappened(at=call.now, code="sign_in.link_made", actor=by, params=known))
        link = f"/signin#{secret.text}"
    user = await _of(call, user_id)
    where = {"Location": f"/api/v2/users/{user_id}"}
    return Answer(_view(user, AddedUser, sign_in_link=link), 201, Text("user_added"), where)


async def edit_user(call: Call) -> Answer:
    patch: UserPatch = call.body
    async with call.context[AuthState].users_change:
        user = await _named(call)
        role = user.role if patch.role is msgspec.UNSET else patch.role
        if rules.leaves_no_admin(user, await _other_admins(call, user), role=role, disabled=patch.disabled is True):
            raise Problem("conflict", Text("last_admin"))
        made = rules.edit_user(
            user, user.machines, await _values(call, user, patch), _own(call, user, patch, role), call.now,
            call.principal.actor,
        )  # fmt: skip
        if made:
            await call.announce(*made)
    return Answer(_view(await _of(call, user.id)))


async def remove_user(call: Call) -> Answer:
    async with call.context[AuthState].users_change:
        user = await _named(call)
        if rules.leaves_no_admin(user, await _other_admins(call, user), disabled=True):
            raise Problem("conflict", Text("last_admin"))
        changes = rules.remove_user(user, call.now, call.principal.actor)
        await call.announce(*changes)
    return Answer(status=204)


async def _values(call: Call, user: users.UserWithMachines, patch: UserPatch) -> dict[str, Any]:
    named = {name: getattr(patch, name) for name in ("name", "role", "language")}
    values = {name: value for name, value in named.items() if value is not msgspec.UNSET}
    if patch.email is not msgspec.UNSET:
        values["email"] = await _email(call, patch.email, user.id)
    if patch.password is not msgspec.UNSET:
        values["password_hash"] = await checked_hash(call, patch.password, values.get("email", user.email))
    if patch.disabled is not msgspec.UNSET and patch.disabled != (user.disabled_at is not None):
        values["disabled_at"] = call.now if patch.disabled else None
    return values


async def _email(call: Call, given: str, own_id: int | None = None) -> str:
    """As stored. Raises Problem: somebody else's, in any form of code points."""
    email = rules.normal_email(given)
    if len(email) > rules.MAX_EMAIL:
        raise one_wrong("email", "expect.email")
    known = await users.find_user_by_email(call.context.store, email)
    if known is not None and known.id != own_id:
        raise Problem("conflict", Text("taken.email"), errors={"email": [Text("taken.email")]})
    return email


def _own(call: Call, user: users.UserWithMachines, patch: UserPatch, role: str) -> frozenset[int] | None:
    """None: unchanged; who is no technician any more has none."""
    if patch.machines is not msgspec.UNSET:
        return _machines(call, patch.machines, role)
    return frozenset() if role != "technician" and user.machines else None


def _machines(call: Call, named: list[int | str], role: str) -> frozenset[int]:
    found: set[int] = set()
    for key in named:
        machine = call.context.fleet.find(key)
        if machine is None:
            raise one_wrong("machines", "no_such_machine", key=str(key)[:100])
        found.add(machine.id)
    if found and role != "technician":
        raise one_wrong("machines", "only_technicians_own")
    return frozenset(found)


async def _named(call: Call) -> users.UserWithMachines:
    user_id = row_id(call.request.path_params["user_id"])
    if user_id is None:
        raise not_found()
    return await _of(call, user_id)


async def _of(call: Call, user_id: int) -> users.UserWithMachines:
    user = await users.find_user(call.context.store, user_id)
    if user is None:
        raise not_found()
    return user


async def _other_admins(call: Call, user: users.UserWithMachines) -> int:
    admins = await users.count_users(call.context.store, "admin")
    return admins - (user.role == "admin" and user.disabled_at is None)


def _view(user: users.UserWithMachines, shape: type[User] = User, **more: Any) -> dict[str, Any]:
    return views.answer(
        shape, user, disabled=user.disabled_at is not None, has_password=user.password_hash is not None, **more
    )


_EXAMPLE = {"email": "budi@example.com", "name": "Budi", "role": "technician", "machines": ["rvm-kg-02"]}

OPERATIONS = (
    Operation(
        name="list_users", method="GET", path="/v2/users", handler=list_users, tag="Users",
        summary="Everybody who may sign in", action="user.read", answers={200: list[User]},
    ),
    Operation(
        name="add_user", method="POST", path="/v2/users", handler=add_user, tag="Users",
        summary="Add a user", action="user.manage", body=NewUser, answers={201: AddedUser}, refusals=(404, 409),
        example=_EXAMPLE,
    ),
    Operation(
        name="show_user", method="GET", path="/v2/users/{user_id}", handler=show_user, tag="Users",
        summary="One user", action="user.read", answers={200: User}, refusals=(404,),
    ),
    Operation(
        name="edit_user", method="PATCH", path="/v2/users/{user_id}", handler=edit_user, tag="Users",
        summary="Change a user's role, machines or password, or disable them", action="user.manage", body=UserPatch,
        answers={200: User}, refusals=(404, 409), example={"role": "operator"},
        description="A new role, a new password and being disabled end all of the user's sessions and tokens.",
    ),
    Operation(
        name="remove_user", method="DELETE", path="/v2/users/{user_id}", handler=remove_user, tag="Users",
        summary="Remove a user with their tokens and sessions", action="user.manage", answers={204: None},
        refusals=(404, 409),
    ),
)  # fmt: skip
