"""May this request happen at all: credential, guessing rate, origin of a cookie's change, role, the machine it names.

In that order, before a byte of the body is read. Answers what the caller may not know as if it did not exist.
"""

from __future__ import annotations

import math
from time import monotonic

import anyio
from starlette.requests import Request

from hub.kernel.context import HubContext
from hub.links.links import Links
from hub.model.access import ACTIONS, SIGNED_IN_ONLY, Principal, may, role_needed
from hub.model.budgets import FRAME, Cost
from hub.model.machine import Machine
from hub.web.api.operation import Operation
from hub.web.auth import csrf, identify
from hub.web.auth.gate import Gate
from hub.web.http.problems import Problem, Text, not_found

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="myrvm"'}


async def admit(context: HubContext, request: Request, operation: Operation) -> Principal | None:
    """Who calls; None only for an operation that anyone may call. Raises the 401, 403 or 429 that stops it."""
    if operation.action is None:
        return None
    principal = await identify.identify(context, request)
    if principal is None:
        raise unauthenticated(context, request)
    forged = principal.via == "session" and request.method not in csrf.SAFE_METHODS
    if forged and not identify.csrf_holds(context.settings, request):
        raise csrf.csrf_refusal(request, context.settings)
    await charge(context, principal, operation, FRAME)
    if request.method not in csrf.SAFE_METHODS:
        may_change_now(context, principal, operation.action)
    return principal


def unauthenticated(context: HubContext, request: Request) -> Problem:
    """401, and 429 for an address that tries credentials and does nothing else. Without one there was nothing to guess,
    and any page can make its visitor's browser ask so."""
    if identify.carried_by(context.settings, request) is None:
        return Problem("not-authenticated", Text("credential_wanted"), headers=CHALLENGE)
    wait = context[Gate].addresses.charge(identify.address_of(context, request))
    if wait is not None:
        return Problem("too-many-requests", Text("slow_down", {"count": int(wait)}), retry_after=wait)
    return Problem("not-authenticated", Text("credential_wrong"), headers=CHALLENGE)


def machine_named(context: HubContext, principal: Principal, key: str) -> Machine:
    """The machine of the path, or the one 404 for unknown and out of reach."""
    machine = context.fleet.find(key) if len(key) <= 100 else None
    if machine is None or not principal.reaches(machine.id):
        raise not_found()
    return machine


async def charge(context: HubContext, principal: Principal | None, operation: Operation, cost: Cost) -> None:
    """429 for a machine's key that would make the hub do or keep more than its budget; answered late in a flood.
    Reading costs nothing, and of people nothing is counted here."""
    if principal is None or principal.kind != "machine" or operation.method in csrf.SAFE_METHODS:
        return
    budget = context[Links].budget
    wait = budget.take(principal.id, monotonic(), cost)
    if wait:
        await anyio.sleep(budget.refused(principal.id, monotonic()))
        raise Problem("too-many-requests", Text("too_often", {"count": math.ceil(wait)}), retry_after=wait)


def may_change_now(context: HubContext, principal: Principal, action: str) -> None:
    """429 for a person who has filled their part of the audit log."""
    wait = context[Gate].people.wait(principal, action)
    if wait:
        raise Problem("too-many-requests", Text("too_many_changes", {"count": math.ceil(wait)}), retry_after=wait)


def permit(principal: Principal, action: str, rvm_id: int | None = None) -> None:
    """403 that names the role needed, or says that a token is not enough."""
    if not may(principal, action, rvm_id):
        if action in SIGNED_IN_ONLY and principal.role in ACTIONS[action]:
            raise Problem("forbidden", Text("needs_sign_in"))
        raise Problem("forbidden", Text("needs_role", {"role": Text(f"role.{role_needed(action)}")}))
