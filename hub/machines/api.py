"""/rvms: list, add, show, edit and remove machines, and replace a machine's key."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from db.records import MachineRow
from db.rows import SampleRow
from hub.attention.api import OpenTrouble
from hub.commands import rules as command_rules
from hub.commands import service
from hub.commands.api import CommandView
from hub.links import rules as link_rules
from hub.machines import rules
from hub.machines.rules import Connection
from hub.model import views
from hub.model.changes import EventHappened
from hub.model.machine import Machine, tags_of
from hub.status.api import HealthReasonView
from hub.web.api import headers
from hub.web.api.operation import Answer, Call, Operation, of_record
from hub.web.auth.limits import ReadBudget
from hub.web.http.problems import Problem, Text, not_found, one_wrong
from hub.web.http.validation import DeviceId, Instant, Latitude, Limit, Longitude, Note, Offset, Tags, Title
from hub.web.shell.fleet_digest import in_slices
from protocol.board import Board
from protocol.kinds import SpecialStatus, Status


@of_record(SampleRow, without=("rvm_id", "timestamp", "boot", "seq", "clamped", "created_at"))
class Readings(msgspec.Struct):
    """An absent reading is null, and `reasons` says why."""

    taken_at: Instant | None
    reasons: dict[str, str]


class OldestSession(msgspec.Struct):
    """A machine's oldest open remote session, as all who see the machine may know it."""

    id: int
    admin_id: int | None
    name: str
    status: Literal["requested", "starting", "active"]
    since: Instant
    expires_at: Instant
    reason: str | None
    approval_wanted: bool
    allow: list[str]
    ports: list[int]
    origin: Literal["hub", "site"]


class LastingView(msgspec.Struct):
    """`code` is the reading, `since` its first sample beyond the limit."""

    code: str
    since: Instant


class BackupBrief(msgspec.Struct):
    """When the last good backup was made and verified; `only_agent`: no file is in it, or the agent's own alone;
    `failed_at`: only while the last one that ended by itself failed, `cancelled_at`: only while the last one was
    cancelled; `late_at`, `unverified_at`: from when on a good or a verified one is overdue; `open_status`, `open_type`:
    of the one being made or asked for."""

    good_at: Instant | None
    verified_at: Instant | None
    only_agent: bool
    failed_at: Instant | None
    cancelled_at: Instant | None
    drill_failed_at: Instant | None
    late_at: Instant | None
    unverified_at: Instant | None
    full_at: Instant | None
    open: bool
    open_status: str | None
    open_type: str | None


class CertificateEnd(msgspec.Struct):
    """`soon_at`, `very_soon_at`: from when its end is worth a warning."""

    soon_at: Instant
    very_soon_at: Instant
    ends_at: Instant


@of_record(MachineRow, without=views.HIDDEN)
class MachineSummary(msgspec.Struct):
    """`commands`: those that its software supports; `config_refused`: how many settings it refused; `lasting`: readings
    beyond their limits for a while; `board_question`: a different board is connected, waits, or waits because it used
    the key at the same time; `zone_wrong`: since when its time zone is; `certificate`: of its own, where it
    reported one; `disk_worn`: percent of the life of its most worn disk, where one tells."""

    status: Status
    special_status: SpecialStatus | None
    tags: list[str]
    effective_status: Status
    returns_to: Status | None
    connection: Connection
    connection_since: Instant | None
    connection_reason: str | None
    expected_interval_s: float
    health: Literal["ok", "warning", "critical"]
    health_reasons: list[HealthReasonView]
    lasting: list[LastingView]
    readings: Readings | None
    commands: list[str]
    certificate: CertificateEnd | None
    board_question: Literal["connected", "waits", "copy"] | None
    zone_wrong: Instant | None
    model: str | None
    disk_worn: float | None
    config_wanted: int
    config_refused: int
    busy: bool
    pending: list[CommandView]
    lease: OldestSession | None
    troubles: list[OpenTrouble]
    backup: BackupBrief


