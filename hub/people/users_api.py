"""/users: who may sign in, with which role and machines; invitations and locks. For administrators."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec

from db.errors import Conflict
from db.queries import credentials, users
from db.records import SignInFailureRow, UserRow
from hub.model import credentials as secrets
from hub.model import views
from hub.model.actors import row_id
from hub.model.changes import Change, put_rows
from hub.model.machine import tags_of
from hub.people import rules
from hub.web.api.headers import IF_MATCH_PARAMETER, stale, tagged, version_expected
from hub.web.api.operation import Answer, Call, Operation
from hub.web.auth.state import AuthState
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import (
    Email,
    Instant,
    Language,
    Note,
    Password,
    TagsOfUser,
    Theme,
    Title,
    UserRole,
    Zone,
)
from protocol.zones import is_zone


async def checked_hash(call: Call, password: str, email: str) -> str:
    """Raises the 422 with the reason of a refused password."""
    fault = secrets.password_fault(password, email)
    if fault is not None:
        raise one_wrong("password", f"password.{fault}", least=secrets.MIN_PASSWORD, most=secrets.MAX_PASSWORD)
    return await call.context[AuthState].passwords.hash(password, call.address)


def check_zone(named: str | msgspec.UnsetType | None) -> None:
    if isinstance(named, str) and not is_zone(named):
        raise one_wrong("timezone", "expect.zone")


Machines = Annotated[list[int | str], msgspec.Meta(max_length=1000)]
"""Ids, device_ids or names."""
Sites = Annotated[list[Note], msgspec.Meta(max_length=100)]


class User(msgspec.Struct):
    """`machines`: a technician's by name; `tags`: machines that have one of them are theirs, too, as long as they have
    it; `reaches`: all that are theirs now. `timezone` null: times are read where the machine stands. `two_step`:
    signing in asks for a code, too. `locked_until`: after too many wrong passwords or codes."""

    id: int
    email: str
    name: str
    role: UserRole
    machines: list[int]
    tags: list[str]
    reaches: list[int]
    language: Language | None
    theme: Theme | None
    timezone: str | None
    disabled: bool
    has_password: bool
    two_step: bool
    locked_until: Instant | None
    last_sign_in_at: Instant | None
    created_at: Instant
    updated_at: Instant


class AddedUser(User):
    """`sign_in_link`: when no password was given; single use, shown here and never again."""

    sign_in_link: str | None


class Invitation(msgspec.Struct):
    """`sign_in_link`: single use, shown here and never again."""

    sign_in_link: str
    expires_at: Instant


class NewUser(msgspec.Struct):
    """Without a password the answer holds a sign-in link, good once, within 72 hours. `sites`: also the machines
    there now; `tags`: also the machines that have one of them, now or later."""

    email: Email
    name: Title
    role: UserRole
    password: Password | None = None
    language: Language | None = None
    timezone: Zone | None = None
    machines: Machines = []
    sites: Sites = []
    tags: TagsOfUser = []


class UserPatch(msgspec.Struct):
    """`machines` and `sites` together replace a technician's whole set; a site stands for its machines now. `tags`
    replaces theirs: machines that get one later are the technician's at once, those that lose it no more."""

    name: Title | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
    role: UserRole | msgspec.UnsetType = msgspec.UNSET
    language: Language | msgspec.UnsetType | None = msgspec.UNSET
    timezone: Zone | msgspec.UnsetType | None = msgspec.UNSET
    password: Password | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    machines: Machines | msgspec.UnsetType = msgspec.UNSET
    sites: Sites | msgspec.UnsetType = msgspec.UNSET
    tags: TagsOfUser | msgspec.UnsetType = msgspec.UNSET


async def list_users(call: Call) -> Answer:
    locked = await credentials.locked_sign_ins(call.context.store, call.now)
    return Answer([_view(user, locked) for user in await users.all_users(call.context.store)])


async def show_user(call: Call) -> Answer:
    return await _shown(call, await named(call))


