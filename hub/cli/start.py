"""`run_hub.py` without a verb: address, database, first administrator, serve (hub.serving), print where. `config show`:
with which settings it would."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import webbrowser
from dataclasses import fields
from pathlib import Path
from threading import Thread
from typing import Final

from certs.secret_file import look_at
from db.queries import users
from db.queries.users import UserWithMachines
from db.records import UserRow
from hub.cli import data, output
from hub.cli.data import OpenData, clock_time, now, open_data, settings_of
from hub.cli.flags import DATA_FLAGS, SERVE_FLAGS
from hub.cli.output import CliError, Exit, sentence
from hub.cli.people import SignInLink, make_link
from hub.model import actors, credentials
from hub.model.changes import put_rows
from hub.people import rules
from hub.server import process
from hub.settings import Settings, origins
from protocol.version import PRODUCT_VERSION


def serve(wanted: argparse.Namespace) -> int:
    settings = settings_of(wanted)
    check_address(settings)
    if settings.tls_key is not None:
        with data.refused_secrets():
            look_at(settings.tls_key)
    link = asyncio.run(_prepare(settings))
    from hub import serving

    return serving.serve(settings, lambda url: show_start(settings, url, link, wanted), level=log_level(wanted))


def log_level(wanted: argparse.Namespace) -> int:
    return logging.DEBUG if wanted.is_verbose else logging.WARNING if wanted.is_quiet else logging.INFO


async def _prepare(settings: Settings) -> SignInLink | None:
    async with open_data(settings, create=True, serving=True) as opened:
        return await prepare_people(opened, settings, always=False)


FIRST_EMAIL = "admin@localhost"
FIRST_NAME = "Administrator"


async def prepare_people(opened: OpenData, settings: Settings, *, always: bool) -> SignInLink | None:
    """A sign-in link while no administrator has a password, or `always`. Email and password file in the settings
    make the administrator, once."""
    people = await users.all_users(opened.store)
    email = data.email(settings.admin_email) if settings.admin_email else FIRST_EMAIL
    # Read also when the administrator is there: what others can read is a password still.
    secret = None if settings.admin_password_file is None else data.secret_in(settings.admin_password_file)
    if secret is not None and await users.find_user_by_email(opened.store, email) is None:
        await _add(opened, email, credentials.hash_password(data.password(secret, email)))
        output.hint(sentence("start.admin_made", email=email, path=settings.admin_password_file))
        people = await users.all_users(opened.store)
    admins = [person for person in people if person.role == "admin" and person.disabled_at is None]
    if any(person.password_hash for person in admins) and not always:
        return None
    return await _link(opened, admins, email)


async def _link(opened: OpenData, admins: list[UserWithMachines], email: str) -> SignInLink:
    if admins:
        return await make_link(opened, admins[0].id, admins[0].email)
    return await make_link(opened, await _add(opened, email, None), email)


async def _add(opened: OpenData, email: str, password_hash: str | None) -> int:
    """The language comes with the first sign-in."""
    changes = rules.add_user(
        email=email, name=FIRST_NAME, role="admin", password_hash=password_hash, language=None, now=now(),
        by=actors.SYSTEM,
    )  # fmt: skip
    stored = await opened.commit(*changes)
    return next(put_rows(stored, UserRow)).id


def check_address(settings: Settings) -> None:
    """Before anything is made; the hub binds it for good a moment later."""
    try:
        process.listen(settings.host, settings.port).close()
    except process.CannotListenError as error:
        taken = sentence("port.taken", port=settings.port, host=settings.host, why=error)
        raise CliError(Exit.CONFLICT, "port_in_use", taken, sentence("port.taken.fix")) from error


def show_start(
    settings: Settings, url: str, link: SignInLink | None, wanted: argparse.Namespace, *, machines: str = ""
) -> None:
    base = settings.public_address or url + settings.base_path
    if wants_browser(wanted):
        target = base if link is None else link.url(base)
        Thread(target=webbrowser.open, args=(target,), daemon=True).start()
    if wanted.json:
        way_in = {} if link is None else {"sign_in_link": link.url(base), "expires_at": output.instant(link.expires_at)}
        output.result_json({"url": base + "/", "data_dir": str(settings.data_dir), "pid": os.getpid()} | way_in)
        return
    lines = [(sentence("start.open"), base + "/")]
    if link is not None:
        until = sentence("start.sign_in_note", until=clock_time(link.expires_at))
        lines.append((sentence("start.sign_in"), f"{link.url(base)}  {until}"))
    if machines:
        lines.append((sentence("start.machines"), machines))
    lines += [(sentence("start.data"), str(settings.data_dir)), (sentence("start.stop"), sentence("start.stop_note"))]
    width = max(len(name) for name, _ in lines)
    output.result(sentence("start.title", version=PRODUCT_VERSION))
    for name, value in lines:
        output.result(f"  {name.ljust(width)}  {value}")


def wants_browser(wanted: argparse.Namespace) -> bool:
    return bool(wanted.open) or os.environ.get("RVM_OPEN", "").lower() in ("1", "true", "yes", "on")


HIDDEN: Final = "***"
DEFAULT: Final = "default"


async def show_config(wanted: argparse.Namespace) -> None:
    """As a hub would start with it here: each value and where it comes from, no secret. Opens nothing."""
    settings = settings_of(wanted)
    given = {name: getattr(wanted, name, None) for name in (*DATA_FLAGS, *SERVE_FLAGS)}
    named = origins(given, os.environ)
    shown = [
        {
            "name": one.name,
            "value": _plain(getattr(settings, one.name) if one.repr else without_secret(one.name, settings)),
            "origin": named.get(one.name, DEFAULT),
        }
        for one in fields(Settings)
        if one.name != "warnings"
    ]
    for warning in settings.warnings:
        output.note(warning)
    if wanted.json:
        output.result_json({"settings": shown})
        return
    columns = ("name", "value", "origin") if wanted.origin else ("name", "value")
    output.table([one | {"value": _typed(one["value"])} for one in shown], columns)


def without_secret(name: str, settings: Settings) -> str:
    """Of an address, no password and nothing after `?`; of a map's tiles the host alone: their path may be a key."""
    text = str(getattr(settings, name))
    if not text or text.startswith("sqlite:"):
        return text
    if name not in ("database_url", "map_tiles_url"):
        return HIDDEN
    scheme, _, rest = text.partition("://")
    person, at, place = rest.rpartition("@")  # The last: a password may have one
    if name == "map_tiles_url":
        return f"{scheme}://{_until_mark(place)}/{HIDDEN}"
    user = _until_mark(person)
    secret = f":{HIDDEN}" if user != person else ""
    place, options, _ = place.partition("?")
    return f"{scheme}://{user}{secret}{at}{place}{options and options + HIDDEN}"


def _until_mark(text: str) -> str:
    return re.split("[:/?#]", text, maxsplit=1)[0]


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _typed(value: object) -> object:
    """As it would be typed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else value
