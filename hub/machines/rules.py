"""Decides names, ids and keys of machines, and which a filter takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from db.records import CommandRow, EventRow, MachineRow, StatusRow, ZoneRow, ZoneSyncRow
from db.table_row import TableRow
from hub.model import credentials
from hub.model.actors import Actor
from hub.model.actors import machine as machine_actor
from hub.model.changes import Change, Drop, EventHappened, Patch, Put
from hub.model.machine import Machine, normalised_tag
from hub.model.views import rfc3339
from hub.status.rules import UNDO
from protocol.messages import BoardReport, KeyOffer

Connection = Literal["live", "late", "offline", "never"]

NAMED_BY_DEVICE: Final[tuple[type[TableRow], ...]] = (ZoneSyncRow, ZoneRow)
"""Tables that name a machine by its device_id: they follow it, and go with it."""
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
MAX_SLUG = 40


def device_id_for(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MAX_SLUG].strip("-") or "rvm"
    return f"{slug}-{credentials.random_text(5, _LETTERS)}"


class NamedMachine(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def device_id(self) -> str: ...


def composed(name: str) -> str:
    """Accents in one code point, however they were typed."""
    return unicodedata.normalize("NFC", name)


def is_name(typed: str, name: str) -> bool:
    """Keyboards compose accents and spaces differently."""
    return composed(typed).split() == composed(name).split()


def taken(
    machines: Iterable[NamedMachine], name: str | None, device_id: str | None, own_id: int | None = None
) -> str | None:
    """The member that looks like another machine's; None: both are free."""
    for machine in machines:
        if machine.id == own_id:
            continue
        if name is not None and composed(machine.name) == composed(name):
            return "name"
        if device_id is not None and machine.device_id.casefold() == device_id.casefold():
            return "device_id"
    return None


Labelled = TypeVar("Labelled", bound=NamedMachine)


def on_label(text: str, machines: Sequence[Labelled], *, scanned: bool = False) -> list[Labelled]:
    """Whose label holds `text`: the ID or the name; of what was typed also the number at a name's end, or a piece of
    either. Several: it fits each of them. Never a row's id, which stands on no label."""
    wanted = _folded(text)
    if not wanted:
        return []
    whole = [m for m in machines if wanted in (m.device_id.casefold(), _folded(m.name))]
    if whole or scanned:
        return whole
    if wanted.isdecimal():
        return [m for m in machines if (end := re.search(r"\d+\Z", m.name)) and int(end[0]) == int(wanted)]
    plain = _plain(wanted)
    return [m for m in machines if plain and (plain in _plain(m.device_id) or plain in _plain(m.name))]


def _folded(text: str) -> str:
    return " ".join(composed(text).casefold().split())


def _plain(text: str) -> str:
    """Also without accents, as the dashboard's lists find."""
    if text.isascii():
        return _folded(text)
    pieces = unicodedata.normalize("NFD", text)
    return _folded("".join(each for each in pieces if unicodedata.category(each)[0] != "M"))


def half_a_place(latitude: float | None, longitude: float | None) -> str | None:
    """The member that is missing."""
    if (latitude is None) == (longitude is None):
        return None
    return "latitude" if latitude is None else "longitude"


class MachineFacts(NamedTuple):
    """What is known of a machine that is added. `device_id` None: made of its name; `place`: latitude and longitude."""

    name: str
    device_id: str | None = None
    location: str | None = None
    tags: tuple[str, ...] = ()
    place: tuple[float | None, float | None] = (None, None)
    simulated: bool = False


def new_machine(facts: MachineFacts, by: Actor, now: datetime) -> tuple[credentials.Secret, list[Change]]:
    """A machine with a new key, which is shown once; the Changes have its hash."""
    secret = credentials.new_secret("key")
    row, added = machine_with(facts, secret.prefix, secret.hash, by, now)
    known: dict[str, Any] = {"name": row.name, "device_id": row.device_id, "location_description": facts.location}
    if facts.tags:
        known["tags"] = list(facts.tags)
    if None not in facts.place:
        known |= {"latitude": facts.place[0], "longitude": facts.place[1]}
    return secret, [added, EventHappened(at=now, code="machine.added", actor=by, params=known, after=known)]


