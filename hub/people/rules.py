"""Decides what happens to users, tokens, sessions and passwords: the Changes of each act, with its one event. Hashes
come in made."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

from db.records import (
    MachineRow,
    SessionRow,
    SignInFailureRow,
    SignInLinkRow,
    TokenRow,
    UserMachineRow,
    UserRow,
    UserTagRow,
)
from hub.model import actors, credentials
from hub.model.actors import Actor
from hub.model.changes import Change, Drop, EventHappened, Patch, Put
from hub.model.credentials import Secret

T = TypeVar("T")

_SILENT = frozenset({"password_hash", "disabled_at"})
"""Named in an event without their value."""


def add_user(
    *, email: str, name: str, role: str, password_hash: str | None, language: str | None, now: datetime, by: Actor,
    machines: frozenset[int] | None = None, tags: frozenset[str] | None = None, timezone: str | None = None,
) -> list[Change]:  # fmt: skip
    """Without a password: they sign in by a link."""
    user = UserRow(
        email=email, name=name, role=role, password_hash=password_hash, language=language, timezone=timezone,
        created_at=now, updated_at=now,
    )  # fmt: skip
    own = (
        *(UserMachineRow(user_id=0, rvm_id=rvm_id) for rvm_id in sorted(machines or ())),
        *(UserTagRow(user_id=0, tag=tag) for tag in sorted(tags or ())),
    )
    after: dict[str, Any] = {"email": email, "name": name, "role": role}
    after |= {} if machines is None else {"machines": sorted(machines)}
    after |= {"tags": sorted(tags)} if tags else {}
    event = EventHappened(at=now, code="user.added", actor=by, params={"email": email}, after=after)
    return [Put(user, along=own), event]


def edit_user(
    user: UserRow, own: frozenset[int], values: Mapping[str, Any], machines: frozenset[int] | None, now: datetime,
    by: Actor, *, own_tags: frozenset[str] = frozenset(), tags: frozenset[str] | None = None, unchanged: bool = False,
) -> list[Change]:  # fmt: skip
    """[] when nothing changes. `machines` replaces `own`, `tags` `own_tags`; None keeps them. A new password, a new
    role and disabling end every session and token; a password or disabling also every open link. `unchanged`: Conflict
    "updated_at" once they differ from this."""
    new = {name: value for name, value in values.items() if value != getattr(user, name)}
    machines, tags = _moved(own, machines), _moved(own_tags, tags)
    if not new and machines is None and tags is None:
        return []
    before, after = _before(user, new), _after(new)
    seen, must = ((("updated_at", "=", user.updated_at),), "updated_at") if unchanged else ((), "id")
    made: list[Change] = [Patch(UserRow, user.id, {**new, "updated_at": now}, where=seen, must=must)]
    if "password_hash" in new or new.get("disabled_at") is not None:
        made.append(Drop(SignInLinkRow, where=_of_user(user.id)))
    if machines is not None:
        before["machines"], after["machines"] = sorted(own), sorted(machines)
        made.append(Drop(UserMachineRow, where=_of_user(user.id)))
        made += [Put(UserMachineRow(user_id=user.id, rvm_id=rvm_id)) for rvm_id in sorted(machines)]
    if tags is not None:
        before["tags"], after["tags"] = sorted(own_tags), sorted(tags)
        made.append(Drop(UserTagRow, where=_of_user(user.id)))
        made += [Put(UserTagRow(user_id=user.id, tag=tag)) for tag in sorted(tags)]
    if new.get("password_hash") or new.get("disabled_at") or "role" in new:
        made += [end_sessions(user.id), revoke_tokens(user.id, now)]
    params = {"user_id": user.id, "email": user.email}
    return [*made, EventHappened(at=now, code="user.edited", actor=by, params=params, before=before, after=after)]


def _moved(own: frozenset[T], wanted: frozenset[T] | None) -> frozenset[T] | None:
    return None if wanted == own else wanted


def own_after(own: frozenset[T], role: str, wanted: frozenset[T] | None) -> frozenset[T] | None:
    """Machines, or tags. None: unchanged; who is no technician any more has none."""
    if wanted is None and role != "technician" and own:
        return frozenset()
    return wanted


def while_admin(user_id: int) -> Patch:
    """Guard: Conflict "admin" once they are no administrator."""
    return Patch(UserRow, user_id, {}, where=(("role", "=", "admin"), ("disabled_at", "=", None)), must="admin")


def remove_user(user: UserRow, now: datetime, by: Actor) -> list[Change]:
    before = {"email": user.email, "name": user.name, "role": user.role}
    params = {"user_id": user.id, "email": user.email}
    event = EventHappened(at=now, code="user.removed", actor=by, params=params, before=before)
    return [Drop(UserRow, user.id, must="id"), event]


class TokenScope(NamedTuple):
    """What a token is narrower by than its owner; None: by nothing. `machines` and `tags` together: these alone."""

    role: str | None = None
    machines: tuple[int, ...] | None = None
    tags: tuple[str, ...] | None = None


AS_ITS_OWNER: Final = TokenScope()


def create_token(
    user_id: int, name: str, secret: Secret, expires_at: datetime | None, now: datetime, by: Actor,
    scope: TokenScope = AS_ITS_OWNER,
) -> list[Change]:  # fmt: skip
    narrower = scope._asdict()
    token = TokenRow(
        user_id=user_id, name=name, prefix=secret.prefix, hash=secret.hash, expires_at=expires_at, created_at=now,
        **narrower,
    )  # fmt: skip
    params = {"user_id": user_id, "name": name, "prefix": secret.prefix}
    after = params | {name: value for name, value in narrower.items() if value is not None}
    return [Put(token), EventHappened(at=now, code="token.created", actor=by, params=params, after=after)]


def revoke_token(token: TokenRow, now: datetime, by: Actor) -> list[Change]:
    """Conflict "id": revoked already, or gone."""
    params = {"user_id": token.user_id, "name": token.name, "prefix": token.prefix}
    event = EventHappened(at=now, code="token.revoked", actor=by, params=params, before=params)
    return [Patch(TokenRow, token.id, {"revoked_at": now}, where=(("revoked_at", "=", None),), must="id"), event]


def revoke_tokens(user_id: int, now: datetime) -> Patch:
    return Patch(TokenRow, None, {"revoked_at": now}, where=(*_of_user(user_id), ("revoked_at", "=", None)))


def use_token(token_id: int, now: datetime, ip: str | None) -> Patch:
    return Patch(TokenRow, token_id, {"last_used_at": now, "last_used_ip": ip})


def end_sessions(user_id: int, digest: str | None = None) -> Drop:
    return Drop(SessionRow, where=(*_of_user(user_id), *(() if digest is None else (("hash", "=", digest),))))


def while_signed_in(session_id: int) -> Patch:
    """Guard: Conflict "session" once that session has ended."""
    return Patch(SessionRow, session_id, {}, must="session")


def while_password_is(user: UserRow) -> Patch:
    """Guard: Conflict "password" once it has changed."""
    where = (("password_hash", "=", user.password_hash or ""), ("disabled_at", "=", None))
    return Patch(UserRow, user.id, {}, where=where, must="password")


def ended_session(change: Change) -> str | None:
    """The hash of the session that a Change ends."""
    if not isinstance(change, Drop) or change.of is not SessionRow:
        return None
    return next((str(value) for column, _, value in change.where if column == "hash"), None)


def end_session(session: SessionRow, email: str, now: datetime, by: Actor) -> list[Change]:
    return [end_sessions(session.user_id, session.hash), _ended(session.user_id, email, now, by, 1)]


def sign_out_everywhere(user_id: int, email: str, count: int, now: datetime, by: Actor) -> list[Change]:
    return [end_sessions(user_id), _ended(user_id, email, now, by, count)]


def _ended(user_id: int, email: str, now: datetime, by: Actor, count: int) -> EventHappened:
    params = {"user_id": user_id, "email": email, "count": count}
    return EventHappened(at=now, code="sign_in.sessions_ended", actor=by, params=params)


def is_token_revoked(change: Change) -> bool:
    """Whose it is the Change does not say."""
    return (
        isinstance(change, Patch) and change.of is TokenRow and change.key is not None and "revoked_at" in change.values
    )


RIGHTS: Final = (MachineRow, SessionRow, TokenRow, UserMachineRow, UserRow, UserTagRow)
"""What a Change is about that may move somebody's rights: what the functions around this look at."""


