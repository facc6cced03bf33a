"""Signs people in and out, for the API and the pages; `hub.people.rules` decides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, NamedTuple

from starlette.requests import HTTPConnection

from db.errors import Conflict, Unavailable
from db.queries import credentials as sign_ins
from db.queries import users
from db.records import SignInFailureRow
from hub.kernel.context import HubContext
from hub.model import changes, credentials
from hub.model.access import Principal
from hub.people import rules
from hub.people.two_step import rules as two_step
from hub.people.two_step.rules import Proof
from hub.web.auth import identify
from hub.web.auth.passwords import TooBusy
from hub.web.auth.state import AuthState, HalfSignIn, SecondSteps

NO_PROOF: Final = Proof([], {})
"""Of who has no second step."""


class SignedIn(NamedTuple):
    """`secret` is shown once. `last_at`: their sign-in before, or when they were added."""

    secret: str
    user_id: int
    last_at: datetime


class SecondStepWanted(NamedTuple):
    """The first step was right. `secret`: what the browser shows with the code (`by_second_step`); it opens nothing."""

    secret: str


class SignInRefused(Exception):  # noqa: N818 - an answer, not a fault
    """`code`: wrong (either of the two), locked, slow_down, link (used, expired or never made); of the second step:
    code_wanted, code (wrong, or used before), code_sealed (this hub lacks the key), expired."""

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after = retry_after


async def by_password(
    context: HubContext, connection: HTTPConnection, email: str, password: str, code: str | None = None
) -> SignedIn | SecondStepWanted:
    """`code`: of who has two steps; None: it is asked for later. Raises SignInRefused, TooBusy, Unavailable. Unknown
    addresses take as long."""
    email = rules.normal_email(email)
    with _charged(context, connection) as address:
        if len(email) > rules.MAX_EMAIL:
            raise SignInRefused("wrong")
        counted_as = _counted_as(context, email, address)
        async with context[AuthState].one_try_at_a_time(counted_as):
            user, failures = await _try(context, email, password, address, counted_as)
            half = HalfSignIn(user.id, "password", (rules.while_password_is(user),), None, address)
            if user.two_step and code is None:
                context[AuthState].missing_codes.expect(user, address)
                return SecondStepWanted(context[SecondSteps].keep(half))
            tried = _Try(counted_as, address, failures, began_at=address)
            signed_in = await _finish(context, connection, user, half, tried, code or "")
    context[AuthState].familiar.add(email, address)
    return signed_in


async def by_second_step(context: HubContext, connection: HTTPConnection, secret: str, code: str) -> SignedIn:
    """`secret`: of SecondStepWanted. Raises SignInRefused, Unavailable."""
    with _charged(context, connection) as address:
        context[AuthState].wrong_sign_ins.give_back(address)  # a wrong code pays, when it was looked at
        half = context[SecondSteps].find(secret)
        user = None if half is None else await users.find_user(context.store, half.user_id)
        if half is None or user is None or user.disabled_at is not None:
            raise SignInRefused("expired")
        email = rules.normal_email(user.email)
        counted_as = _of_links(email) if half.by == "link" else _counted_as(context, email, address)
        async with context[AuthState].one_try_at_a_time(counted_as):
            tried = _Try(counted_as, address, await _failures(context, counted_as), half.by, half.address)
            signed_in = await _finish(context, connection, user, half, tried, code)
        context[SecondSteps].drop(secret)
    context[AuthState].familiar.add(email, address)
    return signed_in


async def prove(
    context: HubContext, connection: HTTPConnection, user: users.UserWithMachines, password: str, code: str | None
) -> Proof:
    """That it is them at an open browser: by the password, if they have one, and with `code` by a second step, which is
    used up by the Changes of the answer. Raises as `by_password`."""
    email, proof = rules.normal_email(user.email), NO_PROOF
    with _charged(context, connection) as address:
        counted_as = _counted_as(context, email, address)
        async with context[AuthState].one_try_at_a_time(counted_as):
            if user.password_hash is not None:
                _, failures = await _try(context, email, password, address, counted_as)
            else:
                context[AuthState].wrong_sign_ins.give_back(address)
                failures = await _failures(context, counted_as)
            if code is not None:
                by = "session" if user.password_hash is None else "password"
                proof = await _second_step(context, user, _Try(counted_as, address, failures, by), code)
            # A password alone must not end the count of wrong codes.
            if failures is not None and failures.failures and (code is not None or not user.two_step):
                await context.announce(rules.drop_failures(counted_as))
    return proof


async def by_link(
    context: HubContext, connection: HTTPConnection, link: str, language: str | None = None
) -> SignedIn | SecondStepWanted:
    """`language`: of the browser, for somebody who has none when they sign in for the first time. The link is used up
    by the second step of who has two."""
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
        first = language if user.language is None and user.last_sign_in_at is None else None
        half = HalfSignIn(user.id, "link", (rules.use_link(shape.hash, now),), first, address)
        context[AuthState].wrong_sign_ins.give_back(address)
        if user.two_step:
            return SecondStepWanted(context[SecondSteps].keep(half))
        signed_in = await _finish(context, connection, user, half, _Try(email, address, None), "")
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


def _of_links(email: str) -> str:
    """Codes after a link are counted apart: no stranger's wrong passwords keep an invitation from letting in."""
    return f" link {email}"[: rules.MAX_EMAIL]


class _Try(NamedTuple):
    """Under which name it is counted, from where, what failed before, and what was right before a code. `began_at`:
    from where that was; phones change networks between the two. None: nobody signs in, they are (`prove`)."""

    counted_as: str
    address: str
    failures: SignInFailureRow | None
    by: str = "password"
    began_at: str | None = None


