"""/enrolment-codes, /enrol and /enrolments: codes for machines, machines that came with one, and who decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Final, Literal

import msgspec

from db.enrolment_records import EnrolmentCodeRow, EnrolmentRow
from db.errors import Conflict
from db.queries import enrolments
from hub.enrolment import rules
from hub.enrolment.service import Enrolments, machine_of
from hub.links.links import Links
from hub.machines import rules as machine_rules
from hub.machines.api import MachineView
from hub.machines.rules import taken
from hub.model import views
from hub.model.actors import row_id
from hub.model.changes import Change, put_rows
from hub.model.machine import Machine
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import Note, Row, Title
from protocol import enrolment

_LEAST_S: Final = 60
_MOST_S: Final = int(rules.LONGEST.total_seconds())
_MOST_AT_ONCE: Final = 500


class NewCode(msgspec.Struct):
    """`rvm_id`: the machine whose key it replaces, without one each use adds a machine. `expires_in`: seconds."""

    name: Title | None = None
    rvm_id: Row | None = None
    uses: Annotated[int, msgspec.Meta(ge=1, le=rules.MOST_USES)] = 1
    expires_in: Annotated[int, msgspec.Meta(ge=_LEAST_S, le=_MOST_S)] = int(rules.LIFETIME.total_seconds())
    approval: Literal["at_once", "waiting"] = "waiting"


@of_record(EnrolmentCodeRow, without=("hash",))
class EnrolmentCode(msgspec.Struct):
    """`prefix`: how it begins; `used` of `uses`."""


class NewEnrolmentCode(EnrolmentCode):
    """`code` is shown here and never again."""

    code: str


@of_record(EnrolmentRow, without=("key_hash",))
class Enrolment(msgspec.Struct):
    """`fingerprint`: what the machine prints; `rvm_id`, `device_id`: the machine that it is, or will be."""

    state: enrolment.State
    fingerprint: str
    device_id: str | None
    machine: str | None


class EnrolmentState(msgspec.Struct):
    """For the machine. `device_id`, `name`: once approved; `retry_s`: when to ask again while it waits."""

    state: enrolment.State
    fingerprint: str
    device_id: str | None
    name: str | None
    retry_s: float


class EnrolmentsQuery(msgspec.Struct):
    state: enrolment.State | None = None


class Approval(msgspec.Struct):
    """`name`, `location_description`: of the new machine; or `rvm_id`: the machine whose key it replaces."""

    name: Title | None = None
    location_description: Note | None = None
    rvm_id: Row | None = None


class ManyEnrolments(msgspec.Struct):
    ids: Annotated[list[Row], msgspec.Meta(min_length=1, max_length=_MOST_AT_ONCE)]


class Decided(msgspec.Struct):
    """`state` null: there is none; otherwise how it stands now, whoever decided."""

    id: int
    state: enrolment.State | None


async def make_code(call: Call) -> Answer:
    wanted: NewCode = call.body
    if wanted.rvm_id is not None:
        if machine_of(call.context, wanted.rvm_id) is None:
            raise one_wrong("rvm_id", "enrolment.no_machine")
        if wanted.uses != 1:
            raise one_wrong("uses", "enrolment.one_use")
    secret, made = rules.new_code(
        name=wanted.name, rvm_id=wanted.rvm_id, uses=wanted.uses, approval=wanted.approval,
        lifetime=timedelta(seconds=wanted.expires_in), by=call.principal.actor, now=call.now,
    )  # fmt: skip
    async with call.context.counting:
        if len(await enrolments.usable_codes(call.context.store, call.now)) >= rules.MOST_CODES:
            raise Problem("conflict", Text("enrolment.too_many", {"most": rules.MOST_CODES}))
        row = next(put_rows(await call.announce(*made), EnrolmentCodeRow))
    return Answer(views.answer(NewEnrolmentCode, row, code=secret.text), 201, Text("enrolment.code_made"))


async def list_codes(call: Call) -> Answer:
    found = await enrolments.usable_codes(call.context.store, call.now)
    return Answer([views.answer(EnrolmentCode, row) for row in found])


async def revoke_code(call: Call) -> Answer:
    code_id = row_id(call.request.path_params["code_id"])
    row = None if code_id is None else await enrolments.find_code(call.context.store, code_id)
    if row is None:
        raise not_found()
    if row.revoked_at is None:
        await call.announce(*rules.revoke_code(row, call.principal.actor, call.now))
    return Answer(status=204)


async def enrol(call: Call) -> Answer:
    row = await call.context[Enrolments].request(call.context, call.body, call.address, call.now)
    return Answer(state_of(call, row))


def state_of(call: Call, row: EnrolmentRow) -> EnrolmentState:
    """Approved, and the key replaced or the machine removed since: refused."""
    machine = call.context.fleet.by_key_prefix(row.key_prefix) if row.state == "approved" else None
    state: enrolment.State = "rejected" if row.state == "approved" and machine is None else row.state  # type: ignore[assignment]  # the column has no other
    return EnrolmentState(
        state, enrolment.fingerprint(row.key_hash), None if machine is None else machine.row.device_id,
        None if machine is None else machine.name, enrolment.RETRY_S,
    )  # fmt: skip


async def list_enrolments(call: Call) -> Answer:
    query: EnrolmentsQuery = call.query
    found = await enrolments.enrolments_in(call.context.store, query.state)
    return Answer([shown(call, row) for row in found])


def shown(call: Call, row: EnrolmentRow) -> dict[str, object]:
    machine = is_now(call, row)
    return views.answer(
        Enrolment, row, fingerprint=enrolment.fingerprint(row.key_hash),
        rvm_id=row.rvm_id if machine is None else machine.id,
        device_id=None if machine is None else machine.row.device_id, machine=None if machine is None else machine.name,
    )  # fmt: skip


def is_now(call: Call, row: EnrolmentRow) -> Machine | None:
    """The machine that it is, or will be."""
    return call.context.fleet.by_key_prefix(row.key_prefix) or machine_of(call.context, row.rvm_id)


async def approve(call: Call) -> Answer:
    wanted: Approval = call.body or Approval()
    row = await _named(call)
    target = _target(call, row, wanted)
    member = taken((m.row for m in call.context.fleet.machines.values()), wanted.name, None)
    if target is None and member is not None:
        raise Problem("conflict", Text(f"taken.{member}"), errors={member: [Text(f"taken.{member}")]})
    await _decide(call, row, lambda: _approval(call, row, target, wanted))
    return Answer(shown(call, await _named(call)))


def _target(call: Call, row: EnrolmentRow, wanted: Approval) -> Machine | None:
    rvm_id = row.rvm_id if wanted.rvm_id is None else wanted.rvm_id
    target = machine_of(call.context, rvm_id)
    if rvm_id is not None and target is None:
        raise one_wrong("rvm_id", "enrolment.no_machine")
    return target


def _approval(call: Call, row: EnrolmentRow, target: Machine | None, wanted: Approval) -> list[Change]:
    others = [m.row for m in call.context.fleet.machines.values()]
    return rules.approve(row, target, wanted.name, wanted.location_description, others, call.principal.actor, call.now)


async def reject(call: Call) -> Answer:
    row = await _named(call)
    await _decide(call, row, lambda: rules.reject(row, call.principal.actor, call.now))
    return Answer(shown(call, await _named(call)))


async def approve_many(call: Call) -> Answer:
    return await _many(call, lambda row: _approval(call, row, machine_of(call.context, row.rvm_id), Approval()))


async def reject_many(call: Call) -> Answer:
    return await _many(call, lambda row: rules.reject(row, call.principal.actor, call.now))


async def _many(call: Call, made: Callable[[EnrolmentRow], list[Change]]) -> Answer:
    """Each by itself: who was decided meanwhile stays as it is."""
    wanted: ManyEnrolments = call.body
    answered = []
    for enrolment_id in dict.fromkeys(wanted.ids):
        row = await enrolments.find_enrolment(call.context.store, enrolment_id)
        if row is not None and row.state == "waiting":
            try:
                await call.announce(*made(row))
            except Conflict as late:
                if late.column not in ("state", "name"):
                    raise
            row = await enrolments.find_enrolment(call.context.store, enrolment_id)
        answered.append(Decided(enrolment_id, None if row is None else row.state))  # type: ignore[arg-type]  # the column has no other
    return Answer(answered)


async def _decide(call: Call, row: EnrolmentRow, made: Callable[[], list[Change]]) -> None:
    if row.state != "waiting":
        raise decided(row.state)
    try:
        await call.announce(*made())
    except Conflict as late:
        if late.column != "state":
            raise
        raise decided((await _named(call)).state) from late


def decided(state: str) -> Problem:
    return Problem("conflict", Text(f"enrolment.is_{state}"))


async def _named(call: Call) -> EnrolmentRow:
    enrolment_id = row_id(call.request.path_params["enrolment_id"])
    row = None if enrolment_id is None else await enrolments.find_enrolment(call.context.store, enrolment_id)
    if row is None:
        raise not_found()
    return row


async def accept_board(call: Call) -> Answer:
    lost = call.machine.row.board if (call.machine.row.board_other or {}).get("held") == "clone" else None
    answer = await _decide_board(call, accept=True)
    if lost is not None:
        call.context[Links].close_board(call.machine.id, lost, "the board was refused")
    return answer


async def refuse_board(call: Call) -> Answer:
    other = call.machine.row.board_other or {}
    answer = await _decide_board(call, accept=False)
    call.context[Links].close_board(call.machine.id, other, "the board was refused")
    return answer


async def _decide_board(call: Call, *, accept: bool) -> Answer:
    machine = call.machine
    if machine.row.board_other_at is None:
        raise Problem("conflict", Text("enrolment.no_board"))
    await call.announce(*machine_rules.decide_board(machine.row, call.principal.actor, call.now, accept=accept))
    found = call.context.fleet.find(machine.id)
    if found is None:
        raise not_found()
    return Answer(views.machine_detail(found))


Decision = Callable[[Call], Awaitable[Answer]]


def _deciding(name: str, what: str, handler: Decision, many: Decision, action: str) -> tuple[Operation, Operation]:
    body = Approval if name == "approve" else None
    one = Operation(
        name=f"{name}_enrolment", method="POST", path=f"/v2/enrolments/{{enrolment_id}}/{name}", handler=handler,
        tag="Enrolment", summary=f"{what} a machine that came with a code", action=action, body=body,
        body_optional=body is not None, answers={200: Enrolment}, refusals=(404, 409),
        example=None if body is None else {"name": "Mall Kelapa Gading 2"},
    )  # fmt: skip
    several = Operation(
        name=f"{name}_enrolments", method="POST", path=f"/v2/enrolments/{name}", handler=many, tag="Enrolment",
        summary=f"{what} many, each by itself", action=action, body=ManyEnrolments, answers={200: list[Decided]},
        example={"ids": [1, 2]},
    )  # fmt: skip
    return several, one


_EXAMPLE: Final = {
    "code": "RVM-7K4Q-9D2M-3XHT", "key_prefix": "rvmk_ABCDEFGH",
    "key_hash": "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0", "hostname": "orin-7",
    "model": "NVIDIA Jetson Orin NX",
}  # fmt: skip

OPERATIONS: Final = (
    Operation(
        name="make_enrolment_code", method="POST", path="/v2/enrolment-codes", handler=make_code, tag="Enrolment",
        summary="Make a code with which machines ask for a place; it is shown once", action="enrolment.admit",
        body=NewCode, answers={201: NewEnrolmentCode}, refusals=(409,), example={"uses": 20, "expires_in": 86400},
        description="One use and one hour unless you say otherwise. `at_once`: whoever has the code is in; `waiting`: "
        "a person compares the fingerprint and approves.",
    ),
    Operation(
        name="list_enrolment_codes", method="GET", path="/v2/enrolment-codes", handler=list_codes, tag="Enrolment",
        summary="List the codes that still let machines in", action="enrolment.read",
        answers={200: list[EnrolmentCode]},
    ),
    Operation(
        name="revoke_enrolment_code", method="DELETE", path="/v2/enrolment-codes/{code_id}", handler=revoke_code,
        tag="Enrolment", summary="Revoke a code", action="enrolment.refuse", answers={204: None}, refusals=(404, 409),
        description="Who came with it already stays as it is.",
    ),
    Operation(
        name="enrol", method="POST", path="/v2/enrol", handler=enrol, tag="Enrolment",
        summary="A machine asks for a place, or how that stands", action=None, body=enrolment.EnrolmentRequest,
        answers={200: EnrolmentState}, refusals=(403, 429), example=_EXAMPLE,
        description="The machine makes its key itself and sends the prefix and the SHA-256. The same again asks how it "
        "stands and needs no code. Twenty wrong codes a minute from one address.",
    ),
    Operation(
        name="list_enrolments", method="GET", path="/v2/enrolments", handler=list_enrolments, tag="Enrolment",
        summary="List machines that came with a code, the newest first", action="enrolment.read",
        query=EnrolmentsQuery, answers={200: list[Enrolment]},
    ),
    *_deciding("approve", "Approve", approve, approve_many, "enrolment.admit"),
    Operation(
        name="accept_board", method="POST", path="/v2/rvms/{id}/board/accept", handler=accept_board, tag="Enrolment",
        summary="A changed Jetson is the machine's board from now on", action="enrolment.admit",
        answers={200: MachineView}, refusals=(409,),
    ),
    Operation(
        name="refuse_board", method="POST", path="/v2/rvms/{id}/board/refuse", handler=refuse_board, tag="Enrolment",
        summary="A different board may not use the machine's key", action="enrolment.refuse",
        answers={200: MachineView}, refusals=(409,), description="Its link is closed with 4403.",
    ),
    *_deciding("reject", "Refuse", reject, reject_many, "enrolment.refuse"),
)  # fmt: skip
