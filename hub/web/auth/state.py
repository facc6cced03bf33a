"""What signing in and checking credentials keep in memory: no secret, only hashes. What the database could not store
counts here until it can, so that a full disk locks nobody out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

import anyio

from db.errors import Conflict, Rejected, StoreError
from db.records import MachineRow, SessionRow, SignInFailureRow, SignInLinkRow, UserRow
from db.sign_in_records import RecoveryCodeRow, TwoStepRow
from hub.kernel.announce import Announcer
from hub.kernel.retry import RetryUntilAvailable
from hub.kernel.sealing import Seal
from hub.model import changes as c
from hub.model import credentials
from hub.model.access import Principal
from hub.people import rules
from hub.people.rules import MAX_EMAIL
from hub.web.auth.limits import AddressLimiter, PersonBudget, UnauthenticatedLimit, network_of
from hub.web.auth.passwords import Passwords

logger = logging.getLogger("myrvm.sign_in")

MAX_USES: Final = 1000
MAX_FAMILIAR: Final = 10_000
LOGGED_EVERY_S: Final = 60.0
MAX_NETWORKS: Final = 1000


class FamiliarPlaces:
    """Networks an account signed in from: failures elsewhere do not lock it there."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, None] = OrderedDict()  # Bound: MAX_FAMILIAR, the one used longest ago goes first

    def add(self, email: str, address: str) -> None:
        place = self._place(email, address)
        self._places[place] = None
        self._places.move_to_end(place)
        if len(self._places) > MAX_FAMILIAR:
            self._places.popitem(last=False)

    def find(self, email: str, address: str) -> str | None:
        """Under which tries from there are counted; None: not familiar."""
        place = self._place(email, address)
        return place if place in self._places else None

    @staticmethod
    def _place(email: str, address: str) -> str:
        """Begins with a space, as no email does."""
        return f" {network_of(address)} {email}"[:MAX_EMAIL]


class UnknownAccounts:
    """Tries for unknown accounts: one log line a minute, none in the audit log."""

    def __init__(self) -> None:
        self._tries = 0
        self._networks: set[str] = set()  # Bound: MAX_NETWORKS, and a minute

    def count(self, address: str) -> None:
        self._tries += 1
        if len(self._networks) < MAX_NETWORKS:
            self._networks.add(network_of(address))

    def summary(self) -> str | None:
        if not self._tries:
            return None
        more = " or more" if len(self._networks) == MAX_NETWORKS else ""
        sentence = (
            f"{self._tries} tries to sign in to accounts that do not exist, from {len(self._networks)}{more} networks"
        )
        self._tries = 0
        self._networks.clear()
        return sentence

    async def run(self) -> None:
        while True:
            await anyio.sleep(LOGGED_EVERY_S)
            if sentence := self.summary():
                logger.warning("%s", sentence)


CREDENTIAL_TTL_S: Final = 3.0
MAX_CREDENTIALS: Final = 10_000