def machine_with(
    facts: MachineFacts, key_prefix: str, key_hash: str, by: Actor, now: datetime
) -> tuple[MachineRow, Put[MachineRow]]:
    """A new machine that has this key."""
    name = composed(facts.name)
    row = MachineRow(
        device_id=facts.device_id or device_id_for(name),
        name=name,
        location_description=facts.location,
        tags=facts.tags or None,
        latitude=facts.place[0],
        longitude=facts.place[1],
        api_key=key_hash,
        api_key_prefix=key_prefix,
        simulated=facts.simulated,
        status_since=now,
        status_by=by,
        created_at=now,
        updated_at=now,
    )
    history = StatusRow(rvm_id=0, status=row.status, capacity=row.capacity, since=now, by=by)
    return row, Put(row, along=(history,))


def new_key(rvm_id: int, old_prefix: str | None, by: Actor, now: datetime) -> tuple[credentials.Secret, list[Change]]:
    """The old one is void at once."""
    secret = credentials.new_secret("key")
    event = EventHappened(
        at=now,
        code="machine.key_rotated",
        actor=by,
        rvm_id=rvm_id,
        before={"api_key_prefix": old_prefix},
        after={"api_key_prefix": secret.prefix},
    )
    return secret, [replaced_key(rvm_id, secret.prefix, secret.hash, now), event]


RENEW_KEY: Final = "renew_key"
NEXT_KEY: Final = "next_api_key"


def renewal_asked(machine: Machine) -> CommandRow | None:
    """The open command."""
    return next((command for command in machine.pending.values() if command.name == RENEW_KEY), None)


def key_view(machine: Machine) -> dict[str, Any]:
    """As REST shows it."""
    row, asked = machine.row, renewal_asked(machine)
    renewal = None
    if row.next_api_key_at is not None or asked is not None:
        since = row.next_api_key_at if asked is None else row.next_api_key_at or asked.issued_at
        renewal = {
            "prefix": row.next_api_key_prefix, "since": None if since is None else rfc3339(since),
            "command": None if asked is None else asked.id,
        }  # fmt: skip
    return {"id": machine.id, "device_id": row.device_id, "api_key_prefix": row.api_key_prefix, "renewal": renewal}


def key_fault(machine: Machine, offer: KeyOffer, *, taken: bool) -> str | None:
    """Why the hub does not want the key that a machine offers; None: it may be committed. `taken`: its prefix is
    another key's."""
    command = machine.pending.get(offer.command)
    if command is None or command.name != RENEW_KEY or command.cancel_at is not None:
        return "nobody asks for a new key any more"
    if machine.row.next_api_key is not None:
        return "another new key waits for its first use"
    return "the key begins like another one" if taken else None


def offered_key(row: MachineRow, offer: KeyOffer, now: datetime) -> list[Change]:
    """Valid beside the present one from now on. Conflict "next_api_key": there is one already."""
    values = {
        "next_api_key": offer.key_hash, "next_api_key_prefix": offer.key_prefix, "next_api_key_at": now,
        "updated_at": now,
    }  # fmt: skip
    event = EventHappened(
        at=now, code="machine.key_offered", actor=machine_actor(row.id), rvm_id=row.id,
        after={"api_key_prefix": offer.key_prefix},
    )  # fmt: skip
    return [Patch(MachineRow, row.id, values, where=(("next_api_key", "=", None),), must=NEXT_KEY), event]


_NO_NEXT: Final = dict.fromkeys(("next_api_key", "next_api_key_prefix", "next_api_key_at"))


