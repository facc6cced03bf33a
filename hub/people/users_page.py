"""`/admin/users` and `/admin/users/{user_id}`: who may sign in, and everything of one person; `/admin/tokens`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from dashboard import fleet
from db.errors import Conflict
from db.queries import credentials, events, users
from db.queries.users import UserWithMachines
from db.records import TokenRow
from hub.model import credentials as secrets
from hub.model import views
from hub.model.access import USER_ROLES, is_above
from hub.model.actors import row_id, whole_number
from hub.people import account_api, rules, users_api
from hub.people.page import end_one_or_all, shown_sessions, zone_given, zone_shown
from hub.web.api.headers import IF_MATCH
from hub.web.http.problems import Problem, not_found
from hub.web.http.validation import validate
from hub.web.shell.fleet_digest import FleetDigest
from hub.web.shell.fresh_secrets import FreshSecrets
from hub.web.shell.page import Visit, base_url, go, local, who

MOST_FIELDS: Final = 2500
"""A box for each machine and each site."""
MOST_MACHINES: Final = 2000
LATEST: Final = 100
"""Changes of people that are searched for the one that came first."""


async def show_users(visit: Visit) -> Response:
    return await _users(visit)


async def part_users(visit: Visit) -> dict[str, Any]:
    locked = await credentials.locked_sign_ins(visit.context.store, visit.now)
    everybody = await users.all_users(visit.context.store)
    return {
        "me": visit.user.id,
        "users": [
            {
                "id": user.id, "name": user.name, "email": user.email, "role": user.role,
                "machines": len(user.machines), "disabled": user.disabled_at is not None, "two_step": user.two_step,
                "locked": bool(rules.locks_of(user.email, locked)),
                "last_sign_in": None if user.last_sign_in_at is None else views.epoch_ms(user.last_sign_in_at),
            }
            for user in everybody
        ],
    }  # fmt: skip


async def add_user(visit: Visit) -> Response:
    wanted = {name: visit.form.get(name, "").strip() for name in ("name", "email", "role")}
    try:
        answer = await users_api.add_user(visit.call(validate(users_api.NewUser, wanted)))
    except Problem as refused:
        return await _users(visit, ("bad", visit.sentence(refused)), wanted, refused.status)
    except Conflict:
        return await _users(visit, ("bad", visit.reader.t("fault.email_taken")), wanted, 409)
    return _to_link(visit, answer.data["id"], answer.data["sign_in_link"])


async def _users(
    visit: Visit, notice: tuple[str, str] | None = None, given: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    asked = given or {"name": "", "email": "", "role": "viewer"}
    return visit.render("users.html", status, notice=notice, given=asked, **await part_users(visit))


async def show_user(visit: Visit) -> Response:
    notice = visit.request.query_params.get("notice", "")
    known = notice in ("saved", "invited", "unlocked", "ended", "reset")
    return await _user(visit, await _named(visit), ("good", visit.reader.t(f"users.{notice}")) if known else None)


async def save_user(visit: Visit) -> Response:
    """Unless somebody wrote meanwhile: then it stays in the form."""
    user, form = await _named(visit), visit.form
    try:
        patch = validate(users_api.UserPatch, _patch(visit, user))
        call = visit.call(patch)
        call.request = _seen(visit.request, form.get("seen", ""))
        await users_api.edit_user(call)
    except Problem as refused:
        if refused.kind == "not-found":
            raise
        changed = refused.kind == "precondition-failed"
        why = await _meanwhile(visit, user.id) if changed else visit.sentence(refused)
        return await _user(visit, await _named(visit), ("bad", why), status=refused.status, typed=True)
    except Conflict:
        return await _user(visit, user, ("bad", visit.reader.t("fault.email_taken")), status=409, typed=True)
    return go(f"/admin/users/{user.id}?notice=saved")


async def _meanwhile(visit: Visit, user_id: int) -> str:
    """Who, as the audit log has it."""
    found = await events.search(visit.context.store, events.EventFilters(codes=("user.edited",)), LATEST)
    by = next((row.actor for row in found.rows if row.params.get("user_id") == user_id), None)
    names = {str(user.id): user.name for user in await users.all_users(visit.context.store)}
    name = visit.reader.t("settings.somebody") if by is None else who(visit.reader, by, names)
    return visit.reader.t("users.meanwhile", name=name)


def _patch(visit: Visit, user: UserWithMachines) -> dict[str, Any]:
    form = visit.form
    wanted: dict[str, Any] = {name: form[name].strip() for name in ("name", "email", "role") if name in form}
    if "language" in form:
        wanted["language"] = form["language"] or None
    if "zone" in form:
        wanted["timezone"] = zone_given(form)
    if wanted.get("role", user.role) == "technician":
        wanted |= _chosen(visit)
    return wanted


def _chosen(visit: Visit) -> dict[str, Any]:
    """Of the boxes."""
    return {
        "machines": [number for name, text in visit.fields if name == "rvm" and (number := row_id(text))],
        "sites": [text for name, text in visit.fields if name == "site"],
        "tags": [text for name, text in visit.fields if name == "tag"],
    }


def _seen(request: Request, tag: str) -> Request:
    """As a program says which version it saw."""
    scope = dict(request.scope)
    if tag.isalnum():
        scope["headers"] = [*scope["headers"], (IF_MATCH.lower().encode(), f'"{tag}"'.encode())]
    return Request(scope)


async def make_link(visit: Visit) -> Response:
    """The event does not name the secret."""
    user = await _named(visit)
    try:
        answer = await users_api.invite_user(visit.call())
    except Problem as refused:
        return await _user(visit, user, ("bad", visit.sentence(refused)), status=refused.status)
    return _to_link(visit, user.id, answer.data.sign_in_link)


def _to_link(visit: Visit, user_id: int, path: str) -> Response:
    """Where a reload shows it again."""
    visit.context[FreshSecrets].keep(visit.user, _link_place(user_id), base_url(visit) + path)
    return go(f"/admin/users/{user_id}?notice=invited")


def _link_place(user_id: int) -> str:
    return f"/admin/users/{user_id}/link"


async def end_lock(visit: Visit) -> Response:
    await users_api.end_lock(visit.call())
    return _back(visit, "unlocked")


async def end_sessions(visit: Visit) -> Response:
    await end_one_or_all(visit)
    return _back(visit, "ended")


async def set_disabled(visit: Visit) -> Response:
    what = visit.request.path_params["what"]
    if what not in ("disable", "enable"):
        raise not_found()
    try:
        await users_api.edit_user(visit.call(users_api.UserPatch(disabled=what == "disable")))
    except Problem as refused:
        user = await _named(visit)
        return await _user(visit, user, ("bad", visit.sentence(refused)), status=refused.status)
    return _back(visit, "saved")


async def to_user(visit: Visit) -> Response:
    return go(f"/admin/users/{(await _named(visit)).id}")


def _back(visit: Visit, notice: str) -> Response:
    return go(f"/admin/users/{visit.request.path_params['user_id']}?notice={notice}")


async def _named(visit: Visit) -> UserWithMachines:
    return await users_api.named(visit.call())


async def _user(
    visit: Visit,
    user: UserWithMachines,
    notice: tuple[str, str] | None = None,
    *,
    status: int = 200,
    typed: bool = False,
) -> Response:
    """`typed`: the form keeps what was typed."""
    locked = rules.locks_of(user.email, await credentials.locked_sign_ins(visit.context.store, visit.now))
    until = max((row.locked_until for row in locked if row.locked_until is not None), default=None)
    return visit.render(
        "user.html", status, notice=notice, seen=users_api.tag_of(user),
        of={
            "id": user.id, "name": user.name, "role": user.role, "disabled": user.disabled_at is not None,
            "mine": user.id == visit.user.id, "has_password": user.password_hash is not None, "two_step": user.two_step,
            "machines": len(user.machines),
            "last_sign_in": None if user.last_sign_in_at is None else views.epoch_ms(user.last_sign_in_at),
            "locked_until": None if until is None else views.epoch_ms(until),
        },
        given=_given(visit, user, typed=typed), sites=_sites(visit, user.named, typed=typed),
        tags=await _tags(visit, user.tags, typed=typed),
        link=await _fresh_link(visit, user),
        sessions=await shown_sessions(visit, user),
    )  # fmt: skip


async def _fresh_link(visit: Visit, user: UserWithMachines) -> str | None:
    """While it lets somebody in: one that was used, or whose person is disabled, is nothing to send any more."""
    link = visit.context[FreshSecrets].find(visit.user, _link_place(user.id))
    shape = None if link is None or user.disabled_at is not None else secrets.recognise(link.rpartition("#")[2])
    row = None if shape is None else await credentials.find_link(visit.context.store, shape.hash)
    return link if row is not None and row.used_at is None else None


def _given(visit: Visit, user: UserWithMachines, *, typed: bool) -> dict[str, str]:
    stored = {"name": user.name, "email": user.email, "role": user.role, "language": user.language or ""}
    known = stored | zone_shown(user.timezone)
    return {name: visit.form.get(name, value) for name, value in known.items()} if typed else known


def _sites(visit: Visit, named: frozenset[int], *, typed: bool) -> list[tuple[str, bool, list[tuple[int, str, bool]]]]:
    """Where machines are chosen (`named`) first, then by name, "" last: whether the whole site is chosen, and its
    machines by name, each with its box."""
    chosen = {str(rvm_id) for rvm_id in named}
    whole: set[str] = set()
    if typed:
        chosen = {text for name, text in visit.fields if name == "rvm"}
        whole = {text for name, text in visit.fields if name == "site"}
    found: dict[str, list[tuple[int, str, bool]]] = {}
    reached = (machine.row for machine in visit.context.fleet.machines.values() if visit.user.reaches(machine.id))
    # What is chosen has its box, however many there are: without one it would be taken from them by the next Save.
    rows = sorted(reached, key=lambda row: (str(row.id) not in chosen, row.name.casefold()))[:MOST_MACHINES]
    for row in sorted(rows, key=lambda row: row.name.casefold()):
        box = (row.id, row.name, str(row.id) in chosen)
        found.setdefault((row.location_description or "").strip(), []).append(box)
    open_to = {site for site, boxes in found.items() if site in whole or any(box[2] for box in boxes)}
    order = sorted(found, key=lambda site: (site not in open_to, not site, site.casefold()))
    return [(site, site in whole, found[site]) for site in order]


async def _tags(visit: Visit, own: frozenset[str], *, typed: bool) -> list[tuple[str, bool, int]]:
    """Those of the fleet and the technician's `own`, each with its box and how many machines have it."""
    chosen = {text for name, text in visit.fields if name == "tag"} if typed else own
    counts = dict(fleet.tag_counts(await visit.context[FleetDigest].views(visit.user.machines)))
    return [(tag, tag in chosen, counts.get(tag, 0)) for tag in sorted({*counts, *own, *chosen})]


