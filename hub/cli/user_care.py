"""`user edit`, `invite`, `unlock`, `sessions` and `sign-out`: what administrators do for people who are there already.

A running hub knows within some seconds, and ends what an edit takes away.
"""

from __future__ import annotations

import argparse
from typing import Any

from db.errors import Conflict
from db.queries import credentials, users
from db.queries.users import UserWithMachines
from hub.cli import data, output
from hub.cli.data import OpenData, date_time, now, open_data, settings_of
from hub.cli.output import CliError, Exit, sentence
from hub.cli.people import base_url, enabled_person, invitation, own_machines, person
from hub.model import actors
from hub.people import rules


async def edit(wanted: argparse.Namespace) -> None:
    """Only what is named changes."""
    values = _values(wanted)
    async with open_data(settings_of(wanted), create=False) as opened:
        user = await person(opened, data.email(wanted.email))
        role = wanted.role or user.role
        asked: frozenset[int] | None = frozenset() if wanted.no_machines else None
        named = await own_machines(opened, wanted.machine, wanted.site, role)
        machines = rules.machines_after(user.machines, role, asked if named is None else named)
        await _commit(opened, user, values, machines)
        edited = await person(opened, user.email)
    shown = {
        "id": edited.id, "email": edited.email, "name": edited.name, "role": edited.role, "language": edited.language,
        "timezone": edited.timezone, "machines": sorted(edited.machines), "disabled": edited.disabled_at is not None,
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
    opened: OpenData, user: UserWithMachines, values: dict[str, Any], machines: frozenset[int] | None
) -> None:
    if values.get("disabled_at") and user.disabled_at is not None:
        del values["disabled_at"]  # since when it is, stays
    role, disabled = values.get("role"), values.get("disabled_at") is not None
    everybody = await users.all_users(opened.store)
    others = [o.id for o in everybody if o.id != user.id and o.role == "admin" and o.disabled_at is None]
    if rules.leaves_no_admin(user, len(others), role=role, disabled=disabled):
        raise _last_admin(user.email)
    goes = rules.leaves_no_admin(user, 0, role=role, disabled=disabled)
    made = rules.edit_user(user, user.machines, values, machines, now(), actors.SYSTEM)
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
        locked = rules.locks_of(user.email, await credentials.locked_sign_ins(opened.store, now()))
        if made := rules.end_lock(user, locked, now(), actors.SYSTEM):
            await opened.commit(*made)
    shown = {"email": user.email, "was_locked": bool(locked)}
    text = sentence("user.unlocked" if locked else "user.not_locked", email=user.email)
    output.answer(wanted.json, shown, text)


async def list_sessions(wanted: argparse.Namespace) -> None:
    async with open_data(settings_of(wanted), create=False) as opened:
        user = await person(opened, data.email(wanted.email))
        rows = await credentials.sessions_of(opened.store, user.id, now())
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
    """Everywhere."""
    async with open_data(settings_of(wanted), create=False) as opened:
        user = await person(opened, data.email(wanted.email))
        count = len(await credentials.sessions_of(opened.store, user.id, now()))
        await opened.commit(*rules.sign_out_everywhere(user.id, user.email, count, now(), actors.SYSTEM))
    shown = {"email": user.email, "sessions": count}
    output.answer(wanted.json, shown, sentence("user.signed_out", email=user.email, n=count))