def edited_user(change: Change) -> int | None:
    if isinstance(change, Patch) and change.of is UserRow:
        return int(change.key) if change.values else None
    if isinstance(change, Patch) and change.of is TokenRow and change.key is None:
        return _user_in(change)
    if isinstance(change, Drop) and change.of is UserRow:
        return int(change.key)
    theirs = (SessionRow, UserMachineRow, UserTagRow)
    return _user_in(change) if isinstance(change, Drop) and change.of in theirs else None


def moves_reach(change: Change) -> bool:
    """Whether a machine's tags may give it to technicians, or take it from them."""
    if isinstance(change, Put):
        return isinstance(change.row, MachineRow) and bool(change.row.tags)
    return isinstance(change, Patch) and change.of is MachineRow and "tags" in change.values


def narrows(change: Change) -> bool:
    """Whether it may take something from what they see."""
    if not isinstance(change, Patch) or change.of is not UserRow:
        return True
    return not change.values.keys().isdisjoint(("role", "disabled_at"))


def _of_user(user_id: int) -> tuple[tuple[str, str, int], ...]:
    return (("user_id", "=", user_id),)


def _user_in(change: Patch | Drop) -> int | None:
    return next((int(value) for column, _, value in change.where if column == "user_id"), None)


def leaves_no_admin(user: UserRow, other_admins: int, *, role: str | None = None, disabled: bool = False) -> bool:
    """Whether no administrator who can sign in would remain."""
    counts = user.role == "admin" and user.disabled_at is None
    stays = (role or user.role) == "admin" and not disabled
    return counts and not stays and other_admins == 0