SHOWN: Final = 200
NEW_FOR: Final = timedelta(days=7)


async def show_tokens(visit: Visit) -> Response:
    query = visit.request.query_params
    since = whole_number(query.get("since", ""), 10**14)
    notice = ("good", visit.reader.t("tokens.revoked")) if query.get("notice") == "revoked" else None
    return await _tokens(visit, notice, new=row_id(query.get("new", "")), since=since, onward=local(query.get("next")))


async def create_token(visit: Visit) -> Response:
    if stored := visit.form.get("stored"):
        visit.context[FreshSecrets].drop(visit.user, f"/admin/tokens/{stored}")
        return go("/admin/tokens")
    wanted: dict[str, Any] = {"name": visit.form.get("name", "").strip()}
    if visit.form.get("role"):
        wanted["role"] = visit.form["role"]
    if visit.form.get("reach") == "some":
        if not any((chosen := _chosen(visit)).values()):
            return await _tokens(visit, ("bad", visit.reader.t("tokens.choose")), status=422, typed=True)
        wanted |= chosen
    if days := visit.form.get("days", ""):
        wanted["expires_in_days"] = whole_number(days, 99_999) or 0  # refused, as 0 days are
    try:
        answer = await account_api.create_token(visit.call(validate(account_api.NewToken, wanted)))
    except Problem as refused:
        return await _tokens(visit, ("bad", visit.sentence(refused)), status=refused.status, typed=True)
    visit.context[FreshSecrets].keep(visit.user, f"/admin/tokens/{answer.data['id']}", answer.data["token"])
    return go(f"/admin/tokens?new={answer.data['id']}")


