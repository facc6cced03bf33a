"""Decides which machines the Machines page shows, their order, and its counters. Pure. `order.js` decides the same;
one table of cases holds both to it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from dashboard.reader import Reader
from dashboard.trouble import RESTING, View, is_connected, open_alerts

STATUSES = ("active", "inactive", "maintenance", "full", "error", "unknown")
CONNECTIONS = ("offline", "late", "never")
APART = ("offline", "never")
"""Connections with a counter of their own."""
GROUPS = ("site", "tag", "status")
METRICS = {
    "cpu": "cpu_usage",
    "memory": "memory_usage",
    "disk": "disk_usage",
    "gpu": "gpu_usage",
    "temperature": "temperature",
}
SPARKS = tuple(METRICS)[1:]
"""Beside the one that the small line has by itself."""
_CHOICES = {"look": ("", "cards", "map"), "spark": ("", *SPARKS)}
SORTS = ("machine", "status", "seen", "capacity", *METRICS, "backup", "alerts")
COLUMNS = ("status", "alerts", "seen", "capacity", *METRICS, "backup", "spark")
"""Of the table, beside the machine's name, which always stands."""
LOOKS = ("cards", "map")
"""Of the page, beside the table."""
FITTING = (5, 7, 8)
"""So many columns fit at every width of the table, from 1100 px, from 1280 px; more from 1440 px."""
STATUS_ORDER = {"error": 0, "full": 1, "unknown": 2, "maintenance": 3, "inactive": 4, "active": 5}
REVERSED_AT_FIRST = frozenset({"capacity", *METRICS, "backup", "alerts"})
"""Readings: highest first; backup: none, then oldest first; alerts: most first."""


Head = tuple[str, str, str]
KIOSK_S = 20
KIOSK_LEAST_S = 5
MOST_TAGS = 40
"""Chips above the table."""
NAMES_KEPT = 4096
PAGE = 100
"""Rows written by the hub; the script adds the others."""


@dataclass(frozen=True, slots=True)
class FleetQuery:
    text: str = ""
    status: str = ""
    connection: str = ""
    tag: str = ""
    group: str = ""
    columns: str = ""
    """Names with spaces between; "": all of them."""
    look: str = ""
    spark: str = ""
    """The metric of the small line; "": CPU."""
    sort: str = "machine"
    descending: bool = False
    page: int = 1

    @property
    def filtered(self) -> bool:
        return bool(self.text or self.status or self.connection or self.tag)

    @property
    def fitting(self) -> int | None:
        """The least of FITTING that the chosen columns are within."""
        chosen = [name for name in self.columns.split() if name in COLUMNS]
        return next((most for most in FITTING if self.columns and len(chosen) <= most), None)

    def members(self) -> dict[str, str]:
        """Of an address; defaults and the page are left out."""
        members = {
            "q": self.text, "status": self.status, "connection": self.connection, "tag": self.tag, "group": self.group,
            "columns": self.columns, "look": self.look, "spark": self.spark,
        }  # fmt: skip
        if self.sort != "machine" or self.descending:
            members["sort"] = ("-" if self.descending else "") + self.sort
        return {name: value for name, value in members.items() if value}

    def chips(self, r: Reader) -> list[tuple[str, str, str]]:
        """Each filter but the search: its member, its value, and the words of that; "" where it is not set."""
        members = {"status": self.status, "connection": self.connection}
        named = [(name, value, r.t(f"{name}.{value}") if value else "") for name, value in members.items()]
        return [*named, ("tag", self.tag, self.tag)]

    def address(self, to: str = "", **changes: Any) -> str:
        """From its first page on; defaults are left out. The map is a page of its own."""
        wanted = replace(self, **{"page": 1, **changes})
        to = to or ("/map" if wanted.look == "map" else "/")
        members = wanted.members() | ({"page": str(wanted.page)} if wanted.page > 1 else {})
        if to == "/map":
            members.pop("look", None)
        return f"{to}?{urlencode(members)}" if members else to

    def sort_address(self, column: str) -> str:
        """By this column; reversed when already sorted by it."""
        descending = not self.descending if column == self.sort else column in REVERSED_AT_FIRST
        return self.address(sort=column, descending=descending)