class CredentialCache:
    """hash -> (principal, expiry)."""

    def __init__(self, ttl_s: float = CREDENTIAL_TTL_S, clock: Callable[[], float] = monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        # Bound: MAX_CREDENTIALS, and CREDENTIAL_TTL_S.
        self._entries: OrderedDict[str, tuple[float, datetime | None, Principal]] = OrderedDict()
        self._generation = 0
        # Bound: look-ups that are under way, one a credential and generation.
        self._under_way: dict[tuple[str, int], asyncio.Future[Principal | None]] = {}

    async def share(self, digest: str, look_up: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        key = (digest, self._generation)
        while (earlier := self._under_way.get(key)) is not None:
            await asyncio.wait((earlier,))
            if not earlier.cancelled():
                return earlier.result()
        own: asyncio.Future[Principal | None] = asyncio.get_running_loop().create_future()
        self._under_way[key] = own
        try:
            own.set_result(await look_up())
        except StoreError as error:
            own.set_exception(error)
        finally:
            del self._under_way[key]
            own.cancel()  # where nothing was learnt, each who waited looks for itself
        return own.result()

    @property
    def generation(self) -> int:
        """Grows with every `drop`, so that no older look-up is kept."""
        return self._generation

    def find(self, digest: str, now: datetime) -> Principal | None:
        entry = self._entries.get(digest)
        if entry is None:
            return None
        stale_at, expires_at, principal = entry
        if self._clock() >= stale_at or (expires_at is not None and expires_at <= now):
            del self._entries[digest]
            return None
        return principal

    def keep(self, digest: str, principal: Principal, expires_at: datetime | None, generation: int) -> None:
        if generation != self._generation:
            return
        self._entries[digest] = (self._clock() + self._ttl_s, expires_at, principal)
        if len(self._entries) > MAX_CREDENTIALS:
            self._entries.popitem(last=False)

    def drop(self, digest: str) -> None:
        self._generation += 1
        self._entries.pop(digest, None)

    def drop_user(self, user_id: int) -> None:
        self._generation += 1
        for digest in [d for d, (_, _, p) in self._entries.items() if p.kind == "user" and p.id == user_id]:
            del self._entries[digest]

    def drop_all(self) -> None:
        self._generation += 1
        self._entries.clear()


TWO_STEP_KEY: Final = "two_step.key"
SECOND_STEP_S: Final = 600.0
MAX_HALF: Final = 1000
MAX_HALF_OF_ONE: Final = 5


class HalfSignIn(NamedTuple):
    """The first step was right: who, by what (password or link), what must still hold at the second, and from where."""

    user_id: int
    by: str
    held: tuple[c.Change, ...]
    language: str | None
    address: str


class SecondSteps:
    """Sign-ins that wait for their code: in memory, by the hash of what their browser holds, which opens nothing."""

    def __init__(self, folder: Path, clock: Callable[[], float] = monotonic) -> None:
        self.seal = Seal(folder / TWO_STEP_KEY)
        self._clock = clock
        # Bound: MAX_HALF, the oldest goes first; and MAX_HALF_OF_ONE a person, of the network with the most of them,
        # so that whoever knows a password ends nobody's sign-in elsewhere.
        self._waiting: OrderedDict[str, tuple[float, HalfSignIn]] = OrderedDict()

    def keep(self, half: HalfSignIn) -> str:
        """The secret of their browser."""
        self._drop_expired()
        own = {digest: network_of(o.address) for digest, (_, o) in self._waiting.items() if o.user_id == half.user_id}
        if len(own) >= MAX_HALF_OF_ONE:
            networks = list(own.values())
            del self._waiting[max(own, key=lambda digest: networks.count(own[digest]))]
        elif len(self._waiting) >= MAX_HALF:
            self._waiting.popitem(last=False)
        text = credentials.random_hex(64)
        self._waiting[credentials.hash_of(text)] = (self._clock() + SECOND_STEP_S, half)
        return text

    def find(self, text: str) -> HalfSignIn | None:
        self._drop_expired()
        _, half = self._waiting.get(credentials.hash_of(text), (0.0, None))
        return half

    def drop(self, text: str) -> None:
        self._waiting.pop(credentials.hash_of(text), None)

    def _drop_expired(self) -> None:
        while self._waiting and next(iter(self._waiting.values()))[0] <= self._clock():
            self._waiting.popitem(last=False)


class MissingCodes:
    """Right passwords whose code has not come: recorded when their time is over, once for a person and a network."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        # Bound: MAX_HALF, and MAX_HALF_OF_ONE a person: more of one would hide the others', and fill the audit log.
        self._due: OrderedDict[tuple[int, str], tuple[float, str, str]] = OrderedDict()

    def expect(self, user: UserRow, address: str) -> None:
        of_one = sum(user_id == user.id for user_id, _ in self._due)
        if len(self._due) < MAX_HALF and of_one < MAX_HALF_OF_ONE:
            due = (self._clock() + SECOND_STEP_S, user.email, address)
            self._due.setdefault((user.id, network_of(address)), due)

    def drop(self, user_id: int, *addresses: str) -> None:
        """One came: what is said of it says that the password was right."""
        for network in map(network_of, addresses):
            self._due.pop((user_id, network), None)

    async def record(self, announce: Announcer, now: datetime) -> None:
        while self._due and next(iter(self._due.values()))[0] <= self._clock():
            (user_id, network), (_, email, address) = next(iter(self._due.items()))
            await announce(rules.code_missing(user_id, email, address, now))
            self._due.pop((user_id, network), None)

    async def run(self, announce: Announcer, now: Callable[[], datetime]) -> None:
        while True:
            await anyio.sleep(LOGGED_EVERY_S)
            with contextlib.suppress(StoreError):  # it stays due
                await self.record(announce, now())


MAX_UNSTORED: Final = 200
MAX_COUNTED: Final = 1000


@dataclass(eq=False)
class _UnstoredSignIn:
    opened: SessionRow
    changes: list[c.Change]
    is_open: bool = True


async def _store(announce: Announcer, unstored: _UnstoredSignIn) -> None:
    """What is left of it: it may have ended since the last try."""
    await announce(*unstored.changes)


class UnstoredSignIns:
    def __init__(self) -> None:
        # Bound: MAX_UNSTORED, beyond it a sign-in is refused.
        self._waiting: OrderedDict[str, _UnstoredSignIn] = OrderedDict()
        self._failures: OrderedDict[str, SignInFailureRow] = OrderedDict()  # Bound: MAX_COUNTED, the oldest is dropped
        self._some = asyncio.Event()

    def keep(self, changes: Sequence[c.Change]) -> bool:
        """Let the session in these changes count; False: too many."""
        opened = next(c.put_rows(changes, SessionRow))
        if len(self._waiting) >= MAX_UNSTORED:
            return False
        self._waiting[opened.hash] = _UnstoredSignIn(opened, list(changes))
        self._some.set()
        return True

    def find(self, digest: str, now: datetime) -> SessionRow | None:
        unstored = self._waiting.get(digest)
        if unstored is None or not unstored.is_open or unstored.opened.expires_at <= now:
            return None
        return unstored.opened

    def has_used(self, link: str) -> bool:
        """Whether the link of this hash let somebody in."""
        return any(patch.key == link for patch in c.patches(self._changes(), SignInLinkRow))

    def last_step(self, user_id: int) -> int:
        """Of the codes of their app that let them in; 0: of none."""
        used = c.patches(self._changes(), TwoStepRow)
        return max((int(patch.values["last_step"]) for patch in used if patch.key == user_id), default=0)

    def used_codes(self) -> frozenset[str]:
        """The hashes of recovery codes that let somebody in."""
        return frozenset(drop.key for drop in c.drops(self._changes(), RecoveryCodeRow) if drop.key is not None)

    def _changes(self) -> Iterator[c.Change]:
        return (change for unstored in self._waiting.values() for change in unstored.changes)

    def end(self, user_id: int, digest: str | None = None) -> bool:
        """This session of the user (None: all) counts no more. False: it is not here."""
        found = [
            unstored
            for unstored in self._waiting.values()
            if unstored.is_open and unstored.opened.user_id == user_id and digest in (None, unstored.opened.hash)
        ]
        for unstored in found:
            unstored.is_open = False
            unstored.changes = [change for change in unstored.changes if not list(c.put_rows([change], SessionRow))]
        return bool(found)

    def failures(self, counted_as: str) -> SignInFailureRow | None:
        return self._failures.get(counted_as)

    def count(self, failures: SignInFailureRow) -> None:
        self._failures[failures.email] = failures
        self._failures.move_to_end(failures.email)
        if len(self._failures) > MAX_COUNTED:
            self._failures.popitem(last=False)

    def drop_failures(self, counted_as: str) -> None:
        self._failures.pop(counted_as, None)

    async def run(self, announce: Announcer) -> None:
        retry = RetryUntilAvailable("sign-ins")
        while True:
            await self._some.wait()
            digest, unstored = next(iter(self._waiting.items()))
            try:
                await retry(partial(_store, announce, unstored))
            except (Conflict, Rejected) as refused:  # stored by the try of which nobody knew, or the person is gone
                logger.warning("a sign-in was not recorded: %s", refused)
            del self._waiting[digest]
            if not self._waiting:
                self._some.clear()


@dataclass
class AuthState:
    credentials: CredentialCache = field(default_factory=CredentialCache)
    wrong_credentials: AddressLimiter = field(default_factory=AddressLimiter)
    wrong_sign_ins: AddressLimiter = field(default_factory=AddressLimiter)
    """Apart, so that nothing else an address does keeps it from signing in."""
    familiar: FamiliarPlaces = field(default_factory=FamiliarPlaces)
    unknown_accounts: UnknownAccounts = field(default_factory=UnknownAccounts)
    unauthenticated: UnauthenticatedLimit = field(default_factory=UnauthenticatedLimit)
    passwords: Passwords = field(default_factory=Passwords)
    budgets: PersonBudget = field(default_factory=PersonBudget)
    missing_codes: MissingCodes = field(default_factory=MissingCodes)
    unstored: UnstoredSignIns = field(default_factory=UnstoredSignIns)
    uses: dict[str, c.Patch] = field(default_factory=dict)  # Bound: MAX_USES; what is beyond is noted with the next use
    certificate_faults: dict[int, float] = field(default_factory=dict)  # Bound: one a machine
    """When each was last noted, monotonic."""
    users_change: anyio.Lock = field(default_factory=anyio.Lock)
    """So that two administrators cannot remove each other."""
    _trying: dict[str, tuple[anyio.Lock, int]] = field(default_factory=dict)  # Bound: one a request under way

    def note_use(self, digest: str, use: c.Patch) -> None:
        if len(self.uses) < MAX_USES:
            self.uses[digest] = use

    def on_commit(self, changes: Iterable[c.Change]) -> None:
        for change in changes:
            if isinstance(change, c.Drop) and change.of is SignInFailureRow:
                self.unstored.drop_failures(change.key)
            elif (
                (isinstance(change, c.Drop) and change.of is MachineRow)
                or rules.is_token_revoked(change)
                or rules.moves_reach(change)
            ):
                # Whose it was, or whom it concerns, is not known here, and these are rare.
                self.credentials.drop_all()
            elif (user_id := rules.edited_user(change)) is not None:
                self.credentials.drop_user(user_id)
                if isinstance(change, c.Drop) and change.of in (SessionRow, UserRow):
                    self.unstored.end(user_id, rules.ended_session(change))

    @asynccontextmanager
    async def one_try_at_a_time(self, email: str) -> AsyncIterator[None]:
        """So that a hundred tries are counted."""
        lock, waiting = self._trying.get(email, (anyio.Lock(), 0))
        self._trying[email] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._trying[email]
            if waiting == 1:
                del self._trying[email]
            else:
                self._trying[email] = (lock, waiting - 1)
