"""From an HTTP request to an answer: guard, body, handler, envelope; every exception becomes a document.

Checked before the body is read: credential, guessing rate, origin of a cookie's change, role, the machine of the
path. Unknown and forbidden machines are answered alike."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final

import anyio
import msgspec
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from db import errors as db_errors
from hub.commands.rules import Refused
from hub.kernel.context import HubContext
from hub.links.links import Links
from hub.model.access import ACTIONS, OF_ONES_ACCOUNT, OF_THE_FLEET, SIGNED_IN_ONLY, Principal, may, role_needed
from hub.model.budgets import Cost
from hub.model.machine import Machine
from hub.web.api.operation import Answer, Call, Operation
from hub.web.auth import identify, origin
from hub.web.auth.limits import ReadBudget
from hub.web.auth.passwords import TooBusy
from hub.web.auth.state import AuthState
from hub.web.http import request_body
from hub.web.http.layers import outward
from hub.web.http.problems import (
    Problem,
    Text,
    language_of,
    not_found,
    not_stored,
    one_wrong,
    respond,
    texts_in,
    translator,
)
from hub.web.http.validation import validate
from texts.languages import DEFAULT

HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_encode = msgspec.json.Encoder().encode


def success(data: Any, status: int = 200, *, message: str | None = None) -> Response:
    """`{"success": true, "data": ..., "message"?}`; 204 has no body."""
    if status == 204:
        return Response(status_code=204)
    envelope: dict[str, Any] = {"success": True, "data": data}
    if message is not None:
        envelope["message"] = message
    return Response(_encode(envelope), status, media_type="application/json")


def seal(response: Response, extra: Mapping[str, str] | None = None) -> Response:
    for name, value in {**HEADERS, **(extra or {})}.items():
        response.headers.setdefault(name, value)
    return response


def without_body(response: Response) -> Response:
    response.body = b""
    return response


logger = logging.getLogger("myrvm.api")

UNAVAILABLE_RETRY_S = 5.0
APART_S: Final = 0.005
"""Between a machine's requests: four times the dearest's share of the event loop."""


class Endpoint:
    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations: Mapping[str, Operation] = {operation.method: operation for operation in operations}
        methods = set(self.operations) | {"OPTIONS"} | ({"HEAD"} if "GET" in self.operations else set())
        self.allow = ", ".join(sorted(methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = outward(await self.answer(request), request.app.state.hub.settings.base_path)
        await answer(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        context: HubContext = request.app.state.hub
        if request.method == "OPTIONS":
            return seal(Response(status_code=204, headers={"Allow": self.allow}))
        operation = self.operations.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            wrong = Problem("method-not-allowed", Text("method", {"allow": self.allow}), headers={"Allow": self.allow})
            return seal(respond(wrong, translator(language_of(request, None)), context.settings.base_path))
        answered = seal(await _run(context, request, operation))
        if context[AuthState].uses:
            answered.background = BackgroundTask(identify.write_uses, context)
        return without_body(answered) if request.method == "HEAD" else answered


class Nowhere:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        base_path = request.app.state.hub.settings.base_path
        answer = seal(respond(not_found(), translator(language_of(request, None)), base_path))
        await (without_body(answer) if request.method == "HEAD" else answer)(scope, receive, send)


async def _run(context: HubContext, request: Request, operation: Operation) -> Response:
    """The request boundary: every exception becomes an answer, the unforeseen also a log line."""
    principal: Principal | None = None
    try:
        principal = await admit(context, request, operation)
        call = await _prepare(context, request, operation, principal)
        if operation.reads and principal is not None:
            rows = getattr(call.query, "limit", 100)
            await context[ReadBudget].take(principal.actor, operation.reads * max(1.0, rows / 100))
        _note_sign_of_life(context, operation, principal)
        await charge(context, principal, operation, operation.cost(call))
        answer = await operation.handler(call)
        return _enveloped(context, answer, call.language)
    except Exception as error:  # noqa: BLE001 - one of the three named boundaries (architecture.md, Concurrency)
        translate = translator(language_of(request, principal))
        return respond(_problem(error, operation), translate, context.settings.base_path)


async def _prepare(context: HubContext, request: Request, operation: Operation, principal: Principal | None) -> Call:
    call = Call(
        context=context, request=request, now=context.clock(), address=identify.address_of(context, request),
        language=language_of(request, principal), caller=principal,
    )  # fmt: skip
    if operation.action is not None and principal is not None:
        if operation.names_machine:
            call.machine_or_none = machine_named(context, principal, request.path_params["id"])
        permit(principal, operation.action, call.machine_or_none.id if call.machine_or_none else None)
    call.query = validate(operation.query, dict(request.query_params), unknown="ignore", lax=True)
    if operation.body is not None:
        call.body, call.size = await _body(request, operation)
    return call


def _note_sign_of_life(context: HubContext, operation: Operation, principal: Principal | None) -> None:
    """A machine's write with its own key, whatever its result."""
    machine = None if principal is None or principal.kind != "machine" else context.fleet.machines.get(principal.id)
    if machine is not None and operation.method not in origin.SAFE_METHODS:
        context[Links].observer.uploaded(machine)


async def _turn(context: HubContext, principal: Principal, operation: Operation) -> None:
    """Return `APART_S` after this machine's request before: what it sends at once delays its own, not its
    neighbours'."""
    if principal.kind == "machine" and operation.method not in origin.SAFE_METHODS:
        turn = context[ReadBudget].turn(principal.actor)
        await turn.acquire()
        asyncio.get_running_loop().call_later(APART_S, turn.release)