def query_from(params: Mapping[str, str]) -> FleetQuery:
    sort = params.get("sort", "").strip()[:100]
    status, connection, group, look, spark = (
        params.get(name, "") for name in ("status", "connection", "group", "look", "spark")
    )
    column = sort.lstrip("-")
    return FleetQuery(
        text=params.get("q", "").strip()[:100],
        status=status if status in STATUSES else "",
        connection=connection if connection in CONNECTIONS else "",
        tag=params.get("tag", "").strip()[:100],
        group=group if group in GROUPS else "",
        columns=columns_from(params.get("columns", "")),
        look=look if look in LOOKS else "",
        spark=spark if spark in SPARKS else "",
        sort=column if column in SORTS else "machine",
        descending=sort.startswith("-") and column in SORTS,
        page=int(page) if re.fullmatch("[1-9][0-9]{0,5}", page := params.get("page", "")) else 1,
    )


def columns_from(names: str) -> str:
    """Those that there are, in their order; "machine" when no other stands, "" for all and for none that is known."""
    chosen = [column for column in COLUMNS if column in names.split()]
    if len(chosen) == len(COLUMNS):
        return ""
    return " ".join(chosen) or ("machine" if "machine" in names.split() else "")


def one_address(members: Sequence[tuple[str, str]]) -> str:
    """Of a form that sends each column by itself, or of names that there are not; "" when the address is right."""
    sent = [value for name, value in members if name == "columns"]
    columns = columns_from(" ".join(sent))
    wrong = {name for name, value in members if name in _CHOICES and value not in _CHOICES[name]}
    if sent in ([], [columns]) and not wrong:
        return ""
    wanted = {name: value for name, value in members if value and name != "columns" and name not in wrong}
    wanted |= {"columns": columns} if columns else {}
    return f"/?{urlencode(wanted)}" if wanted else "/"


def counted_as(view: View) -> str | None:
    """The status it counts for: none before it was connected once, and nothing is active that is not there."""
    status: str = view["effective_status"]
    there = is_connected(view) or (view["connection"] == "offline" and status != "active")
    return status if there else None


def shape(view: View) -> str:
    """Its one icon, where nothing beside it says how it is connected."""
    return "never" if view["connection"] == "never" else counted_as(view) or "offline"


def counters(views: Iterable[View]) -> dict[str, int]:
    """In each status, offline ones (which keep theirs), and those never connected."""
    counts = dict.fromkeys((*STATUSES, *APART), 0)
    for view in views:
        count(counts, view)
    return counts


def count(counts: dict[str, int], view: View) -> None:
    status = counted_as(view)
    if status is not None:
        counts[status] += 1
    if view["connection"] in APART:
        counts[view["connection"]] += 1


CALM = ("fine", "late", "away", "new", "resting")


def calm_as(view: View) -> str:
    """How a machine without trouble is: fine, late, away (for a moment, or for a reboot), new (just
    added), or taken out of service."""
    if view["effective_status"] in RESTING:
        return "resting"
    return {"live": "fine", "late": "late", "never": "new"}.get(view["connection"], "away")


def matches(view: View, query: FleetQuery) -> bool:
    if query.status and counted_as(view) != query.status:
        return False
    if query.connection and view["connection"] != query.connection:
        return False
    if query.tag and query.tag not in view["tags"]:
        return False
    words = folded(query.text).split()
    if not words:
        return True
    named = (str(view[name] or "") for name in ("name", "device_id", "location_description", "status_reason"))
    where = folded(" ".join([*named, *view["tags"]]))
    return all(word in where for word in words)


def folded(text: str) -> str:
    """Without case and accents: "cafe" finds Café."""
    if text.isascii():
        return text.lower()
    return "".join(each for each in unicodedata.normalize("NFD", text) if unicodedata.category(each)[0] != "M").lower()