def renewed_key(row: MachineRow, now: datetime) -> list[Change]:
    """The new key opened a link: the old one is over. Conflict "next_api_key": it was taken back meanwhile."""
    values = {"api_key": row.next_api_key, "api_key_prefix": row.next_api_key_prefix, **_NO_NEXT, "updated_at": now}
    event = EventHappened(
        at=now, code="machine.key_renewed", actor=machine_actor(row.id), rvm_id=row.id,
        before={"api_key_prefix": row.api_key_prefix}, after={"api_key_prefix": row.next_api_key_prefix},
    )  # fmt: skip
    return [Patch(MachineRow, row.id, values, where=(("next_api_key", "=", row.next_api_key),), must=NEXT_KEY), event]


def is_renewal(patch: Patch) -> bool:
    """The machine itself goes on with a new key: who holds its link, tunnels and sessions stays the same."""
    return "api_key" in patch.values and any(name == NEXT_KEY for name, _, _ in patch.where)


def withdrawn_key(row: MachineRow, by: Actor, now: datetime) -> list[Change]:
    """The new key, not used yet, is void. Conflict "next_api_key": it was used meanwhile."""
    where = (("next_api_key", "=", row.next_api_key),)
    event = EventHappened(
        at=now, code="machine.key_withdrawn", actor=by, rvm_id=row.id,
        before={"api_key_prefix": row.next_api_key_prefix},
    )  # fmt: skip
    return [Patch(MachineRow, row.id, {**_NO_NEXT, "updated_at": now}, where=where, must=NEXT_KEY), event]


BOARD_MEMBERS: Final = ("board", "board_other", "board_other_at")
"""A new key belongs to the board that uses it first."""


def board_of(hardware: Mapping[str, Any] | None) -> dict[str, str] | None:
    """What tells a machine's board from others; None: its software does not report it."""
    known = hardware or {}
    named = (("serial", "board_serial"), ("machine_id", "machine_id"), ("model", "model"), ("hostname", "hostname"))
    found = {name: known[member] for name, member in named if isinstance(known.get(member), str) and known[member]}
    return found if "serial" in found or "machine_id" in found else None


