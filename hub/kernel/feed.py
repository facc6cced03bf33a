"""What browsers see: a full picture, then deltas; coalesced, encoded once, filtered by access. Knows no socket and no
database.

A delta is encoded once a machine and joined once a class of viewers; a full picture shows the machines as of the
last deltas. A browser that cannot keep up is cut off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from db.records import CommandRow
from hub.kernel.subscription import Frame, Subscription, ViewerClass
from hub.model import changes as c
from hub.model.access import Principal
from hub.model.fleet import READING_MEMBERS, Fleet, Touched
from hub.model.views import command_view, epoch_ms, event_view, machine_delta, machine_view
from hub.people.rules import edited_user, is_token_revoked, moves_reach, narrows

COALESCE_S: Final = 0.25
"""Readings reach a browser in one frame each."""
URGENT_GAP_S: Final = 0.05
"""A durable change goes out at once, but not more often."""
SNAPSHOT_SLICE: Final = 40
"""Encoded before the event loop runs others: 40 take about 1 ms."""
PART_MACHINES: Final = 40
"""Of a snapshot, in one fragment (50 KB or so)."""
BEAT_S: Final = 1.0
"""As often a page that reads little is sent something, so that silence means trouble."""
BRIEF: Final = ("id", "name", "pending", "lease", "lasting", "capacity", "clock_offset_s")
"""What a page that is of no machine, or of another one, reads of a machine: its badge, its counts, its lease chip."""

_UNSENT: Final = object()
_BRIEF_CHANGES: Final = frozenset(BRIEF) - {"id"}
_encoder = msgspec.json.Encoder()


class _Piece(NamedTuple):
    """One machine's part of a delta as JSON: `full`, and `quiet` without the readings, which move with every sample
    (None: nothing else changed)."""

    full: bytes
    quiet: bytes | None


class Picture(NamedTuple):
    """A snapshot for one browser. `machines` are shared; only `head` is its own."""

    head: bytes
    machines: Sequence[bytes]

    def parts(self) -> Iterator[bytes]:
        yield self.head + b',"machines":['
        for start in range(0, len(self.machines), PART_MACHINES):
            part = b",".join(self.machines[start : start + PART_MACHINES])
            yield b"," + part if start else part
        yield b"]}"

    @property
    def text(self) -> str:
        return b"".join(self.parts()).decode()


class Feed:
    def __init__(self, fleet: Fleet, *, epoch: str, version: str, clock: Callable[[], datetime]) -> None:
        self.epoch = epoch
        self.version = version
        self._fleet = fleet
        self._clock = clock
        self._subscriptions: dict[int, Subscription] = {}  # Bound: open pages, MAX_SOCKETS_PER_USER a person
        self._numbers = 0
        self._touched: dict[int, set[str]] = {}  # Bound: one a machine, until the next flush
        self._removed: set[int] = set()  # Bound: until the next flush
        self._urgent: set[int] = set()  # Bound: a part of the touched
        self._sent: dict[int, dict[str, Any]] = {}  # Bound: one a machine, and nothing while nobody watches
        """Every machine as of the last flush."""
        self._texts: dict[int, bytes] = {}  # Bound: those of `_sent`
        """As JSON, of those unchanged since."""
        self._briefs: dict[int, bytes] = {}  # Bound: those of `_sent`
        """BRIEF of them."""
        self.revision = 0
        """Rises when more than readings may differ; also unwatched."""
        self._changed: set[int] = set()  # Bound: one a machine, until they are taken
        self._timer: asyncio.TimerHandle | None = None
        self._beats: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._last_flush = 0.0
        self._last_urgent = 0.0

    def __len__(self) -> int:
        return len(self._subscriptions)

    def count_of(self, principal: Principal) -> int:
        return sum(1 for s in self._subscriptions.values() if s.principal.id == principal.id)

    # --- browsers ---------------------------------------------------------------------------------------------------

    def subscribe(self, principal: Principal, *, of: int | None = None) -> Subscription:
        """`of`: the machine of the page (0: none), for one that reads no more than BRIEF of the others."""
        self._numbers += 1
        subscription = Subscription(self._numbers, principal, of)
        self._subscriptions[subscription.number] = subscription
        if of is not None and self._beats is None:
            self._beats = asyncio.get_running_loop().call_later(BEAT_S, self._beat)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription.number, None)
        if not self._subscriptions:
            self._drop_pending()

    def rescope(self, subscription: Subscription, principal: Principal) -> None:
        subscription.release(principal)

    def pause(self, subscription: Subscription) -> None:
        subscription.hidden = True

    def resume(self, subscription: Subscription) -> None:
        if subscription.hidden:
            subscription.hidden = False
            subscription.ask_snapshot()

    def hello(self, subscription: Subscription) -> str:
        return self._text(
            {"type": "hello", "version": self.version, "epoch": self.epoch, "hub_time": self._now_ms(),
             "seq": subscription.seq}
        )  # fmt: skip

    def pong(self, n: int) -> str:
        return self._text({"type": "pong", "n": n, "hub_time": self._now_ms()})

    async def snapshot(self, subscription: Subscription) -> Picture:
        """What this viewer may see, as of the last flush. Encoded in slices; deltas that appear meanwhile are in it."""
        subscription.wants_snapshot = False
        unwritten = self._unwritten(subscription)
        for start in range(0, len(unwritten), SNAPSHOT_SLICE):
            self._write(subscription, unwritten[start : start + SNAPSHOT_SLICE])
            await asyncio.sleep(0)
        while unwritten := self._unwritten(subscription):  # a machine added meanwhile is flushed, and others with it
            self._write(subscription, unwritten)
        subscription.drop_deltas()
        head = {"type": "snapshot", "epoch": self.epoch, "seq": subscription.seq, "hub_time": self._now_ms()}
        seen = [self._texts_for(subscription, rvm_id)[rvm_id] for rvm_id in self._seen(subscription)]
        return Picture(_encoder.encode(head)[:-1], seen)

    def _seen(self, subscription: Subscription) -> Iterator[int]:
        return filter(subscription.viewer_class.sees, self._fleet.machines)

    def _texts_for(self, subscription: Subscription, rvm_id: int) -> dict[int, bytes]:
        return self._texts if subscription.of in (None, rvm_id) else self._briefs

    def _unwritten(self, subscription: Subscription) -> list[int]:
        seen = self._seen(subscription)
        return [rvm_id for rvm_id in seen if rvm_id not in self._texts_for(subscription, rvm_id)]

    def _write(self, subscription: Subscription, rvm_ids: Iterable[int]) -> None:
        """New machines are flushed first, so that viewers get their delta."""
        machines = [machine for rvm_id in rvm_ids if (machine := self._fleet.machines.get(rvm_id)) is not None]
        news = {m.id for m in machines if m.id not in self._sent and m.id in self._touched}
        if news:
            self._flush(only=self._urgent | news)
        for machine in machines:
            texts = self._texts_for(subscription, machine.id)
            if machine.id not in texts:
                sent = self._sent.get(machine.id)
                if sent is None:
                    sent = self._sent[machine.id] = machine_view(machine, times="ms")
                texts[machine.id] = _encoder.encode(sent if texts is self._texts else {m: sent[m] for m in BRIEF})

    def send_goodbye(self, reason: str) -> None:
        """One last frame for every browser, then close with 1012."""
        self._flush()
        frame = Frame(_encoder.encode({"type": "goodbye", "reason": reason}), numbered=False)
        for subscription in self._subscriptions.values():
            subscription.send_goodbye(frame)

    def take_changed(self) -> set[int]:
        changed, self._changed = self._changed, set()
        return changed

    # --- from announce ----------------------------------------------------------------------------------------------

    def publish(self, changes: Sequence[c.Change], touched: Sequence[Touched]) -> None:
        """Durable changes within 50 ms, samples within 250 ms."""
        only_readings = True
        for touch in touched:  # written out: this runs for every sample
            self._changed.add(touch.rvm_id)
            if touch.removed or not touch.members <= READING_MEMBERS:
                only_readings = False
        if not only_readings:
            self.revision += 1
        if not self._subscriptions:
            return
        durable = False
        for change in changes:
            if not isinstance(change, c.SampleSeen):
                durable = True
                self._publish_change(change)
        for touch in touched:
            if touch.removed:
                self._touched.pop(touch.rvm_id, None)
                self._sent.pop(touch.rvm_id, None)
                self._texts.pop(touch.rvm_id, None)
                self._briefs.pop(touch.rvm_id, None)
                self._removed.add(touch.rvm_id)
                continue
            self._removed.discard(touch.rvm_id)
            members = self._touched.setdefault(touch.rvm_id, set())
            members.update(touch.members)
            if durable:
                self._urgent.add(touch.rvm_id)
        self._schedule(durable)

    def _publish_change(self, change: c.Change) -> None:
        if isinstance(change, c.EventHappened):
            self._send_to_viewers(change.rvm_id, {"type": "event"} | event_view(change, times="ms"))
        elif isinstance(change, (c.Put, c.Move)) and isinstance(change.row, CommandRow):
            self._send_command(change.row)
        elif isinstance(change, c.Patch) and change.of is CommandRow:
            self._send_command(self._fleet.command(change.key))
        elif (user_id := edited_user(change)) is not None:
            for subscription in self._subscriptions.values():
                if subscription.principal.id == user_id:
                    if narrows(change):
                        subscription.hold()
                    subscription.recheck.set()
        elif is_token_revoked(change):
            for subscription in self._subscriptions.values():
                if subscription.principal.via == "token":
                    subscription.hold()
        elif moves_reach(change):
            for subscription in self._subscriptions.values():
                if subscription.principal.machines is not None:
                    subscription.hold()

    def _send_command(self, command: CommandRow | None) -> None:
        if command is not None:
            self._send_to_viewers(command.rvm_id, {"type": "job"} | command_view(command, times="ms"))

    def _send_to_viewers(self, rvm_id: int | None, message: dict[str, Any]) -> None:
        frame: Frame | None = None
        for subscription in self._subscriptions.values():
            if subscription.viewer_class.sees(rvm_id):
                frame = frame or Frame(_encoder.encode(message), numbered=False)
                subscription.offer(frame)

    # --- flushing ---------------------------------------------------------------------------------------------------

    def _schedule(self, urgent: bool) -> None:
        if not (self._touched or self._removed):
            return
        now = time.monotonic()
        due = max(now, self._last_urgent + URGENT_GAP_S) if urgent else max(now, self._last_flush + COALESCE_S)
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = asyncio.get_running_loop().call_later(due - now, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = time.monotonic()
        if now >= self._last_flush + COALESCE_S:
            self._flush()
        else:
            self._flush(only=self._urgent)
        self._schedule(urgent=False)

    def _flush(self, only: set[int] | None = None) -> None:
        now = time.monotonic()
        self._last_urgent = now
        if only is None:
            self._last_flush = now
            touched, self._touched = self._touched, {}
        else:
            touched = {rvm_id: self._touched.pop(rvm_id) for rvm_id in only if rvm_id in self._touched}
        self._urgent = set()
        removed, self._removed = self._removed, set()
        pieces = {rvm_id: piece for rvm_id, members in touched.items() if (piece := self._piece(rvm_id, members))}
        bodies: dict[tuple[ViewerClass, bool], Frame | None] = {}
        own: dict[int, Frame] = {}
        for subscription in self._subscriptions.values():
            of, viewer_class = subscription.of, subscription.viewer_class
            key = (viewer_class, subscription.hidden or of is not None)
            if key not in bodies:
                bodies[key] = self._body(pieces, removed, *key)
            frame = bodies[key]
            if frame is not None:
                subscription.offer(frame)
            if of is None or subscription.hidden:
                continue
            piece = pieces.get(of)
            if piece is not None and piece.full is not piece.quiet and viewer_class.sees(of):
                subscription.offer(own.setdefault(of, self._frame(piece.full)))

    def _beat(self) -> None:
        """Send the time to pages of one machine, by the clock alone, so that it betrays nothing of machines they may
        not see."""
        self._beats = asyncio.get_running_loop().call_later(BEAT_S, self._beat)
        frame = self._frame(b"")
        for subscription in self._subscriptions.values():
            if subscription.of is not None and not subscription.hidden:
                subscription.offer(frame)

    def _piece(self, rvm_id: int, members: set[str]) -> _Piece | None:
        machine = self._fleet.machines.get(rvm_id)
        if machine is None:
            return None
        self._texts.pop(rvm_id, None)
        sent = self._sent.get(rvm_id)
        if sent is None:
            whole = self._sent[rvm_id] = machine_view(machine, times="ms")
            text = self._texts[rvm_id] = _encoder.encode(whole)
            return _Piece(text, text)
        fresh, loud = {"id": rvm_id}, {"id": rvm_id}
        for name, value in machine_delta(machine, members).items():
            if sent.get(name, _UNSENT) != value:
                sent[name] = fresh[name] = value
                if name not in READING_MEMBERS:
                    loud[name] = value
        if not loud.keys().isdisjoint(_BRIEF_CHANGES):
            self._briefs.pop(rvm_id, None)
        if len(fresh) == 1:
            return None
        full = _encoder.encode(fresh)
        if len(loud) == len(fresh):
            return _Piece(full, full)
        return _Piece(full, _encoder.encode(loud) if len(loud) > 1 else None)

    def _body(
        self, pieces: dict[int, _Piece], removed: set[int], viewer_class: ViewerClass, quiet: bool
    ) -> Frame | None:
        """A delta without type and seq, for one class of viewers."""
        seen = [piece for rvm_id, piece in pieces.items() if viewer_class.sees(rvm_id)]
        bodies = [piece.quiet if quiet else piece.full for piece in seen]
        machines = b",".join(body for body in bodies if body is not None)
        gone = sorted(rvm_id for rvm_id in removed if viewer_class.sees(rvm_id))
        if not machines and not gone:
            return None
        tail = b',"removed":%b' % _encoder.encode(gone) if gone else b""
        return self._frame(machines, tail)

    def _frame(self, machines: bytes, tail: bytes = b"") -> Frame:
        return Frame(b'"t":%d,"m":[%b]%b}' % (self._now_ms(), machines, tail), numbered=True)

    def _drop_pending(self) -> None:
        for pending in (self._touched, self._removed, self._urgent, self._sent, self._texts, self._briefs):
            pending.clear()
        for timer in (self._timer, self._beats):
            if timer is not None:
                timer.cancel()
        self._timer = self._beats = None

    def _now_ms(self) -> int:
        return epoch_ms(self._clock())

    @staticmethod
    def _text(message: dict[str, Any]) -> str:
        return _encoder.encode(message).decode()