class MachineView(MachineSummary):
    """All the hub knows of a machine now, its own texts included. `board_report`: as of `board_report_at`."""

    capabilities: list[str]
    hardware: dict[str, Any] | None
    board_report: Board | None
    config_errors: dict[str, str] | None


class MachineWithKey(MachineView):
    """`api_key` is shown here and never again."""

    api_key: str


class NewKey(msgspec.Struct):
    """`api_key` is shown here and never again; the old one is void and its link closed."""

    id: int
    device_id: str
    api_key: str
    api_key_prefix: str


class KeyRenewalView(msgspec.Struct):
    """`prefix`: what the new key begins with; null: the machine has not made it yet. `since`: when it was made, or
    asked for. `command`: the open one, or null."""

    prefix: str | None
    since: Instant
    command: str | None


class MachineKeyView(msgspec.Struct):
    """`renewal`: a new key is on its way over the link; old and new are valid until the new one has opened a link."""

    id: int
    device_id: str
    api_key_prefix: str | None
    renewal: KeyRenewalView | None


class MachineQuery(msgspec.Struct):
    """`status`: the effective one; `q`: in name, device_id, location and tags."""

    status: Status | None = None
    connection: Connection | None = None
    health: Literal["ok", "warning", "critical"] | None = None
    tag: Note | None = None
    q: Note | None = None
    limit: Limit = 100
    offset: Offset = 0


class NewMachine(msgspec.Struct):
    """`tags`: kept in lower case, each once. `latitude` and `longitude`: degrees (WGS 84), both or none."""

    name: Title
    location_description: Note | None = None
    tags: Tags = []
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    device_id: DeviceId | None = None


class MachinePatch(msgspec.Struct):
    """Only what is named changes. `tags`: all of them, kept in lower case, each once. `latitude` and `longitude`:
    degrees (WGS 84), both or none."""

    name: Title | msgspec.UnsetType = msgspec.UNSET
    location_description: Note | msgspec.UnsetType | None = msgspec.UNSET
    tags: Tags | msgspec.UnsetType = msgspec.UNSET
    latitude: Latitude | msgspec.UnsetType | None = msgspec.UNSET
    longitude: Longitude | msgspec.UnsetType | None = msgspec.UNSET
    device_id: DeviceId | msgspec.UnsetType = msgspec.UNSET


def facts_of(wanted: NewMachine) -> rules.MachineFacts:
    return rules.MachineFacts(
        wanted.name, wanted.device_id, wanted.location_description, tags_of(wanted.tags),
        (wanted.latitude, wanted.longitude),
    )  # fmt: skip


async def list_machines(call: Call) -> Answer:
    query: MachineQuery = call.query
    async with call.context[ReadBudget].turn(call.principal.actor):
        reached = (m for m in call.context.fleet.machines.values() if call.principal.reaches(m.id))
        found = sorted((m for m in reached if _matches(m, query)), key=lambda m: m.id)
        page = found[query.offset : query.offset + query.limit]
        shown = [views.machine_view(machine) async for machine in in_slices(page)]
    following = query.offset + query.limit if len(found) > query.offset + query.limit else None
    return Answer(shown, headers=headers.next_page(call.request, total=len(found), offset=following))


async def add_machine(call: Call) -> Answer:
    wanted: NewMachine = call.body
    _refuse_twins(call, wanted.name, wanted.device_id)
    _refuse_half_a_place(wanted.latitude, wanted.longitude)
    secret, changes = rules.new_machine(facts_of(wanted), call.principal.actor, call.now)
    await call.announce(*changes)
    machine = call.context.fleet.by_key_prefix(secret.prefix)
    if machine is None:  # removed again by somebody else before we could answer
        raise not_found()
    data = views.machine_detail(machine) | {"api_key": secret.text}
    where = {"Location": f"/api/v2/rvms/{machine.id}"}
    return Answer(data, 201, Text("machine_added"), where)