async def revoke_token(visit: Visit) -> Response:
    await account_api.revoke_token(visit.call())
    return go("/admin/tokens?notice=revoked")


async def _tokens(
    visit: Visit,
    notice: tuple[str, str] | None,
    *,
    new: int | None = None,
    since: int | None = None,
    onward: str = "/",
    status: int = 200,
    typed: bool = False,
) -> Response:
    """`new`: just made. `since`: show those made since; goes on to `onward`. `typed`: the form keeps what was typed."""
    store, now = visit.context.store, visit.now
    own = [row for row in await credentials.tokens_of(store, visit.user.id) if account_api.is_live(row, now)]
    made = next((row for row in own if row.id == new), None)
    text = None if made is None else visit.context[FreshSecrets].find(visit.user, f"/admin/tokens/{made.id}")
    others: list[dict[str, Any]] = []
    older = None
    if visit.may("token.manage_all"):
        before = row_id(visit.request.query_params.get("before", ""))
        found = await credentials.valid_tokens(store, now, SHOWN + 1, before)
        page = found[:SHOWN]
        older = page[-1].id if len(found) > len(page) else None
        names = {user.id: user.name for user in await users.all_users(store)}
        others = [
            _token(visit, row) | {"owner": names.get(row.user_id, "")} for row in page if row.user_id != visit.user.id
        ]
    return visit.render(
        "tokens.html", status, tokens=[_token(visit, row) for row in own], others=others,
        roles=[role for role in USER_ROLES if not is_above(role, visit.user.role)],
        given={name: visit.form.get(name, value) if typed else value for name, value in _NEW.items()},
        sites=_sites(visit, frozenset(), typed=typed), tags=await _tags(visit, frozenset(), typed=typed),
        sees_all=visit.may("token.manage_all"), older=older,
        made_since=[] if since is None else [row.name for row in own if views.epoch_ms(row.created_at) > since],
        onward=onward, notice=notice,
        secret=None if made is None or text is None else {"id": made.id, "name": made.name, "text": text},
    )  # fmt: skip


