"""Decides what the address of the Jobs page asks for, and sums up a group. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from dashboard.jobs import ENDED, KINDS, OPEN
from dashboard.reader import Reader

STATES = ("open", "ended", *ENDED)


@dataclass(frozen=True, slots=True)
class JobQuery:
    """`rvm`: a machine's id; `before`: the last job of the page before."""

    state: str = ""
    name: str = ""
    text: str = ""
    rvm: int | None = None
    group: str = ""
    before: str = ""

    @property
    def filtered(self) -> bool:
        return bool(self.state or self.name or self.text or self.rvm is not None or self.group)

    @property
    def wants_open(self) -> bool:
        return self.state in ("", "open")

    @property
    def ended_states(self) -> tuple[str, ...]:
        if self.state == "open":
            return ()
        return ENDED if self.state in ("", "ended") else (self.state,)

    def address(self, **changes: Any) -> str:
        """The first page's; defaults are left out."""
        wanted = replace(self, **({"before": ""} | changes))
        rvm = "" if wanted.rvm is None else str(wanted.rvm)
        members = {"state": wanted.state, "name": wanted.name, "q": wanted.text, "rvm": rvm}
        members |= {"group": wanted.group, "before": wanted.before}
        kept = {name: value for name, value in members.items() if value}
        return "/jobs?" + urlencode(kept) if kept else "/jobs"


def query_from(params: Mapping[str, str], row_id: Callable[[str], int | None]) -> JobQuery:
    state, name = params.get("state", ""), params.get("name", "")
    return JobQuery(
        state=state if state in STATES else "",
        name=name if name in KINDS else "",
        text=_short(params.get("q", "")),
        rvm=row_id(params.get("rvm", "")),
        group=_short(params.get("group", "")),
        before=_short(params.get("before", "")),
    )


def tally(r: Reader, counts: Mapping[str, int], offline: int, query: JobQuery) -> list[tuple[str, str]]:
    """(words, address of those it counts or ""); `offline`: queued ones of absent machines."""
    total = sum(counts.values())
    parts = [(r.t("tally.done", n=r.number(counts.get("succeeded", 0)), total=r.number(total)), "")]
    running = sum(counts.get(state, 0) for state in OPEN[1:])
    waiting = counts.get("queued", 0) - offline
    for name, n, state in (
        ("running", running, "open"),
        ("queued", waiting, "open"),
        ("offline", offline, "open"),
        *((state, counts.get(state, 0), state) for state in ENDED[1:]),
    ):
        if n > 0:
            parts.append((r.t(f"tally.{name}", n=r.number(n)), query.address(state=state)))
    return parts


def _short(text: str) -> str:
    return text.replace("\x00", "").strip()[:100]
