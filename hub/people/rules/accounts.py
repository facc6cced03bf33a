"""What becomes of users and their tokens, decided: the Changes of each act, with its one event.

Takes values and `now`; hashes come in made. No event holds a hash or tells more of a password than that
it changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from hub.model import changes as c
from hub.model.actors import Actor
from hub.model.credentials import Secret

_SILENT = frozenset({"password_hash", "disabled_at"})
"""Members of a user that an event names without their value."""


class KnownUser(Protocol):
    """What is known of the user before (db.users.UserRow)."""

    @property
    def id(self) -> int: ...
    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def disabled_at(self) -> datetime | None: ...
    @property
    def machines(self) -> frozenset[int]: ...


def add_user(
    *, email: str, name: str, role: str, password_hash: str | None, language: str | None, now: datetime, by: Actor,
    machines: frozenset[int] | None = None,
) -> list[c.Change]:  # fmt: skip
    """UserAdded (first) and its event. Without a password they sign in by a one-time link."""
    added = c.UserAdded(
        email=email, name=name, role=role, password_hash=password_hash, language=language, at=now,
        machines=tuple(sorted(machines or ())),
    )  # fmt: skip
    after: dict[str, Any] = {"email": email, "name": name, "role": role}
    after |= {} if machines is None else {"machines": sorted(machines)}
    return [added, c.EventHappened(at=now, code="user.added", actor=by, params={"email": email}, after=after)]


def edit_user(
    user: KnownUser, values: Mapping[str, Any], machines: frozenset[int] | None, now: datetime, by: Actor
) -> list[c.Change]:
    """UserEdited and its event; [] when nothing would change. A new password, a new role and being disabled end every
    session and every token, so that nothing goes on with what was before."""
    new = {name: value for name, value in values.items() if value != getattr(user, name, None)}
    moved = machines is not None and machines != user.machines
    if not new and not moved:
        return []
    before, after = _before(user, new), _after(new)
    if moved and machines is not None:
        before["machines"], after["machines"] = sorted(user.machines), sorted(machines)
    own = tuple(sorted(machines)) if moved and machines is not None else None
    made: list[c.Change] = [c.UserEdited(user_id=user.id, values=new, at=now, machines=own)]
    if new.get("password_hash") or new.get("disabled_at") or "role" in new:
        made += [c.SessionEnded(user_id=user.id, hash=None, at=now), c.TokensRevoked(user_id=user.id, at=now)]
    params = {"user_id": user.id, "email": user.email}
    return [*made, c.EventHappened(at=now, code="user.edited", actor=by, params=params, before=before, after=after)]


def remove_user(user: KnownUser, now: datetime, by: Actor) -> list[c.Change]:
    """Tokens and sessions go with the user."""
    before = {"email": user.email, "name": user.name, "role": user.role}
    event = c.EventHappened(
        at=now, code="user.removed", actor=by, params={"user_id": user.id, "email": user.email}, before=before
    )
    return [c.UserRemoved(user_id=user.id, at=now), event]


def create_token(
    user_id: int, name: str, secret: Secret, expires_at: datetime | None, now: datetime, by: Actor
) -> list[c.Change]:
    """TokenCreated (first) and its event. Without `expires_at` it is valid until it is revoked."""
    created = c.TokenCreated(
        user_id=user_id, name=name, prefix=secret.prefix, hash=secret.hash, expires_at=expires_at, at=now
    )
    params = {"user_id": user_id, "name": name, "prefix": secret.prefix}
    return [created, c.EventHappened(at=now, code="token.created", actor=by, params=params, after=params)]


def revoke_token(token_id: int, user_id: int, name: str, prefix: str, now: datetime, by: Actor) -> list[c.Change]:
    params = {"user_id": user_id, "name": name, "prefix": prefix}
    event = c.EventHappened(at=now, code="token.revoked", actor=by, params=params, before=params)
    return [c.TokenRevoked(token_id=token_id, at=now), event]


def leaves_no_admin(user: KnownUser, other_admins: int, *, role: str | None = None, disabled: bool = False) -> bool:
    """Whether the change would leave the hub without an administrator who can sign in."""
    counts = user.role == "admin" and user.disabled_at is None
    stays = (role or user.role) == "admin" and not disabled
    return counts and not stays and other_admins == 0


def _before(user: KnownUser, new: Mapping[str, Any]) -> dict[str, Any]:
    before = {name: getattr(user, name, None) for name in new if name not in _SILENT}
    if "disabled_at" in new:
        before["disabled"] = user.disabled_at is not None
    return before


def _after(new: Mapping[str, Any]) -> dict[str, Any]:
    after = {name: value for name, value in new.items() if name not in _SILENT}
    if "disabled_at" in new:
        after["disabled"] = new["disabled_at"] is not None
    if "password_hash" in new:
        after["password"] = "changed"  # noqa: S105 - a word, not a password
    return after