_NEW: Final = {"name": "", "days": "90", "role": "", "reach": "all"}
"""What the form for a new one begins with."""


NAMED: Final = 3
"""Machines of a token that its line names; of the others it says how many."""


def _token(visit: Visit, row: TokenRow) -> dict[str, Any]:
    now = visit.now
    return {
        "role": row.role, "limit": _machines_of(visit, row),
        "id": row.id, "name": row.name, "prefix": row.prefix, "made": views.epoch_ms(row.created_at),
        "is_new": now - row.created_at < NEW_FOR,
        "last_used": None if row.last_used_at is None else views.epoch_ms(row.last_used_at),
        "last_ip": row.last_used_ip, "expires": None if row.expires_at is None else views.epoch_ms(row.expires_at),
    }  # fmt: skip


def _machines_of(visit: Visit, row: TokenRow) -> str | None:
    """Those that it is limited to and that are there for the reader, and its tags; None: it is not limited."""
    if row.machines is None and row.tags is None:
        return None
    t, known = visit.reader.t, visit.context.fleet.machines
    there = (known[rvm_id].name for rvm_id in row.machines or () if rvm_id in known and visit.user.reaches(rvm_id))
    names = sorted(there, key=str.casefold)
    more = len(names) - NAMED
    shown = [*names[:NAMED], *([t("tokens.more", n=visit.reader.number(more), count=more)] if more > 0 else [])]
    shown += [t("tokens.tag", tag=tag) for tag in row.tags or ()]
    return t("tokens.only", machines=", ".join(shown)) if shown else t("tokens.only.none")
