"""`user add`, `user list`, `token create`, `list` and `revoke`, `link`.

A sign-in link's secret stands in the fragment of its URL, which no server and no log sees."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from db.errors import Conflict
from db.queries import credentials as stored
from db.queries import users
from db.queries.machines import all_machines
from db.queries.users import UserWithMachines
from db.records import TokenRow, UserRow
from hub.cli import data, output
from hub.cli.data import OpenData, base_url, clock_time, date_time, now, open_data, settings_of
from hub.cli.machines import named as machine_named
from hub.cli.output import CliError, Exit, sentence
from hub.model import actors, credentials
from hub.model.access import is_above, machines_of
from hub.model.actors import row_id
from hub.model.changes import EventHappened, Put, put_rows
from hub.people import rules
from hub.people.two_step import rules as two_step
from texts.languages import LANGUAGES


class SignInLink(NamedTuple):
    email: str
    secret: str
    expires_at: datetime

    def url(self, base: str) -> str:
        return f"{base.rstrip('/')}/signin#{self.secret}"


async def make_link(opened: OpenData, user_id: int, email: str) -> SignInLink:
    moment = now()
    secret, made = rules.make_link(user_id, moment)
    params = {"user_id": user_id, "email": email}
    await opened.commit(
        Put(made), EventHappened(at=moment, code="sign_in.link_made", actor=actors.SYSTEM, params=params)
    )
    return SignInLink(email, secret.text, made.expires_at)


async def invitation(opened: OpenData, user: UserRow) -> SignInLink:
    """For 72 hours; earlier ones are void."""
    secret, made, changes = rules.invite(user, now(), actors.SYSTEM)
    await opened.commit(*changes)
    return SignInLink(user.email, secret.text, made.expires_at)


async def own_machines(opened: OpenData, named: list[str], sites: list[str], role: str) -> frozenset[int] | None:
    if not named and not sites:
        return None
    _only_technicians(role)
    return await machines_named(opened, named, sites)


async def machines_named(opened: OpenData, named: list[str], sites: list[str]) -> frozenset[int]:
    """Of the sites those that stand there now."""
    found = {(await machine_named(opened, name)).id for name in named}
    rows = await all_machines(opened.store)
    for site in sites:
        there = {row.id for row in rows if (row.location_description or "").strip() == site.strip() != ""}
        if not there:
            known = ", ".join(sorted({row.location_description for row in rows if row.location_description}))
            fix = sentence("user.site.missing.fix", sites=known or "—")
            raise CliError(Exit.NOT_FOUND, "no_site", sentence("user.site.missing", site=site), fix)
        found |= there
    return frozenset(found)


def own_tags(given: list[str], role: str) -> frozenset[str] | None:
    if not given:
        return None
    _only_technicians(role)
    return data.tags_of_user(given)


def _only_technicians(role: str) -> None:
    if role != "technician":
        fix = sentence("user.not_technician.fix")
        raise CliError(Exit.USAGE, "not_technician", sentence("user.not_technician", role=role), fix)


MOST_LISTED = 10_000


async def add(wanted: argparse.Namespace) -> None:
    """Without a password an invitation is printed; without a language the browser's is taken at sign-in."""
    email = data.email(wanted.email)
    name = data.name(wanted.name or email.partition("@")[0])
    source, zone = wanted.password_file, data.timezone_of(wanted.timezone)
    password_hash = credentials.hash_password(data.password_from(source, email)) if source else None
    settings = settings_of(wanted)
    async with open_data(settings, create=True) as opened:
        changes = rules.add_user(
            email=email, name=name, role=wanted.role, password_hash=password_hash, timezone=zone,
            language=wanted.language if wanted.language in LANGUAGES else None, now=now(), by=actors.SYSTEM,
            machines=await own_machines(opened, wanted.machine, wanted.site, wanted.role),
            tags=own_tags(wanted.tag, wanted.role),
        )  # fmt: skip
        try:
            if await users.find_user_by_email(opened.store, email) is not None:
                raise _taken(email)
            stored = await opened.commit(*changes)
        except Conflict as error:
            raise _taken(email) from error
        user = next(put_rows(stored, UserRow))
        user_id = user.id
        link = None if password_hash else await invitation(opened, user)
    shown = {"id": user_id, "email": email, "name": name, "role": wanted.role}
    url = None if link is None else link.url(wanted.url or base_url(settings))
    if wanted.json:
        output.result_json(shown | {"sign_in_link": url})
        return
    output.result(sentence("user.added", email=email, role=wanted.role))
    if link is not None:
        output.result(sentence("user.invited", until=date_time(link.expires_at), url=url))