def same_board(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """By the serial where both have one: a system may be installed anew, and a card be put into another board."""
    name = "serial" if "serial" in one and "serial" in other else "machine_id"
    return name not in one or name not in other or one[name] == other[name]


def board_seen(row: MachineRow, hardware: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    """Columns that a hello changes: the first board is the machine's, a different one waits for a decision."""
    board = board_of(hardware)
    if board is None or board == row.board:
        return {}
    if row.board is None or same_board(row.board, board):
        return {"board": board}
    if row.board_other is not None and same_board(row.board_other, board):
        # Approval is no longer asked for: it is let in, and stays to be decided on.
        return {"board_other": board} if row.board_other.get("held") == "approval" else {}
    return {"board_other": board, "board_other_at": now}


def board_reported(machine: Machine, report: BoardReport, now: datetime) -> list[Change]:
    """The newest report counts."""
    values = {"board_report": msgspec.to_builtins(report.board), "board_report_at": now}
    return [Patch(MachineRow, machine.id, values)]


def is_held(row: MachineRow, hardware: Mapping[str, Any] | None, *, wait: bool) -> bool:
    """A different board that may not connect before somebody decides. `wait`: none may."""
    board, other = board_of(hardware), row.board_other or {}
    if board is None or row.board is None or same_board(row.board, board):
        return False
    return wait or (other.get("held") == "clone" and same_board(other, board))


def board_held(row: MachineRow, hardware: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    """Columns that a board changes which begins to wait; {}: it waits already."""
    board, other = board_of(hardware) or {}, row.board_other or {}
    if "held" in other and same_board(other, board):
        return {}
    return {"board_other": {**board, "held": "approval"}, "board_other_at": now}


def board_cloned(first: Mapping[str, Any], second: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Columns when two boards were connected at once: whichever was there first goes on."""
    return {"board": dict(first), "board_other": {**second, "held": "clone"}, "board_other_at": now}


def is_refused(row: MachineRow, hardware: Mapping[str, Any] | None) -> bool:
    board = board_of(hardware)
    other = row.board_other
    return board is not None and other is not None and bool(other.get("refused")) and same_board(other, board)


def board_words(board: Mapping[str, Any] | None) -> str:
    """For people: model, serial and host name."""
    return ", ".join(str(board[name]) for name in ("model", "serial", "hostname") if name in board) if board else ""


def decide_board(row: MachineRow, by: Actor, now: datetime, *, accept: bool) -> list[Change]:
    """The different board becomes the machine's, or may not use its key. Conflict "board_other_at":
    decided meanwhile."""
    other = {name: value for name, value in (row.board_other or {}).items() if name not in ("refused", "held")}
    values: dict[str, Any] = {"board_other_at": None, "updated_at": now}
    # Of two that were connected at once, the other may not use the key any more.
    lost = {**(row.board or {}), "refused": True} if (row.board_other or {}).get("held") == "clone" else None
    values |= {"board": other, "board_other": lost} if accept else {"board_other": {**other, "refused": True}}
    code = "machine.board_accepted" if accept else "machine.board_refused"
    params = {"board": board_words(other), "was": board_words(row.board)}
    where = (("board_other_at", "=", row.board_other_at),)
    return [
        Patch(MachineRow, row.id, values, where=where, must="board_other_at"),
        EventHappened(at=now, code=code, actor=by, rvm_id=row.id, params=params),
    ]


def replaced_key(rvm_id: int, key_prefix: str, key_hash: str, now: datetime) -> Patch:
    # Whoever fought for the old key has nothing to fight for.
    values = {
        "api_key": key_hash, "api_key_prefix": key_prefix, "quarantined_until": None, "updated_at": now, **_NO_NEXT,
        **dict.fromkeys(BOARD_MEMBERS),
    }  # fmt: skip
    return Patch(MachineRow, rvm_id, values, must="id")


def matches(
    machine: Machine, *, status: str | None = None, connection: str | None = None, health: str | None = None,
    tag: str | None = None, text: str = "",
) -> bool:  # fmt: skip
    wanted = ((status, machine.effective_status), (connection, machine.connection), (health, machine.health))
    own, sought = machine.row.tags or (), _plain(text)
    fields = (machine.row.name, machine.row.device_id, machine.row.location_description or "", *own)
    return (
        all(value in (None, actual) for value, actual in wanted)
        and (tag is None or normalised_tag(tag) in own)
        and (not sought or any(sought in _plain(field) for field in fields))
    )


def edited(rvm_id: int, values: Mapping[str, Any], now: datetime) -> list[Change]:
    found: list[Change] = []
    if "device_id" in values:
        renamed = {"device_id": values["device_id"]}
        found += [Patch(of, None, renamed, where=(("device_id", "of", rvm_id),)) for of in NAMED_BY_DEVICE]
    return [*found, Patch(MachineRow, rvm_id, {**values, "updated_at": now}, must="id")]


def before_edit(machine: Machine, edit: EventRow, by: Actor, now: datetime) -> dict[str, Any] | None:
    """The values before somebody's newest edit; None: another's, too long ago, or something newer holds."""
    if edit.actor != by or now - edit.at > UNDO:
        return None
    after = edit.after or {}
    held = {name: getattr(machine.row, name, None) for name in after}
    if msgspec.json.decode(msgspec.json.encode(held)) != after:
        return None
    # No tags are null in a row, and an empty list in a request.
    return {name: [] if name == "tags" and value is None else value for name, value in (edit.before or {}).items()}


def removed(rvm_id: int) -> list[Change]:
    """With all its rows but samples and events."""
    named: list[Change] = [Drop(of, where=(("device_id", "of", rvm_id),)) for of in NAMED_BY_DEVICE]
    return [*named, Drop(MachineRow, rvm_id, must="id")]