async def _failures(context: HubContext, counted_as: str) -> SignInFailureRow | None:
    """Raises SignInRefused while they lock."""
    unstored = context[AuthState].unstored.failures(counted_as)
    failures = unstored or await sign_ins.find_failures(context.store, counted_as)
    locked = rules.locked_for(failures, context.clock())
    if locked is not None:
        raise SignInRefused("locked", locked)
    return failures


async def _try(
    context: HubContext, email: str, password: str, address: str, counted_as: str
) -> tuple[users.UserWithMachines, SignInFailureRow | None]:
    """Whose password it is, and the failures before. Under `one_try_at_a_time`."""
    state = context[AuthState]
    failures = await _failures(context, counted_as)
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


async def _finish(
    context: HubContext, connection: HTTPConnection, user: users.UserWithMachines, half: HalfSignIn, tried: _Try,
    code: str,
) -> SignedIn:  # fmt: skip
    """The second step, where they have one, and the session. Under `one_try_at_a_time` of the name it is counted by."""
    try:
        # Again: who switches it on while a stranger's password waits for its turn means that one, too.
        if not user.two_step and await sign_ins.find_two_step(context.store, user.id) is None:
            return await _open(context, connection, user, half, tried, NO_PROOF)
        # One code opens one session, also from two places, whose tries are counted apart. No email begins with a space:
        # nobody waits here by typing this name.
        async with context[AuthState].one_try_at_a_time(f" second step of {user.id}"):
            proof = await _second_step(context, user, tried, code)
            return await _open(context, connection, user, half, tried, proof)
    except Conflict as late:
        if late.column == "two_step":
            raise SignInRefused("code") from late
        # Another password, while this one was compared; or the link was used meanwhile.
        raise SignInRefused("link" if half.by == "link" else "wrong") from late


async def _second_step(context: HubContext, user: users.UserWithMachines, tried: _Try, code: str) -> Proof:
    """Raises SignInRefused, after counting a wrong one. No code at all is no try."""
    plain = two_step.plain_code(code)
    missing = context[AuthState].missing_codes
    if not plain:
        if tried.by == "password" and tried.began_at is not None:
            missing.expect(user, tried.began_at)
        raise SignInRefused("code_wanted")
    is_of_app = two_step.is_app_code(plain)
    proof = await (_by_app(context, user.id, plain) if is_of_app else _by_recovery_code(context, user.id, plain))
    if tried.began_at is not None:
        missing.drop(user.id, tried.began_at, tried.address)
    if proof is None:
        context[AuthState].wrong_sign_ins.charge(tried.address)
        counted, wrong = rules.failed_sign_in(
            tried.failures, tried.counted_as, context.clock(), address=tried.address,
            email=rules.normal_email(user.email), user_id=user.id, second=tried.by,
        )  # fmt: skip
        await _count(context, counted, wrong)
        raise SignInRefused("code")
    return proof


async def _by_app(context: HubContext, user_id: int, plain: str) -> Proof | None:
    row = await sign_ins.find_two_step(context.store, user_id)
    if row is None:
        return None
    secret = await context[SecondSteps].seal.open(row.secret)
    if secret is None:
        raise SignInRefused("code_sealed")
    last, now = max(row.last_step, context[AuthState].unstored.last_step(user_id)), context.clock()
    step = two_step.matching_step(secret, plain, now, last)
    if step is None and two_step.matching_step(secret, plain, now, 0) is not None:
        raise SignInRefused("code")  # one's own, sent twice: no guess, and no event that somebody knows the password
    return None if step is None else two_step.use_step(user_id, step)


async def _by_recovery_code(context: HubContext, user_id: int, plain: str) -> Proof | None:
    digest = credentials.hash_of(plain)
    left = await sign_ins.recovery_codes_of(context.store, user_id) - context[AuthState].unstored.used_codes()
    return two_step.use_recovery_code(user_id, digest, len(left) - 1) if digest in left else None


async def _open(
    context: HubContext, connection: HTTPConnection, user: users.UserWithMachines, half: HalfSignIn, tried: _Try,
    proof: Proof,
) -> SignedIn:  # fmt: skip
    wait = context[AuthState].budgets.sign_in(user.id)
    if wait:
        raise SignInRefused("slow_down", math.ceil(wait))
    agent = connection.headers.get("user-agent")
    secret, opened = rules.succeeded_sign_in(
        user.id, tried.counted_as, context.clock(), address=tried.address, user_agent=agent, by=half.by,
        language=half.language, second=proof.params,
    )  # fmt: skip
    # An invitation also ends the lock of the account's name.
    unlocked = [rules.drop_failures(rules.normal_email(user.email))] if half.by == "link" else []
    made = [*half.held, *proof.changes, *opened, *unlocked, *await _session_before(context, connection)]
    try:
        await context.announce(*made)
    except Unavailable:
        # A full disk locks nobody out of looking: it is stored when there is room.
        if not context[AuthState].unstored.keep(made):
            raise
    context[AuthState].unstored.drop_failures(tried.counted_as)
    return SignedIn(secret.text, user.id, user.last_sign_in_at or user.created_at)


async def _session_before(context: HubContext, connection: HTTPConnection) -> list[changes.Change]:
    carried = identify.carried_by(context.settings, connection)
    shape = None if carried is None or not carried.cookie else credentials.recognise(carried.text)
    session = None if shape is None else await sign_ins.find_session(context.store, shape.hash)
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
