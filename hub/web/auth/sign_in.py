"""Signs people in and out, for the API and the pages; `hub.people.rules` decides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from starlette.requests import HTTPConnection

from db.errors import Conflict, Unavailable
from db.queries import credentials as sessions
from db.queries import credentials as sign_ins
from db.queries import users
from db.records import SignInFailureRow
from hub.kernel.context import HubContext
from hub.model import changes, credentials
from hub.model.access import Principal
from hub.people import rules
from hub.web.auth import identify
from hub.web.auth.passwords import TooBusy
from hub.web.auth.state import AuthState


class SignedIn(NamedTuple):
    """`secret` is shown once. `last_at`: their sign-in before, or when they were added."""

    secret: str
    user_id: int
    last_at: datetime


class SignInRefused(Exception):  # noqa: N818 - an answer, not a fault
    """`code`: wrong (either of the two), locked, slow_down, link (used, expired or never made)."""

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after = retry_after


async def by_password(context: HubContext, connection: HTTPConnection, email: str, password: str) -> SignedIn:
    """Raises SignInRefused, TooBusy, Unavailable. Unknown addresses take as long."""
    email = rules.normal_email(email)
    with _charged(context, connection) as address:
        if len(email) > rules.MAX_EMAIL:
            raise SignInRefused("wrong")
        counted_as = _counted_as(context, email, address)
        async with context[AuthState].one_try_at_a_time(counted_as):
            user, _ = await _try(context, email, password, address, counted_as)
            held = rules.while_password_is(user)
            try:
                signed_in = await _open(context, connection, user, counted_as, address, "password", held)
            except Conflict as late:  # another password, while this one was compared
                raise SignInRefused("wrong") from late
    context[AuthState].familiar.add(email, address)
    return signed_in


async def prove(context: HubContext, connection: HTTPConnection, email: str, password: str) -> None:
    email = rules.normal_email(email)
    with _charged(context, connection) as address:
        counted_as = _counted_as(context, email, address)
        async with context[AuthState].one_try_at_a_time(counted_as):
            _, failures = await _try(context, email, password, address, counted_as)
            if failures is not None and failures.failures:
                await context.announce(rules.drop_failures(counted_as))


async def by_link(context: HubContext, connection: HTTPConnection, link: str, language: str | None = None) -> SignedIn:
    """`language`: of the browser, for somebody who has none when they sign in for the first time."""
    with _charged(context, connection) as address:
        shape = credentials.recognise(link.strip())
        if shape is None or shape.kind != "link":
            raise SignInRefused("link")
        now = context.clock()
        found = await sign_ins.find_link(context.store, shape.hash)
        if (
            found is None
            or found.used_at is not None
            or found.expires_at <= now
            or context[AuthState].unstored.has_used(shape.hash)
        ):
            raise SignInRefused("link")
        user = await users.find_user(context.store, found.user_id)
        if user is None or user.disabled_at is not None:
            raise SignInRefused("link")
        email = rules.normal_email(user.email)
        try:
            used = rules.use_link(shape.hash, now)
            first = language if user.language is None and user.last_sign_in_at is None else None
            signed_in = await _open(context, connection, user, email, address, "link", used, language=first)
        except Conflict as late:
            raise SignInRefused("link") from late
        context[AuthState].wrong_sign_ins.give_back(address)
        context[AuthState].familiar.add(email, address)
        return signed_in


async def sign_out(context: HubContext, connection: HTTPConnection, principal: Principal) -> None:
    carried = identify.carried_by(context.settings, connection)
    if carried is None or principal.via not in ("session", "login"):
        return
    digest = credentials.hash_of(carried.text)
    if context[AuthState].unstored.end(principal.id, digest):
        return
    await context.announce(*rules.signed_out(principal.id, digest, context.clock()))


def _counted_as(context: HubContext, email: str, address: str) -> str:
    """The account's name, or one for its familiar places."""
    return context[AuthState].familiar.find(email, address) or email


async def _try(
    context: HubContext, email: str, password: str, address: str, counted_as: str
) -> tuple[users.UserWithMachines, SignInFailureRow | None]:
    """Whose password it is, and the failures before. Under `one_try_at_a_time`."""
    state = context[AuthState]
    failures = state.unstored.failures(counted_as) or await sign_ins.find_failures(context.store, counted_as)
    locked = rules.locked_for(failures, context.clock())
    if locked is not None:
        raise SignInRefused("locked", locked)
    user = await users.find_user_by_email(context.store, email)
    stored = user.password_hash if user is not None and user.disabled_at is None else None
    right = await state.passwords.matches(password, stored, address=address, familiar=counted_as != email)
    if not right or user is None:
        user_id = None if user is None else user.id
        if user is None:
            state.unknown_accounts.count(address)
        now = context.clock()
        counted, wrong = rules.failed_sign_in(failures, counted_as, now, address=address, email=email, user_id=user_id)
        await _count(context, counted, wrong)
        raise SignInRefused("wrong")
    state.wrong_sign_ins.give_back(address)
    return user, failures


async def _count(context: HubContext, counted: SignInFailureRow, wrong: list[changes.Change]) -> None:
    try:
        await context.announce(*wrong)
    except Unavailable:
        context[AuthState].unstored.count(counted)
    else:
        context[AuthState].unstored.drop_failures(counted.email)


async def _open(
    context: HubContext, connection: HTTPConnection, user: users.UserWithMachines, counted_as: str, address: str,
    by: str, *more: changes.Change, language: str | None = None,
) -> SignedIn:  # fmt: skip
    wait = context[AuthState].budgets.sign_in(user.id)
    if wait:
        raise SignInRefused("slow_down", math.ceil(wait))
    agent = connection.headers.get("user-agent")
    secret, opened = rules.succeeded_sign_in(
        user.id, counted_as, context.clock(), address=address, user_agent=agent, by=by, language=language
    )
    made = [*more, *opened, *await _session_before(context, connection)]
    try:
        await context.announce(*made)
    except Unavailable:
        # A full disk locks nobody out of looking: it is stored when there is room.
        if not context[AuthState].unstored.keep(made):
            raise
    context[AuthState].unstored.drop_failures(counted_as)
    return SignedIn(secret.text, user.id, user.last_sign_in_at or user.created_at)


async def _session_before(context: HubContext, connection: HTTPConnection) -> list[changes.Change]:
    carried = identify.carried_by(context.settings, connection)
    shape = None if carried is None or not carried.cookie else credentials.recognise(carried.text)
    session = None if shape is None else await sessions.find_session(context.store, shape.hash)
    if session is None:
        return []
    return [rules.end_sessions(session.user_id, session.hash)]


@contextmanager
def _charged(context: HubContext, connection: HTTPConnection) -> Iterator[str]:
    """The address pays for a guess; it gets it back where none was checked."""
    address = identify.address_of(context, connection)
    wait = context[AuthState].wrong_sign_ins.charge(address)
    if wait is not None:
        raise SignInRefused("slow_down", wait)
    try:
        yield address
    except (Unavailable, TooBusy):
        context[AuthState].wrong_sign_ins.give_back(address)
        raise