async def add_user(call: Call) -> Answer:
    wanted: NewUser = call.body
    email = await _email(call, wanted.email)
    check_zone(wanted.timezone)
    machines = _machines(call, wanted.machines, wanted.sites, wanted.role)
    tags = _tags(wanted.tags, wanted.role)
    hashed = None if wanted.password is None else await checked_hash(call, wanted.password, email)
    stored = await call.announce(
        *rules.add_user(
            email=email, name=wanted.name, role=wanted.role, password_hash=hashed, language=wanted.language,
            timezone=wanted.timezone, machines=machines, tags=tags, now=call.now, by=call.principal.actor,
        )
    )  # fmt: skip
    user = await _of(call, next(put_rows(stored, UserRow)).id)
    link = None if hashed is not None else (await _invite(call, user)).sign_in_link
    where = {"Location": f"/api/v2/users/{user.id}", **tagged(tag_of(user))}
    return Answer(_view(user, (), AddedUser, sign_in_link=link), 201, Text("user_added"), where)


async def edit_user(call: Call) -> Answer:
    patch: UserPatch = call.body
    check_zone(patch.timezone)
    async with call.context[AuthState].users_change:
        user = await named(call)
        seen = version_expected(call.request, tag_of(user)) is not None
        role = user.role if patch.role is msgspec.UNSET else patch.role
        held = await _admin_left(call, user, role=role, disabled=patch.disabled is True)
        wanted = None if patch.tags is msgspec.UNSET else _tags(patch.tags, role)
        made = rules.edit_user(
            user, user.named, await _values(call, user, patch),
            rules.own_after(user.named, role, _own(call, patch, role)), call.now, call.principal.actor,
            own_tags=user.tags, tags=rules.own_after(user.tags, role, wanted), unchanged=seen,
        )  # fmt: skip
        if made:
            await _announce_edit(call, user, [*held, *made])
    return await _shown(call, await _of(call, user.id))


async def _announce_edit(call: Call, user: users.UserWithMachines, made: Sequence[Change]) -> None:
    try:
        await call.announce(*made)
    except Conflict as late:  # by the command line, meanwhile
        if late.column == "admin":
            raise Problem("conflict", Text("last_admin")) from late
        if late.column == "updated_at":
            raise stale(tag_of(await _of(call, user.id))) from late
        raise


async def remove_user(call: Call) -> Answer:
    async with call.context[AuthState].users_change:
        user = await named(call)
        held = await _admin_left(call, user, disabled=True)
        await _announce_edit(call, user, [*held, *rules.remove_user(user, call.now, call.principal.actor)])
    return Answer(status=204)


async def invite_user(call: Call) -> Answer:
    user = await named(call)
    if user.disabled_at is not None:
        raise Problem("conflict", Text("user_disabled"))
    return Answer(await _invite(call, user), 201)


async def _invite(call: Call, user: users.UserWithMachines) -> Invitation:
    secret, link, made = rules.invite(user, call.now, call.principal.actor)
    await call.announce(*made)
    return Invitation(f"/signin#{secret.text}", views.rfc3339(link.expires_at))


async def end_lock(call: Call) -> Answer:
    user = await named(call)
    locked = rules.locks_of(user.email, await credentials.locked_sign_ins(call.context.store, call.now))
    if made := rules.end_lock(user, locked, call.now, call.principal.actor):
        await call.announce(*made)
    return Answer(status=204)


async def _values(call: Call, user: users.UserWithMachines, patch: UserPatch) -> dict[str, Any]:
    given = {name: getattr(patch, name) for name in ("name", "role", "language", "timezone")}
    values = {name: value for name, value in given.items() if value is not msgspec.UNSET}
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


def _own(call: Call, patch: UserPatch, role: str) -> frozenset[int] | None:
    if patch.machines is msgspec.UNSET and patch.sites is msgspec.UNSET:
        return None
    machines = [] if patch.machines is msgspec.UNSET else patch.machines
    return _machines(call, machines, [] if patch.sites is msgspec.UNSET else patch.sites, role)


def _machines(call: Call, named: list[int | str], sites: list[str], role: str) -> frozenset[int]:
    found = machines_named(call, named, sites)
    if found and role != "technician":
        raise one_wrong("machines", "only_technicians_own")
    return found


