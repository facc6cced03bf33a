"""Texts of a remote session: time left, what it allows, how it ended. Pure. Instants in epoch ms. `lease_words.js`
counts down likewise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dashboard.foreign_text import plain
from dashboard.reader import Reader

OPEN: Final = ("requested", "starting", "active")
MARKS: Final = {"requested": "late", "starting": "live", "active": "maintenance"}
ALLOWED: Final = ("terminal", "ports", "files")
USUAL_MINUTES: Final = (15, 30, 60)
EXTEND_S: Final = 900
Session = Mapping[str, Any]
NO_NAMES: Final[Mapping[int, str]] = {}


def countdown(ms: float) -> str:
    """`14:05`, `1:02:03`, `0:00`."""
    whole = max(0, math.ceil(ms / 1000))
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def left(r: Reader, lease: Session) -> str:
    if lease["status"] == "active" and lease["expires_at"] is not None:
        return countdown(lease["expires_at"] - r.now)
    return r.text_of("lease", str(lease["status"]))


def page_name(r: Reader, port: int, name: str | None, kind: str | None) -> str:
    """As the machine calls it, else by what it is, else by its port."""
    if name is not None:
        return plain(name)
    return r.t("page.port", port=port) if kind is None else r.text_of("page", kind)


def allowed(r: Reader, session: Session, names: Mapping[int, str] = NO_NAMES) -> str:
    words: list[str] = []
    for what in ALLOWED:
        if what not in session["allow"]:
            continue
        ports = session["ports"] if what == "ports" else ()
        part = r.t(f"allow.{what}")
        pages = [names.get(port) or r.t("allow.port", port=port) for port in ports]
        words += pages or [part[:1].lower() + part[1:] if words else part]
    return ", ".join(words or ["—"])


def ended(r: Reader, session: Session, who: str) -> str:
    """A clock is not named."""
    reason = session["end_reason"]
    how = r.text_of("lease.end_reason", str(reason)) if reason else r.text_of("lease", str(session["status"]))
    by_somebody = str(session["ended_by"] or "").startswith("user:")
    words = r.t("past.ended.by", how=how, who=who) if by_somebody else how
    return words[:1].upper() + words[1:]


def durations(most_s: float) -> list[int]:
    return [minutes for minutes in USUAL_MINUTES if minutes * 60 <= most_s]


def seconds_asked(form: Mapping[str, str]) -> int | None:
    """None when the form holds no duration."""
    chosen = form.get("minutes", "")
    text = form.get("other", "") if chosen == "other" else chosen
    return int(text) * 60 if text.isascii() and text.isdigit() and 0 < len(text) <= 5 and int(text) else None


def may_extend(session: Session, most_s: float) -> bool:
    if session["status"] != "active" or session["expires_at"] is None or session["start_time"] is None:
        return False
    return bool(session["start_time"] + most_s * 1000 - session["expires_at"] >= 1000)


def declared(hardware: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """For downloads and uploads; the machine's list is not trusted."""
    given = (hardware or {}).get("remote")
    given = given if isinstance(given, Mapping) else {}
    return {name: _folders(given.get(name)) for name in ("download", "upload")}


def _folders(given: Any) -> list[str]:
    named: Iterable[Any] = given if isinstance(given, list) else ()
    return [folder for folder in named if isinstance(folder, str) and folder.startswith("/")][:20]