async def show_machine(call: Call) -> Answer:
    return Answer(views.machine_detail(call.machine))


async def edit_machine(call: Call) -> Answer:
    machine, patch = call.machine, msgspec.structs.asdict(call.body)
    if patch["name"] is not msgspec.UNSET:
        patch["name"] = rules.composed(patch["name"])
    if patch["tags"] is not msgspec.UNSET:
        patch["tags"] = tags_of(patch["tags"]) or None
    after = {k: v for k, v in patch.items() if v is not msgspec.UNSET and v != getattr(machine.row, k)}
    if after:
        _refuse_half_a_place(*(after.get(name, getattr(machine.row, name)) for name in ("latitude", "longitude")))
        _refuse_twins(call, after.get("name"), after.get("device_id"), machine.id)
        before = {name: getattr(machine.row, name) for name in after}
        await call.context.announce(
            *rules.edited(machine.id, after, call.now),
            _event(call, "machine.edited", machine, before=before, after=after),
        )
        machine = _still_there(call, machine.id)
    return Answer(views.machine_detail(machine))


async def remove_machine(call: Call) -> Answer:
    machine = call.machine
    known = {"name": machine.name, "device_id": machine.row.device_id}
    await call.context.announce(
        *rules.removed(machine.id),
        _event(call, "machine.removed", machine, before=known, params=known),
    )
    return Answer(status=204)


async def rotate_key(call: Call) -> Answer:
    machine = call.machine
    secret, changes = rules.new_key(machine.id, machine.row.api_key_prefix, call.principal.actor, call.now)
    await call.announce(*changes)
    data = {
        "id": machine.id,
        "device_id": machine.row.device_id,
        "api_key": secret.text,
        "api_key_prefix": secret.prefix,
    }
    return Answer(data, 201, Text("key_rotated"))


async def show_key(call: Call) -> Answer:
    return Answer(rules.key_view(call.machine))


async def renew_key(call: Call) -> Answer:
    if rules.key_view(call.machine)["renewal"] is not None:
        raise Problem("conflict", Text("refused.renewal_open"), code="renewal_open")
    command = await service.issue(call, rules.RENEW_KEY, {}, signed_in=True)
    headers = {"Location": f"/api/v2/commands/{command.id}"}
    return Answer(views.command_view(command), 202, service.state_text(command), headers)


async def withdraw_key(call: Call) -> Answer:
    if call.machine.row.next_api_key is None:
        raise Problem("conflict", Text("refused.no_renewal"), code="no_renewal")
    machine, asked = call.machine, rules.renewal_asked(call.machine)
    stop = [] if asked is None else command_rules.cancel(machine, asked, call.principal.actor, call.now)
    await call.announce(*rules.withdrawn_key(machine.row, call.principal.actor, call.now), *stop)
    return Answer(rules.key_view(call.machine))


async def release_machine(call: Call) -> Answer:
    changes = link_rules.release(call.machine, call.principal.actor, call.now)
    if not changes:
        raise Problem("conflict", Text("not_quarantined"))
    await call.context.announce(*changes)
    return Answer(views.machine_detail(_still_there(call, call.machine.id)))


def _matches(machine: Machine, query: MachineQuery) -> bool:
    return rules.matches(
        machine, status=query.status, connection=query.connection, health=query.health, tag=query.tag or None,
        text=query.q or "",
    )  # fmt: skip


def _refuse_twins(call: Call, name: str | None, device_id: str | None, own_id: int | None = None) -> None:
    member = rules.taken((m.row for m in call.context.fleet.machines.values()), name, device_id, own_id)
    if member is not None:
        raise Problem("conflict", Text(f"taken.{member}"), errors={member: [Text(f"taken.{member}")]})


