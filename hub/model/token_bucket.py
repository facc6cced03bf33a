"""Token buckets: a burst at once, and then so much a second. One alone, and one for each of many keys in a bounded map.

Values only: `now` is monotonic seconds, `rate` tokens a second, `amount` what something costs.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class TokenBucket:
    """Starts full. Only `spend` can leave it below zero: what it takes has happened already."""

    __slots__ = ("_at", "_left", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = float(burst)
        self._left = self.burst
        self._at = now

    def available(self, now: float) -> float:
        """The tokens there are; negative after more was spent than there was."""
        return min(self.burst, self._left + max(0.0, now - self._at) * self.rate)

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Seconds until `amount` is there, 0 if it is; for ever when nothing comes in or it is more than the burst."""
        missing = amount - self.available(now)
        if missing <= 0:
            return 0.0
        return missing / self.rate if self.rate and amount <= self.burst else math.inf

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Whether `amount` was there and is taken; False: nothing was."""
        left = self.available(now)
        if left < amount:
            return False
        self._left, self._at = left - amount, now
        return True

    def spend(self, now: float, amount: float = 1.0) -> float:
        """Take `amount` whether it is there or not; what is left."""
        self._left, self._at = self.available(now) - amount, now
        return self._left

    def is_full(self, now: float) -> bool:
        return self.available(now) >= self.burst


class TokenBuckets(Generic[K]):
    """One bucket a key. A full one is worth nothing and is dropped; beyond `most` so is the one unused the longest."""

    def __init__(self, rate: float, burst: float, most: int) -> None:
        self.rate = rate
        self.burst = float(burst)
        self.most = most
        # Bound: `most`, the one unused for longest goes first.
        self._buckets: OrderedDict[K, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, key: K, now: float, amount: float = 1.0) -> float:
        """Seconds until `key` may take `amount`, 0 if it may now; nothing is taken."""
        return self._buckets.get(key, TokenBucket(self.rate, self.burst, now)).wait(now, amount)

    def take(self, key: K, now: float, amount: float = 1.0) -> float:
        """0: `amount` is taken. Else the seconds until it could be, and nothing was."""
        bucket = self._bucket(key, now)
        return 0.0 if bucket.take(now, amount) else bucket.wait(now, amount)

    def spend(self, key: K, now: float, amount: float = 1.0) -> float:
        """Take `amount` whether it is there or not; what is left."""
        return self._bucket(key, now).spend(now, amount)

    def _bucket(self, key: K, now: float) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = TokenBucket(self.rate, self.burst, now)
            self._make_room(now)
            self._buckets[key] = bucket
        self._buckets.move_to_end(key)
        return bucket

    def give_back(self, key: K, now: float, amount: float = 1.0) -> None:
        """What `take` took, where it turned out not to count."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.spend(now, -amount)

    def _make_room(self, now: float) -> None:
        """Those used the longest ago are first, and are the first to be full again."""
        while self._buckets and next(iter(self._buckets.values())).is_full(now):
            self._buckets.popitem(last=False)
        if len(self._buckets) >= self.most:
            self._buckets.popitem(last=False)