def machines_named(call: Call, named: Iterable[int | str], sites: Iterable[str]) -> frozenset[int]:
    """Of those that the caller reaches, and of the sites those there now. Raises the 422: there is none."""
    rows = [machine.row for machine in call.context.fleet.machines.values() if call.principal.reaches(machine.id)]
    found: set[int] = set()
    for key in named:
        machine = call.context.fleet.find(key)
        if machine is not None and call.principal.reaches(machine.id):
            ids = {machine.id}
        else:
            ids = {row.id for row in rows if row.name == key}
        if not ids:
            raise one_wrong("machines", "no_such_machine", key=str(key)[:100])
        found |= ids
    for site in sites:
        there = {row.id for row in rows if (row.location_description or "").strip() == site.strip() != ""}
        if not there:
            raise one_wrong("sites", "no_such_site", key=site[:100])
        found |= there
    return frozenset(found)


def _tags(wanted: Iterable[str], role: str) -> frozenset[str]:
    found = frozenset(tags_of(wanted))
    if found and role != "technician":
        raise one_wrong("tags", "only_technicians_own")
    return found


async def named(call: Call) -> users.UserWithMachines:
    user_id = row_id(call.request.path_params["user_id"])
    if user_id is None:
        raise not_found()
    return await _of(call, user_id)


async def _of(call: Call, user_id: int) -> users.UserWithMachines:
    user = await users.find_user(call.context.store, user_id)
    if user is None:
        raise not_found()
    return user


async def _admin_left(
    call: Call, user: users.UserWithMachines, *, role: str | None = None, disabled: bool = False
) -> list[Change]:
    """Holds another administrator while this one goes. Raises the 409: there is none."""
    everybody = await users.all_users(call.context.store)
    others = [o.id for o in everybody if o.id != user.id and o.role == "admin" and o.disabled_at is None]
    if rules.leaves_no_admin(user, len(others), role=role, disabled=disabled):
        raise Problem("conflict", Text("last_admin"))
    goes = rules.leaves_no_admin(user, 0, role=role, disabled=disabled)
    return [rules.while_admin(others[0])] if goes else []


async def _shown(call: Call, user: users.UserWithMachines) -> Answer:
    locked = await credentials.locked_sign_ins(call.context.store, call.now)
    return Answer(_view(user, locked), headers=tagged(tag_of(user)))


EDITABLE = ("email", "name", "role", "language", "timezone", "password_hash")


def tag_of(user: users.UserWithMachines) -> str:
    """Of what an edit may change: the same after a sign-in."""
    known = [getattr(user, name) for name in EDITABLE]
    text = msgspec.json.encode([user.id, *known, user.disabled_at is not None, sorted(user.named), sorted(user.tags)])
    return hashlib.sha256(text).hexdigest()[:16]


def _view(
    user: users.UserWithMachines, locked: Iterable[SignInFailureRow], shape: type[User] = User, **more: Any
) -> dict[str, Any]:
    ends = [row.locked_until for row in rules.locks_of(user.email, locked) if row.locked_until is not None]
    return views.answer(
        shape, user, machines=sorted(user.named), reaches=sorted(user.machines),
        disabled=user.disabled_at is not None, has_password=user.password_hash is not None,
        locked_until=views.rfc3339(max(ends)) if ends else None, **more,
    )  # fmt: skip


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
        headers=("ETag",),
    ),
    Operation(
        name="edit_user", method="PATCH", path="/v2/users/{user_id}", handler=edit_user, tag="Users",
        summary="Change a user's name, role, machines, language, zone or password, or disable them",
        action="user.manage", body=UserPatch, answers={200: User}, refusals=(404, 409, 412),
        example={"role": "operator"}, parameters=IF_MATCH_PARAMETER, headers=("ETag",),
        description="A new role, a new password and being disabled end all of the user's sessions and tokens.",
    ),
    Operation(
        name="remove_user", method="DELETE", path="/v2/users/{user_id}", handler=remove_user, tag="Users",
        summary="Remove a user with their tokens and sessions", action="user.manage", answers={204: None},
        refusals=(404, 409),
    ),
    Operation(
        name="invite_user", method="POST", path="/v2/users/{user_id}/invitation", handler=invite_user, tag="Users",
        summary="A link to sign in with once, within 72 hours", action="user.manage", answers={201: Invitation},
        refusals=(404, 409), description="Those before it, of the same user, are worthless then.",
    ),
    Operation(
        name="end_lock", method="DELETE", path="/v2/users/{user_id}/lock", handler=end_lock, tag="Users",
        summary="End a lock after too many wrong passwords", action="session.manage_all", answers={204: None},
        refusals=(404,),
    ),
)  # fmt: skip