def _before(user: UserRow, new: Mapping[str, Any]) -> dict[str, Any]:
    before = {name: getattr(user, name) for name in new if name not in _SILENT}
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


MAX_FAILURES: Final = 5
LOCK_S: Final = 30 * 60.0
FORGET_S: Final = 30 * 60.0
"""Failures further apart do not add up."""
IDLE_S: Final = 12 * 3600.0
ABSOLUTE_S: Final = 7 * 86400.0
EXTEND_AFTER_S: Final = 300.0
"""Use is noted, and the end put off, at most so often."""
LINK_S: Final = 15 * 60.0
INVITATION_S: Final = 72 * 3600.0
"""For somebody on another shift."""

MAX_EMAIL: Final = 200


def normal_email(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.strip()).casefold())


def locked_for(failures: SignInFailureRow | None, now: datetime) -> float | None:
    """Seconds until the next try; None: now."""
    if failures is None or failures.locked_until is None or failures.locked_until <= now:
        return None
    return (failures.locked_until - now).total_seconds()


def failed_sign_in(
    before: SignInFailureRow | None, counted_as: str, now: datetime, *, address: str, email: str, user_id: int | None,
    second: str | None = None,
) -> tuple[SignInFailureRow, list[Change]]:  # fmt: skip
    """The fifth brings the lock. An unknown account has no event. `second`: what was right before a wrong code."""
    fresh = before is None or before.locked_until is not None or (now - before.last_at).total_seconds() > FORGET_S
    count = 1 if fresh or before is None else before.failures + 1
    locked = now + timedelta(seconds=LOCK_S) if count >= MAX_FAILURES else None
    counted = SignInFailureRow(email=counted_as, failures=count, last_at=now, locked_until=locked)
    made: list[Change] = [Put(counted, over=("failures", "last_at", "locked_until"))]
    if user_id is not None:
        code = "sign_in.locked" if locked else "sign_in.failed"
        params = {"email": email, "ip": address, "failures": count} | ({"second": True, "by": second} if second else {})
        made.append(EventHappened(at=now, code=code, actor=actors.user(user_id), params=params))
    return counted, made