async def show_all(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as opened:
        rows = await users.all_users(opened.store)
    shown = [
        {
            "id": row.id, "email": row.email, "name": row.name, "role": row.role,
            "disabled": row.disabled_at is not None, "has_password": row.password_hash is not None,
            "two_step": row.two_step, "language": row.language, "timezone": row.timezone, "machines": sorted(row.named),
            "tags": sorted(row.tags), "reaches": sorted(row.machines),
            "last_sign_in_at": output.instant(row.last_sign_in_at),
        }
        for row in rows
    ]  # fmt: skip
    output.listing(
        wanted.json, "users", shown, ("id", "email", "name", "role", "disabled", "two_step", "last_sign_in_at")
    )


async def create_token(wanted: argparse.Namespace) -> None:
    name, email = data.name(wanted.name), data.email(wanted.user)
    async with open_data(settings_of(wanted), create=False) as opened:
        owner = await enabled_person(opened, email)
        scope = await _scope(opened, owner, wanted)
        secret, days, moment = credentials.new_secret("token"), wanted.expires_days, now()
        ends_at = None if days is None else moment + timedelta(days=days)
        changes = rules.create_token(owner.id, name, secret, ends_at, moment, actors.SYSTEM, scope)
        stored = await opened.commit(*changes)
    made = next(put_rows(stored, TokenRow))
    ends = output.instant(made.expires_at)
    shown = {"id": made.id, "name": name, "user": email, "token": secret.text, "expires_at": ends, **_narrower(made)}
    output.answer(wanted.json, shown, sentence("token.made", name=name, email=email, token=secret.text))


async def _scope(opened: OpenData, owner: UserWithMachines, wanted: argparse.Namespace) -> rules.TokenScope:
    if wanted.role is not None and is_above(wanted.role, owner.role):
        words = {"email": owner.email, "role": owner.role}
        raise CliError(
            Exit.USAGE, "role_above_owner", sentence("token.role_above", **words), sentence("token.role_above.fix")
        )
    if not (wanted.machine or wanted.site or wanted.tag):
        return rules.TokenScope(wanted.role)
    machines, own = await machines_named(opened, wanted.machine, wanted.site), machines_of(owner.role, owner.machines)
    if own is not None and not machines <= own:
        fix = sentence("token.not_theirs.fix")
        raise CliError(Exit.USAGE, "not_theirs", sentence("token.not_theirs", email=owner.email), fix)
    tags = data.tags_of_user(wanted.tag) if wanted.tag else ()
    return rules.TokenScope(wanted.role, tuple(sorted(machines)), tuple(sorted(tags)))


def _narrower(token: TokenRow) -> dict[str, Any]:
    """Null: as its owner."""
    return {"role": token.role, "machines": token.machines, "tags": token.tags}


async def list_tokens(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as opened:
        people = {row.id: row.email for row in await users.all_users(opened.store)}
        rows = await stored.valid_tokens(opened.store, now(), MOST_LISTED)
    shown = [
        {
            "id": row.id, "user": people.get(row.user_id, ""), "name": row.name, "prefix": row.prefix,
            "created_at": output.instant(row.created_at), "expires_at": output.instant(row.expires_at),
            "last_used_at": output.instant(row.last_used_at), **_narrower(row),
        }
        for row in rows
        if wanted.user is None or people.get(row.user_id) == data.email(wanted.user)
    ]  # fmt: skip
    columns = ("id", "user", "name", "prefix", "role", "machines", "tags", "expires_at", "last_used_at")
    output.listing(wanted.json, "tokens", shown, columns)


async def revoke_token(wanted: argparse.Namespace) -> None:
    """By id or prefix. A running hub knows within seconds."""
    async with open_data(settings_of(wanted), create=False) as opened:
        number = row_id(wanted.token)
        by_prefix = await stored.find_token_by_prefix(opened.store, wanted.token)
        token = by_prefix if by_prefix is not None or number is None else await stored.find_token(opened.store, number)
        if token is None or token.revoked_at is not None:
            missing = sentence("token.missing", token=wanted.token)
            raise CliError(Exit.NOT_FOUND, "no_such_token", missing, sentence("token.missing.fix"))
        made = rules.revoke_token(token, now(), actors.SYSTEM)
        await opened.commit(*made)
    shown = {"id": token.id, "prefix": token.prefix, "revoked": True}
    output.answer(wanted.json, shown, sentence("token.revoked", name=token.name, prefix=token.prefix))


async def link(wanted: argparse.Namespace) -> None:
    """Without an email: the first administrator's."""
    settings = settings_of(wanted)
    async with open_data(settings, create=False) as opened:
        whose = await enabled_person(opened, data.email(wanted.email)) if wanted.email else await _first_admin(opened)
        made = await make_link(opened, whose.id, whose.email)
    url = made.url(wanted.url or base_url(settings))
    shown = {"email": whose.email, "sign_in_link": url, "expires_at": output.instant(made.expires_at)}
    output.answer(wanted.json, shown, sentence("user.link", until=clock_time(made.expires_at), url=url))


def _taken(email: str) -> CliError:
    fix = sentence("user.taken.fix", email=email)
    return CliError(Exit.CONFLICT, "email_taken", sentence("user.taken", email=email), fix)


async def person(opened: OpenData, email: str) -> UserWithMachines:
    found = await users.find_user_by_email(opened.store, email)
    if found is None:
        raise CliError(
            Exit.NOT_FOUND, "no_such_user", sentence("user.missing", email=email), sentence("user.missing.fix")
        )
    return found


async def enabled_person(opened: OpenData, email: str) -> UserWithMachines:
    found = await person(opened, email)
    if found.disabled_at is not None:
        raise CliError(Exit.NOT_ALLOWED, "user_disabled", sentence("user.disabled", email=email))
    return found


async def _first_admin(opened: OpenData) -> UserWithMachines:
    for user in await users.all_users(opened.store):
        if user.role == "admin" and user.disabled_at is None:
            return user
    raise CliError(Exit.NOT_FOUND, "no_admin", sentence("user.no_admin"), sentence("user.no_admin.fix"))


async def edit(wanted: argparse.Namespace) -> None:
    values = _values(wanted)
    async with open_data(settings_of(wanted), create=False) as opened:
        user = await person(opened, data.email(wanted.email))
        role = wanted.role or user.role
        named, tags = await own_machines(opened, wanted.machine, wanted.site, role), own_tags(wanted.tag, role)
        if wanted.no_machines:
            named, tags = named or frozenset(), tags or frozenset()
        machines, tags = rules.own_after(user.named, role, named), rules.own_after(user.tags, role, tags)
        await _commit(opened, user, values, machines, tags)
        edited = await person(opened, user.email)
    shown = {
        "id": edited.id, "email": edited.email, "name": edited.name, "role": edited.role, "language": edited.language,
        "timezone": edited.timezone, "machines": sorted(edited.named), "tags": sorted(edited.tags),
        "reaches": sorted(edited.machines), "disabled": edited.disabled_at is not None,
    }  # fmt: skip
    output.answer(wanted.json, shown, sentence("user.edited", email=edited.email))


def _values(wanted: argparse.Namespace) -> dict[str, Any]:
    values: dict[str, Any] = {} if wanted.role is None else {"role": wanted.role}
    if wanted.name is not None:
        values["name"] = data.name(wanted.name)
    if wanted.language is not None:
        values["language"] = None if wanted.language == "auto" else wanted.language
    if wanted.timezone is not None:
        values["timezone"] = data.timezone_of(wanted.timezone)
    if wanted.enable or wanted.disable:
        values["disabled_at"] = now() if wanted.disable else None
    return values


async def _commit(
    opened: OpenData, user: UserWithMachines, values: dict[str, Any], machines: frozenset[int] | None,
    tags: frozenset[str] | None,
) -> None:  # fmt: skip
    if values.get("disabled_at") and user.disabled_at is not None:
        del values["disabled_at"]  # since when it is, stays
    role, disabled = values.get("role"), values.get("disabled_at") is not None
    everybody = await users.all_users(opened.store)
    others = [o.id for o in everybody if o.id != user.id and o.role == "admin" and o.disabled_at is None]
    if rules.leaves_no_admin(user, len(others), role=role, disabled=disabled):
        raise _last_admin(user.email)
    goes = rules.leaves_no_admin(user, 0, role=role, disabled=disabled)
    by = actors.SYSTEM
    made = rules.edit_user(user, user.named, values, machines, now(), by, own_tags=user.tags, tags=tags)
    if not made:
        return
    try:
        await opened.commit(*([rules.while_admin(others[0])] if goes else []), *made)
    except Conflict as late:
        if late.column != "admin":
            raise
        raise _last_admin(user.email) from late


def _last_admin(email: str) -> CliError:
    fix = sentence("user.last_admin.fix")
    return CliError(Exit.CONFLICT, "last_admin", sentence("user.last_admin", email=email), fix)


async def invite(wanted: argparse.Namespace) -> None:
    settings = settings_of(wanted)
    async with open_data(settings, create=False) as opened:
        user = await enabled_person(opened, data.email(wanted.email))
        made = await invitation(opened, user)
    url = made.url(wanted.url or base_url(settings))
    shown = {"email": user.email, "sign_in_link": url, "expires_at": output.instant(made.expires_at)}
    output.answer(wanted.json, shown, sentence("user.invited", until=date_time(made.expires_at), url=url))


async def unlock(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as opened:
        user = await person(opened, data.email(wanted.email))
        locked = rules.locks_of(user.email, await stored.locked_sign_ins(opened.store, now()))
        if made := rules.end_lock(user, locked, now(), actors.SYSTEM):
            await opened.commit(*made)
    shown = {"email": user.email, "was_locked": bool(locked)}
    text = sentence("user.unlocked" if locked else "user.not_locked", email=user.email)
    output.answer(wanted.json, shown, text)


async def reset_two_step(wanted: argparse.Namespace) -> None:
    """Also of the last administrator: whoever may run this has the database."""
    async with open_data(settings_of(wanted), create=False) as opened:
        user = await person(opened, data.email(wanted.email))
        if user.two_step:
            await opened.commit(*two_step.reset(user, now(), actors.SYSTEM))
    shown = {"email": user.email, "had_two_step": user.two_step}
    text = sentence("user.two_step_reset" if user.two_step else "user.no_two_step", email=user.email)
    output.answer(wanted.json, shown, text)


async def list_sessions(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as opened:
        user = await person(opened, data.email(wanted.email))
        rows = await stored.sessions_of(opened.store, user.id, now())
    shown = [
        {
            "id": row.id, "ip": row.ip, "created_at": output.instant(row.created_at),
            "last_used_at": output.instant(row.last_used_at), "expires_at": output.instant(row.expires_at),
            "user_agent": row.user_agent,
        }
        for row in rows
    ]  # fmt: skip
    output.listing(wanted.json, "sessions", shown, ("id", "ip", "created_at", "last_used_at", "user_agent"))


async def sign_out(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as opened:
        user = await person(opened, data.email(wanted.email))
        count = len(await stored.sessions_of(opened.store, user.id, now()))
        await opened.commit(*rules.sign_out_everywhere(user.id, user.email, count, now(), actors.SYSTEM))
    shown = {"email": user.email, "sessions": count}
    output.answer(wanted.json, shown, sentence("user.signed_out", email=user.email, count=count))
