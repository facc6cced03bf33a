"""/auth/two-step: the second step of one's own sign-in; and its reset by an administrator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from db.errors import Conflict
from db.queries import credentials as stored
from db.queries import users
from db.queries.users import UserWithMachines
from hub.model import credentials, views
from hub.model.changes import Change
from hub.model.credentials import EXAMPLE_PASSWORD
from hub.people.account_api import prove
from hub.people.two_step import rules
from hub.people.users_api import named
from hub.web.api.operation import Answer, Call, Operation
from hub.web.auth.state import TWO_STEP_KEY, SecondSteps
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import Instant, Password, SignInCode
from hub.web.shell.fresh_secrets import FreshSecrets

SECRET_PLACE: Final = "/account/2-step"  # noqa: S105 - an address
CODES_PLACE: Final = "/account/2-step/codes"


class TwoStep(msgspec.Struct):
    """`recovery_codes_left`: of those that replace the app's code once each."""

    on: bool
    since: Instant | None
    recovery_codes_left: int


class AppSecret(msgspec.Struct):
    """For an authenticator app, as text and as an address for a QR code. It counts for a quarter of an hour, for the
    session that asked, until a first code turns two steps on."""

    secret: str
    address: str


class RecoveryCodes(msgspec.Struct):
    """Each replaces the app's code once. Shown here and never again."""

    recovery_codes: list[str]


class TwoStepProof(msgspec.Struct):
    """`code`: the app's; where two steps are on, a recovery code will do. `current_password`: if there is one."""

    code: SignInCode
    current_password: Password | None = None


async def show_two_step(call: Call) -> Answer:
    user = await own(call)
    row = await stored.find_two_step(call.context.store, user.id)
    left = await stored.recovery_codes_of(call.context.store, user.id)
    return Answer(TwoStep(row is not None, None if row is None else views.rfc3339(row.since), len(left)))


async def make_secret(call: Call) -> Answer:
    user = await own(call)
    if user.two_step:
        raise Problem("conflict", Text("two_step_on"))
    secret = credentials.new_app_secret()
    call.context[FreshSecrets].keep(call.principal, SECRET_PLACE, secret)
    return Answer(AppSecret(secret, rules.app_address(secret, user.email)), 201)


async def turn_on(call: Call) -> Answer:
    wanted: TwoStepProof = call.body
    user, fresh = await own(call), call.context[FreshSecrets]
    secret = fresh.find(call.principal, SECRET_PLACE)
    if user.two_step or secret is None:
        raise Problem("conflict", Text("two_step_on" if user.two_step else "two_step_no_secret"))
    plain = rules.plain_code(wanted.code)
    step = rules.matching_step(secret, plain, call.now, 0) if rules.is_app_code(plain) else None
    if step is None:
        raise one_wrong("code", "two_step_first_code")
    if user.password_hash is not None:
        await prove(call, user, wanted.current_password)
    codes = credentials.new_recovery_codes(rules.RECOVERY_CODES)
    sealed = await _sealed(call, secret)
    await _announce(call, rules.turn_on(user, sealed, step, _hashes(codes), call.now, call.principal.actor), "on")
    fresh.drop(call.principal, SECRET_PLACE)
    return Answer(RecoveryCodes(codes), 201, Text("two_step_is_on"))


async def make_codes(call: Call) -> Answer:
    wanted: TwoStepProof = call.body
    user = await _with_two_steps(call)
    proof = await prove(call, user, wanted.current_password, wanted.code)
    codes = credentials.new_recovery_codes(rules.RECOVERY_CODES)
    await _announce(call, rules.new_codes(user, proof, _hashes(codes), call.now, call.principal.actor), "code")
    return Answer(RecoveryCodes(codes), 201)


async def turn_off(call: Call) -> Answer:
    wanted: TwoStepProof = call.body
    user = await _with_two_steps(call)
    proof = await prove(call, user, wanted.current_password, wanted.code)
    await _announce(call, rules.turn_off(user, proof, call.now, call.principal.actor), "code")
    return Answer(None, message=Text("two_step_is_off"))


async def reset_two_step(call: Call) -> Answer:
    """One's own is turned off with password and code, also by an administrator."""
    user = await named(call)
    if user.id == call.principal.id:
        raise Problem("conflict", Text("two_step_own"))
    if user.two_step:
        await _announce(call, rules.reset(user, call.now, call.principal.actor), "gone")
    return Answer(status=204)


async def own(call: Call) -> UserWithMachines:
    user = await users.find_user(call.context.store, call.principal.id)
    if user is None:
        raise not_found()
    return user


async def _with_two_steps(call: Call) -> UserWithMachines:
    user = await own(call)
    if not user.two_step:
        raise Problem("conflict", Text("two_step_off"))
    return user


def _hashes(codes: Sequence[str]) -> list[str]:
    return [credentials.hash_of(rules.plain_code(code)) for code in codes]


async def _sealed(call: Call, secret: str) -> str:
    try:
        return await call.context[SecondSteps].seal.close(secret)
    except (OSError, ValueError) as error:
        raise Problem("unavailable", Text("two_step_key_unusable", {"file": TWO_STEP_KEY})) from error


async def _announce(call: Call, made: Sequence[Change], if_late: str) -> None:
    """`if_late`: what it means that somebody else was first: on, code (it was used meanwhile), gone (as wanted)."""
    try:
        await call.announce(*made)
    except Conflict as late:
        if late.column != "two_step":
            raise
        if if_late == "on":
            raise Problem("conflict", Text("two_step_on")) from late
        if if_late == "code":
            raise one_wrong("code", "sign_in.code") from late


_OWN: Final = "/v2/auth/two-step"
_EXAMPLE: Final = {"code": "123456", "current_password": EXAMPLE_PASSWORD}

OPERATIONS = (
    Operation(
        name="show_two_step", method="GET", path=_OWN, handler=show_two_step, tag="Sign-in",
        summary="Whether your sign-in takes two steps", action="account.secure", answers={200: TwoStep},
    ),
    Operation(
        name="make_two_step_secret", method="POST", path=f"{_OWN}/secret", handler=make_secret, tag="Sign-in",
        summary="A secret for an authenticator app", action="account.secure", answers={201: AppSecret},
        refusals=(409,),
    ),
    Operation(
        name="turn_two_step_on", method="POST", path=_OWN, handler=turn_on, tag="Sign-in",
        summary="Sign in with two steps from now on, by a first code of the app", action="account.secure",
        body=TwoStepProof, answers={201: RecoveryCodes}, refusals=(409, 429, 503), example=_EXAMPLE,
        description="Sessions and tokens stay. Tokens and machines' keys need no code.",
    ),
    Operation(
        name="make_recovery_codes", method="POST", path=f"{_OWN}/recovery-codes", handler=make_codes, tag="Sign-in",
        summary="Ten new recovery codes; those before are worthless then", action="account.secure",
        body=TwoStepProof, answers={201: RecoveryCodes}, refusals=(409, 429), example=_EXAMPLE,
    ),
    Operation(
        name="turn_two_step_off", method="POST", path=f"{_OWN}/off", handler=turn_off, tag="Sign-in",
        summary="Sign in with one step again", action="account.secure", body=TwoStepProof, answers={200: None},
        refusals=(409, 429), example=_EXAMPLE,
    ),
    Operation(
        name="reset_two_step", method="DELETE", path="/v2/users/{user_id}/two-step", handler=reset_two_step,
        tag="Users", summary="Let somebody who lost their app sign in with one step", action="user.manage",
        answers={204: None}, refusals=(404, 409), description="Ends their sessions. Ask them first, by another way.",
    ),
)  # fmt: skip
