"""Who may do what: one table of actions, one question (`may`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from hub.model import actors

Role = Literal["admin", "operator", "technician", "viewer", "machine"]
Via = Literal["session", "login", "token", "key"]
"""A browser's cookie, a session's secret or a token as Bearer, or a machine's key. Only `session` needs a CSRF
token."""

USER_ROLES: Final[tuple[Role, ...]] = ("viewer", "technician", "operator", "admin")

_RANKS: Final[Mapping[str, int]] = {role: rank for rank, role in enumerate(USER_ROLES)}

_READERS: Final = frozenset[Role]({"viewer", "technician", "operator", "admin", "machine"})
_PEOPLE: Final = frozenset[Role]({"viewer", "technician", "operator", "admin"})
_WORKERS: Final = frozenset[Role]({"technician", "operator", "admin"})
_ADMIN: Final = frozenset[Role]({"admin"})

ACTIONS: Final[Mapping[str, frozenset[Role]]] = {
    "machine.read": _READERS,
    "machine.manage": _ADMIN,
    "machine.key": _ADMIN,
    "machine.release": _WORKERS,
    "enrolment.read": _ADMIN,
    # Codes and approvals give a key; refusing gives nothing.
    "enrolment.admit": _ADMIN,
    "enrolment.refuse": _ADMIN,
    "status.read": _READERS,
    "status.write": _WORKERS | {"machine"},
    "metrics.read": _READERS,
    # Readings are evidence: only the machine itself (and the administrator, who may do everything) may add to them.
    "metrics.write": frozenset[Role]({"machine", "admin"}),
    "config.read": _READERS,
    "config.write": _ADMIN,
    # What all machines inherit concerns no machine's own key.
    "fleet_config.read": _PEOPLE,
    "fleet_config.write": _ADMIN,
    "timezone.read": _READERS,
    "timezone.report": frozenset[Role]({"machine", "operator", "technician", "admin"}),
    "timezone.sync": _WORKERS,
    "command.read": _READERS,
    "command.send": _WORKERS,
    # Only the machine itself knows how a command ended, and which settings are effective.
    "command.answer": frozenset[Role]({"machine"}),
    "config.report": frozenset[Role]({"machine"}),
    "remote.read": _READERS,
    "remote.start": _WORKERS | {"machine"},
    # One's own, and any of the own machine's with its key; who may end others' is decided in hub.remote.rules.requests.
    "remote.stop": _WORKERS | {"machine"},
    # Pages and files of a machine; only within a lease of one's own.
    "remote.use": _WORKERS,
    "remote.open_page": _WORKERS,
    "remote.approve": frozenset[Role]({"operator", "admin"}),
    "recording.read": _WORKERS,
    "recording.delete": _ADMIN,
    "backup.read": _READERS,
    "backup.start": _WORKERS | {"machine"},
    "backup.write": frozenset[Role]({"machine", "operator", "admin"}),
    # Its own archives, for a restore or a check; people have links.
    "backup.fetch": frozenset[Role]({"machine"}),
    "backup.download": frozenset[Role]({"operator", "admin"}),
    "backup.restore": frozenset[Role]({"operator", "admin"}),
    "backup.verify": _WORKERS,
    "backup.delete": _ADMIN,
    "event.read": _READERS,
    # Events that belong to no machine (sign-ins, users, tokens) name people.
    "event.read_all": _ADMIN,
    "user.read": _ADMIN,
    "user.manage": _ADMIN,
    "account.read": _READERS,
    "account.edit": _PEOPLE,
    "account.sign_out": _PEOPLE,
    # One's own second step.
    "account.secure": _PEOPLE,
    "session.manage_own": _PEOPLE,
    "session.manage_all": _ADMIN,
    "trouble.read": _PEOPLE,
    # To say who is on one, to snooze it, to note what was done.
    "trouble.act": _WORKERS,
    "saved_view.keep": _PEOPLE,
    # With everybody.
    "saved_view.share": _ADMIN,
    # Its addresses are secrets of services, and it says where the hub connects to.
    "notification.manage": _ADMIN,
    "system.read": frozenset[Role]({"operator", "admin"}),
    "token.manage_own": _PEOPLE,
    "token.manage_all": _ADMIN,
    "token.create": _PEOPLE,
    "feed.watch": _PEOPLE,
    "link.open": frozenset[Role]({"machine"}),
}

SIGNED_IN_ONLY: Final = frozenset(
    {"account.secure", "enrolment.admit", "machine.key", "remote.open_page", "token.create", "user.manage"}
)
"""They make something that lets its holder in: no token may."""

OF_ONES_ACCOUNT: Final = frozenset({"account.edit", "saved_view.keep", "session.manage_own", "token.manage_own"})
"""Its owner's own affairs: no token may that was made narrower than they are."""

OF_THE_FLEET: Final = frozenset(
    {
        "enrolment.read", "enrolment.refuse", "event.read_all", "fleet_config.write", "notification.manage",
        "saved_view.share", "session.manage_all", "system.read", "token.manage_all", "user.read",
    }
)  # fmt: skip
"""They concern more than some machines: who is limited to some may not."""


@dataclass(frozen=True)
class Principal:
    """`machines` None: all. `credential_id`: row of the session or token, or the machine's id. `is_narrow`: a token's
    that may do less than its owner."""

    kind: Literal["user", "machine"]
    id: int
    name: str
    role: Role
    machines: frozenset[int] | None
    via: Via
    credential_id: int
    language: str | None = None
    theme: str | None = None
    timezone: str | None = None
    email: str | None = None
    is_narrow: bool = False

    @property
    def is_signed_in(self) -> bool:
        return self.via in ("session", "login")

    @property
    def actor(self) -> actors.Actor:
        return actors.user(self.id) if self.kind == "user" else actors.machine(self.id)

    @property
    def reaches_none(self) -> bool:
        """A technician to whom no machine is assigned yet."""
        return self.machines is not None and not self.machines

    def reaches(self, rvm_id: int) -> bool:
        return self.machines is None or rvm_id in self.machines


def may(principal: Principal | None, action: str, rvm_id: int | None = None) -> bool:
    """To that machine when named. An unknown action raises KeyError."""
    roles = ACTIONS[action]
    if principal is None or principal.role not in roles:
        return False
    if action in SIGNED_IN_ONLY and not principal.is_signed_in:
        return False
    if principal.is_narrow and action in OF_ONES_ACCOUNT:
        return False
    if rvm_id is None and principal.machines is not None and action in OF_THE_FLEET:
        return False
    return rvm_id is None or principal.reaches(rvm_id)


def is_above(role: str, other: str) -> bool:
    """Whether it may what the other may not: each role of people may all that those before it may."""
    return _RANKS[role] > _RANKS[other]


def narrowed(owner: Principal, role: str | None, machines: frozenset[int] | None) -> Principal:
    """What is left to a token of this owner: never a higher role than theirs, never a machine that is not theirs. None:
    as they have it."""
    lower = next(known for known in USER_ROLES if known == role) if role and is_above(owner.role, role) else owner.role
    reach = owner.machines if machines is None else machines if owner.machines is None else machines & owner.machines
    is_narrow = lower != owner.role or machines is not None
    return replace(owner, role=lower, machines=reach, is_narrow=is_narrow)


def role_needed(action: str) -> Role:
    """For any machine (`machine`: no person may)."""
    return next((role for role in ("viewer", "operator", "admin") if role in ACTIONS[action]), "machine")


def machines_of(role: str, own: frozenset[int]) -> frozenset[int] | None:
    return own if role == "technician" else None