@lru_cache(maxsize=NAMES_KEPT)
def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """RVM-9 before RVM-10."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(p[:15]), "") if p[0] in "0123456789" else (1, 0, p.casefold()) for p in pieces)


def ordered(views: Iterable[View], query: FleetQuery, now: int = 0) -> list[View]:
    """Without a value, and offline ones, at the end. `now`: epoch ms, for alerts that are snoozed until then."""
    listed = sorted(views, key=lambda view: (natural(view["name"]), view["id"]))
    if query.sort == "machine":
        return listed[::-1] if query.descending else listed
    known = [view for view in listed if sort_value(view, query.sort, now) is not None]
    rest = [view for view in listed if sort_value(view, query.sort, now) is None]
    known.sort(key=lambda view: sort_value(view, query.sort, now) or 0, reverse=query.descending)
    return known + rest


def sort_value(view: View, sort: str, now: int) -> float | None:
    if sort == "status":
        return STATUS_ORDER[view["effective_status"]]
    if sort == "seen":
        seen = view["last_seen_at"]
        return None if seen is None else float(-seen)
    if sort == "capacity":
        return float(view["capacity"])
    if sort == "alerts":
        return open_alerts(view, now)
    if sort == "backup":
        return -float((view.get("backup") or {}).get("good_at") or 0)
    if view["connection"] not in ("live", "late"):
        return None
    value = (view["readings"] or {}).get(METRICS[sort])
    return None if value is None else float(value)


def shown(views: Sequence[View], query: FleetQuery, now: int = 0) -> list[View]:
    return grouped(ordered((view for view in views if matches(view, query)), query, now), query)


def group_of(view: View, group: str) -> str:
    """The group it stands in, "" for the last one. With several tags, that of the first."""
    if group == "status":
        return str(view["effective_status"])
    if group == "tag":
        return next(iter(view["tags"]), "")
    return view["location_description"] or ""


def grouped(in_order: list[View], query: FleetQuery) -> list[View]:
    """A group after the other, in each the order that there was."""
    group = query.group
    if not group:
        return in_order
    if group == "status":
        return sorted(in_order, key=lambda view: STATUS_ORDER[view["effective_status"]])
    return sorted(in_order, key=lambda view: (not group_of(view, group), natural(group_of(view, group))))


def tag_counts(listed: Iterable[View]) -> list[tuple[str, int]]:
    """Tags of most machines first, and how many have each; MOST_TAGS of them."""
    counts = Counter(tag for view in listed for tag in view["tags"])
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_TAGS]


def heads(in_order: Iterable[View], shown: Sequence[int], group: str, r: Reader) -> dict[int, Head]:
    """By the first machine of each group that a page of rows shows: the group, its name, and of how many."""
    if not group:
        return {}
    keys = {view["id"]: group_of(view, group) for view in in_order}
    counts = Counter(keys.values())
    first = {keys[rvm_id]: rvm_id for rvm_id in reversed(shown)}
    names = {key: r.t(f"status.{key}") if group == "status" else key or r.t(f"group.none.{group}") for key in first}
    return {rvm_id: (key, names[key], r.number(counts[key])) for key, rvm_id in first.items()}


def kiosk(params: Mapping[str, str]) -> int:
    """After how many seconds a screen on the wall turns to the next group (`?kiosk=1&each=20`); 0: none."""
    each = params.get("each", "")
    wanted = int(each) if re.fullmatch("[1-9][0-9]{0,2}", each) else KIOSK_S
    return max(KIOSK_LEAST_S, wanted) if params.get("kiosk") == "1" else 0


def described(query: FleetQuery, r: Reader) -> str:
    """What a view shows, and in which order; "" for all by name."""
    found = [
        r.t(f"status.{query.status}") if query.status else "",
        r.t(f"connection.{query.connection}") if query.connection else "",
        query.tag,
        f"“{query.text}”" if query.text else "",
        r.t(f"group.by.{query.group}") if query.group else "",
        r.t("columns.shown", names=", ".join(r.t(f"column.{name}") for name in query.columns.split()))
        if query.columns
        else "",
        r.t(f"look.{query.look}") if query.look else "",
        r.t("spark.head", metric=r.t(f"column.{query.spark}")) if query.spark else "",
    ]
    if query.sort != "machine" or query.descending:
        found.append(f"{r.t('sort.by', column=r.t(f'column.{query.sort}'))} {'↓' if query.descending else '↑'}")
    return " · ".join(each for each in found if each)