async def _body(request: Request, operation: Operation) -> tuple[Any, int]:
    raw = await request_body.read(request, operation.body_limit)
    if not raw and operation.body_optional:
        return None, 0
    request_body.require_json(request)
    value = request_body.decode(raw, wild_numbers=operation.wild_numbers)
    return validate(operation.body, value) if operation.read_body is None else operation.read_body(value), len(raw)


def _enveloped(context: HubContext, answer: Answer, language: str) -> Response:
    if isinstance(answer.data, Response):
        return answer.data
    message = None if answer.message is None else translator(language)(answer.message)
    enveloped = success(answer.data, answer.status, message=message)
    enveloped.headers.update(answer.headers)
    if answer.session is not None:
        identify.set_session_cookie(enveloped, context.settings, answer.session)
    return enveloped


def _problem(error: Exception, operation: Operation) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, db_errors.Unavailable | TooBusy):
        return Problem("unavailable", not_stored(error), retry_after=UNAVAILABLE_RETRY_S)
    if isinstance(error, db_errors.Conflict):
        return _conflict(error)
    if isinstance(error, HTTPException) and error.status_code == 413:  # the net under every route (hub.web.http.layers)
        return request_body.too_large(operation.body_limit)
    if isinstance(error, Refused):
        return _refused(error)
    number = secrets.token_hex(4)
    logger.error("%s failed, error %s", operation.name, number, exc_info=error)
    return Problem("internal", Text("internal", {"number": number}))


def _conflict(conflict: db_errors.Conflict) -> Problem:
    column = conflict.column
    if conflict.kind == "missing" or column == "rvm_id":  # removed a moment ago
        return not_found()
    if conflict.kind == "unique" and column in ("name", "device_id", "email"):
        return Problem("conflict", Text(f"taken.{column}"), errors={column: [Text(f"taken.{column}")]})
    return Problem("conflict", Text("changed_meanwhile"))


def _refused(refusal: Refused) -> Problem:
    if refusal.status == 409:
        return Problem("conflict", why_not(refusal.code))
    return one_wrong("args", "refused.invalid")


def why_not(code: str) -> Text:
    key = f"refused.{code}"
    return Text(key if key in texts_in(DEFAULT) else "changed_meanwhile")


CHALLENGE = {"WWW-Authenticate": 'Bearer realm="myrvm"'}


async def admit(context: HubContext, request: Request, operation: Operation) -> Principal | None:
    if operation.action is None:
        return None
    principal = await identify.identify(context, request)
    if principal is None:
        fault = await identify.refused_certificate(context, request)
        raise unauthenticated(context, request) if fault is None else Problem("forbidden", Text(fault), code=fault)
    forged = principal.via == "session" and request.method not in origin.SAFE_METHODS
    if forged and not identify.csrf_holds(context.settings, request):
        raise origin.csrf_refusal(request, context.settings)
    await _turn(context, principal, operation)
    await charge(context, principal, operation, operation.arrival(request))
    if request.method not in origin.SAFE_METHODS:
        may_change_now(context, principal, operation.action)
    return principal


def unauthenticated(context: HubContext, request: Request) -> Problem:
    """401; 429 for an address that tries too often. Only a credential is charged."""
    if identify.carried_by(context.settings, request) is None:
        return Problem("not-authenticated", Text("credential_wanted"), headers=CHALLENGE)
    wait = context[AuthState].wrong_credentials.charge(identify.address_of(context, request))
    if wait is not None:
        return Problem("too-many-requests", Text("slow_down", {"count": int(wait)}), retry_after=wait)
    return Problem("not-authenticated", Text("credential_wrong"), headers=CHALLENGE)


def machine_named(context: HubContext, principal: Principal, key: str) -> Machine:
    """404 for unknown and out of reach alike."""
    machine = context.fleet.find(key) if len(key) <= 100 else None
    if machine is None or not principal.reaches(machine.id):
        raise not_found()
    return machine


async def charge(context: HubContext, principal: Principal | None, operation: Operation, cost: Cost) -> None:
    """429 for a machine's key over its budget, late in a flood."""
    if principal is None or principal.kind != "machine" or operation.method in origin.SAFE_METHODS:
        return
    budget = context[Links].budget
    wait = budget.take(principal.id, monotonic(), cost)
    if wait:
        await anyio.sleep(budget.refused(principal.id, monotonic()))
        raise Problem("too-many-requests", Text("too_often", {"count": math.ceil(wait)}), retry_after=wait)


def may_change_now(context: HubContext, principal: Principal, action: str) -> None:
    """429 for a person who has filled their part of the audit log."""
    wait = context[AuthState].budgets.wait(principal, action)
    if wait:
        raise Problem("too-many-requests", Text("too_many_changes", {"count": math.ceil(wait)}), retry_after=wait)


def permit(principal: Principal, action: str, rvm_id: int | None = None) -> None:
    """403: the role needed, or that a token is not enough, or not this one."""
    if not may(principal, action, rvm_id):
        raise Problem("forbidden", _why_forbidden(principal, action))


def _why_forbidden(principal: Principal, action: str) -> Text:
    needs = {"role": Text(f"role.{role_needed(action)}")}
    if principal.role not in ACTIONS[action]:
        if not principal.is_narrow:
            return Text("needs_role", needs)
        return Text("token_needs_role", needs | {"own": Text(f"role.{principal.role}")})
    if action in SIGNED_IN_ONLY and not principal.is_signed_in:
        return Text("needs_sign_in")
    if principal.is_narrow and action in OF_ONES_ACCOUNT:
        return Text("token_is_narrow")
    return Text("token_of_some_machines") if action in OF_THE_FLEET else Text("needs_role", needs)
