"""Secrets just made, so that a reload shows them again: in memory, to the same session, for a quarter of an hour."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import anyio

from hub.model.access import Principal

KEPT_S: Final = 900.0
MOST: Final = 200

Owner = tuple[str, int]


def key_place(rvm_id: int) -> str:
    return f"/machines/{rvm_id}/key"


class FreshSecrets:
    """`keep` a new one, `find` it for its page (`place`)."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # Bound: MOST; the oldest goes first.
        self._kept: OrderedDict[tuple[Owner, str], tuple[float, str]] = OrderedDict()
        self.lock = anyio.Lock()

    def keep(self, principal: Principal, place: str, text: str) -> None:
        self._drop_expired()
        key = ((principal.via, principal.credential_id), place)
        self._kept.pop(key, None)
        self._kept[key] = (self._monotonic() + KEPT_S, text)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def find(self, principal: Principal, place: str) -> str | None:
        self._drop_expired()
        _, text = self._kept.get(((principal.via, principal.credential_id), place), (0.0, None))
        return text

    def drop(self, principal: Principal, place: str) -> None:
        self._kept.pop(((principal.via, principal.credential_id), place), None)

    def _drop_expired(self) -> None:
        now = self._monotonic()
        while self._kept and next(iter(self._kept.values()))[0] <= now:
            self._kept.popitem(last=False)