def _refuse_half_a_place(latitude: float | None, longitude: float | None) -> None:
    member = rules.half_a_place(latitude, longitude)
    if member is not None:
        raise one_wrong(member, "coordinates_both")


def _event(call: Call, code: str, machine: Machine, **more: Any) -> EventHappened:
    return EventHappened(at=call.now, code=code, actor=call.principal.actor, rvm_id=machine.id, **more)


def _still_there(call: Call, rvm_id: int) -> Machine:
    machine = call.context.fleet.find(rvm_id)
    if machine is None:
        raise not_found()
    return machine


_EXAMPLE = {"name": "Mall Kelapa Gading 2", "location_description": "Lantai 1, dekat lift", "device_id": "rvm-kg-02"}

OPERATIONS = (
    Operation(
        name="list_machines", method="GET", path="/v2/rvms", handler=list_machines, tag="Machines",
        reads=2, summary="List the machines you may see", action="machine.read", query=MachineQuery,
        answers={200: list[MachineSummary]}, headers=("X-Total-Count", "Link"),
    ),
    Operation(
        name="add_machine", method="POST", path="/v2/rvms", handler=add_machine, tag="Machines",
        summary="Add a machine; its key is shown once", action="machine.key", body=NewMachine,
        answers={201: MachineWithKey}, refusals=(409,), example=_EXAMPLE,
    ),
    Operation(
        name="show_machine", method="GET", path="/v2/rvms/{id}", handler=show_machine, tag="Machines",
        summary="Everything known of a machine now", action="machine.read", answers={200: MachineView},
    ),
    Operation(
        name="edit_machine", method="PATCH", path="/v2/rvms/{id}", handler=edit_machine, tag="Machines",
        summary="Rename or move a machine", action="machine.manage", body=MachinePatch,
        answers={200: MachineView}, refusals=(409,), example={"location_description": "Lantai 2"},
    ),
    Operation(
        name="remove_machine", method="DELETE", path="/v2/rvms/{id}", handler=remove_machine, tag="Machines",
        summary="Remove a machine, its history and its key", action="machine.manage", answers={204: None},
        description="Its link is closed with 4403 and its key stops working at once. The event log stays.",
        refusals=(409,),
    ),
    Operation(
        name="rotate_key", method="POST", path="/v2/rvms/{id}/key", handler=rotate_key, tag="Machines",
        summary="Replace the machine's key; the new one is shown once", action="machine.key",
        answers={201: NewKey}, refusals=(409,),
        description="The old key stops working at once and the link it opened is closed with 4403. A quarantine ends.",
    ),
    Operation(
        name="show_key", method="GET", path="/v2/rvms/{id}/key", handler=show_key, tag="Machines",
        summary="What the machine's key begins with, and whether it is being renewed", action="machine.key",
        answers={200: MachineKeyView},
    ),
    Operation(
        name="renew_key", method="POST", path="/v2/rvms/{id}/key/renewal", handler=renew_key, tag="Machines",
        summary="Have the machine renew its key over its link", action="machine.key", answers={202: CommandView},
        refusals=(409,),
        description="The machine makes the new key and sends its hash; both keys are valid until the new one has "
        "opened a link, and the old one ends then. Nobody sees it. 409: offline, or one is open (`renewal_open`).",
    ),
    Operation(
        name="withdraw_key", method="DELETE", path="/v2/rvms/{id}/key/renewal", handler=withdraw_key, tag="Machines",
        summary="Give a renewal up: the new key, not used yet, is void", action="machine.key",
        answers={200: MachineKeyView}, refusals=(409,),
    ),
    Operation(
        name="release_machine", method="POST", path="/v2/rvms/{id}/release", handler=release_machine, tag="Machines",
        summary="End a machine's quarantine before its time", action="machine.release",
        answers={200: MachineView}, refusals=(409,),
        description="Two machines that used one key fought for the link. Make sure that only one of them has it still, "
        "or replace the key instead.",
    ),
)  # fmt: skip