def code_missing(user_id: int, email: str, address: str, now: datetime) -> EventHappened:
    """Somebody had the right password, and no code came."""
    params = {"email": email, "ip": address}
    return EventHappened(at=now, code="sign_in.code_missing", actor=actors.user(user_id), params=params)


def drop_failures(counted_as: str) -> Drop:
    return Drop(SignInFailureRow, counted_as)


def locks_of(email: str, locked: Iterable[SignInFailureRow]) -> list[SignInFailureRow]:
    """By the account's name, and its familiar places (a space, network, space, name)."""
    name = normal_email(email)
    return [failures for failures in locked if failures.email == name or failures.email.endswith(f" {name}")]


def end_lock(user: UserRow, locked: Sequence[SignInFailureRow], now: datetime, by: Actor) -> list[Change]:
    if not locked:
        return []
    params = {"user_id": user.id, "email": user.email}
    event = EventHappened(at=now, code="sign_in.unlocked", actor=by, params=params)
    return [*(drop_failures(failures.email) for failures in locked), event]


def succeeded_sign_in(
    user_id: int, counted_as: str, now: datetime, *, address: str, user_agent: str | None, by: str,
    language: str | None = None, second: Mapping[str, Any] | None = None,
) -> tuple[Secret, list[Change]]:  # fmt: skip
    """`by`: password or link. `language`: theirs from now on. `second`: what is recorded of the second step."""
    secret, opened = open_session(user_id, now, address=address, user_agent=user_agent)
    params = {"ip": address, "by": by, **(second or {})}
    chosen = {} if language is None else {"language": language}
    return secret, [
        opened,
        drop_failures(counted_as),
        Patch(UserRow, user_id, {"last_sign_in_at": now, "updated_at": now} | chosen, must="id"),
        EventHappened(at=now, code="sign_in.succeeded", actor=actors.user(user_id), params=params),
    ]


def open_session(
    user_id: int, now: datetime, *, address: str, user_agent: str | None
) -> tuple[Secret, Put[SessionRow]]:
    secret = credentials.new_secret("session")
    session = SessionRow(
        user_id=user_id, hash=secret.hash, created_at=now, expires_at=now + timedelta(seconds=IDLE_S),
        ip=address or None, user_agent=user_agent[:300].replace("\x00", "") if user_agent else None,
    )  # fmt: skip
    return secret, Put(session)


def extended_session(session: SessionRow, now: datetime) -> Patch | None:
    """None while it is not worth a write."""
    end = min(now + timedelta(seconds=IDLE_S), session.created_at + timedelta(seconds=ABSOLUTE_S))
    unnoted, longer = now - (session.last_used_at or session.created_at), end - session.expires_at
    if max(unnoted, longer).total_seconds() < EXTEND_AFTER_S:
        return None
    return Patch(SessionRow, session.id, {"expires_at": max(end, session.expires_at), "last_used_at": now})


def signed_out(user_id: int, digest: str, now: datetime) -> list[Change]:
    event = EventHappened(at=now, code="sign_in.signed_out", actor=actors.user(user_id))
    return [end_sessions(user_id, digest), event]


def make_link(user_id: int, now: datetime, lifetime_s: float = LINK_S) -> tuple[Secret, SignInLinkRow]:
    """Single-use, for the first administrator and for lost passwords."""
    secret = credentials.new_secret("link")
    return secret, SignInLinkRow(user_id=user_id, hash=secret.hash, expires_at=now + timedelta(seconds=lifetime_s))


def invite(user: UserRow, now: datetime, by: Actor) -> tuple[Secret, SignInLinkRow, list[Change]]:
    """A further one makes those before it worthless."""
    secret, link = make_link(user.id, now, INVITATION_S)
    params = {"user_id": user.id, "email": user.email}
    event = EventHappened(at=now, code="sign_in.link_made", actor=by, params=params)
    return secret, link, [Drop(SignInLinkRow, where=_of_user(user.id)), Put(link), event]


def use_link(digest: str, now: datetime) -> Patch:
    """Conflict "hash": unknown, used or expired."""
    return Patch(
        SignInLinkRow, digest, {"used_at": now}, where=(("used_at", "=", None), ("expires_at", ">", now)), must="hash"
    )
