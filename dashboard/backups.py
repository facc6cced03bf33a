"""Renders a backup in words: what it holds, whether it can be restored, what may be done. Pure.

Instants in epoch ms; `only_agent` and `cancelled` are judged by the hub. The green mark means restored somewhere and
compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from dashboard import jobs
from dashboard.reader import Reader

Backup = Mapping[str, Any]

OPEN: Final = ("pending", "uploading")
GOOD: Final = ("completed", "verified")
DOES: Final = ("restore", "download", "verify", "delete")
CLASSES: Final = ("data", "configuration", "images", "logs")
DAY_MS: Final = 86_400_000
MOST_LINES: Final = 200


class BackupState(NamedTuple):
    """`name` finds the text, `mark` the shape; `why`: the cause of a failure."""

    name: str
    mark: str
    word: str
    why: str


class BackupOffer(NamedTuple):
    """`locked`: why not ("": it is possible): role, unfinished, failed, gone, offline, unsupported, busy."""

    name: str
    locked: str
    role: str


class NotedFile(NamedTuple):
    path: str
    what: str


class BackupLine(NamedTuple):
    """In a table. `kept` "": its file is gone; `took` "": not ended."""

    id: int
    when: str
    title: str
    trigger: str
    by: str
    contents: str
    chain: str
    size: str
    took: str
    state: BackupState
    since: str
    kept: str
    encrypted: bool
    offers: tuple[BackupOffer, ...]


def state(r: Reader, b: Backup) -> BackupState:
    name, why = _state(b)
    if name == "cancelled":
        return BackupState(name, "inactive", r.t("backup.state.cancelled"), r.t("backup.state.cancelled.why"))
    error = b["drill_error"] if name == "broken" else b["error"] if name == "failed" else None
    mark = {"verified": "active", "broken": "error", "failed": "error", "pending": "late", "uploading": "auto"}
    if name in ("verified", "untried") and b["only_agent"]:
        return BackupState(name, "warn", r.t(f"backup.state.{name}"), r.t(f"backup.report.{_lacks(b)}"))
    words = jobs.why(r, error) if why else ""
    if name == "untried" and b["trigger"] == "upload":
        words = r.t("backup.state.untried.upload")
    return BackupState(name, mark.get(name, "inactive"), r.t(f"backup.state.{name}"), words)


def _lacks(b: Backup) -> str:
    """Of one that would bring nothing back."""
    counts = b["report"].get("counts") if isinstance(b["report"], Mapping) else None
    return "only_agent" if isinstance(counts, Mapping) and "only_agent" in counts else "no_files"


def _state(b: Backup) -> tuple[str, bool]:
    if b["deleted_at"] is not None:
        return "deleted", False
    if b["upload_status"] in GOOD and b["drill_error"]:
        return "broken", True
    if b["upload_status"] == "verified":
        return "verified", False
    if b["cancelled"]:
        return "cancelled", False
    return ("untried", False) if b["upload_status"] == "completed" else (b["upload_status"], bool(b["error"]))


def line(
    r: Reader,
    b: Backup,
    *,
    by: str,
    zone: str,
    kept: tuple[int | None, str] | None,
    offers: Sequence[BackupOffer],
    is_drilled: bool = False,
    in_list: bool = False,
) -> BackupLine:
    """`by`: who asked for it; `kept`: until when (ms) and why longer; `is_drilled`: being restored now; `in_list`: its
    head names the zone."""
    what = state(r, b)
    day = partial(r.when if in_list else r.day, zone=zone)
    size = b["file_size"]
    return BackupLine(
        id=b["id"],
        when=day(b["created_at"]),
        title=r.stamp(b["created_at"], zone),
        trigger=r.text_of("backup.trigger", str(b["trigger"])),
        by=by,
        contents=contents(r, b),
        chain=chain(r, b),
        size="" if size is None else r.amount(size),
        took=took(r, b),
        state=what,
        since=r.t("backup.since.drilled") if is_drilled else _since(r, b, what.name, day),
        kept=kept_words(r, kept, day) if what.name not in ("deleted", "failed", "cancelled", *OPEN) else "",
        encrypted=bool(b["encrypted"]),
        offers=tuple(offers),
    )


def contents(r: Reader, b: Backup) -> str:
    """`Full, with images, without logs`; the machine's own choice is not shown apart."""
    words = [r.text_of("backup.type", str(b["backup_type"]))]
    for member in ("images", "logs"):
        included = b[f"include_{member}"]
        if included is not None:
            words.append(r.t(f"backup.{'with' if included else 'without'}.{member}"))
    return ", ".join(words)


def chain(r: Reader, b: Backup) -> str:
    """An incremental's place behind its full; "" for a full."""
    if b["chain_id"] is None or b["chain_id"] == b["id"]:
        return ""
    return r.t("backup.chain.place", n=r.number((b["chain_position"] or 0) + 1), id=b["chain_id"])


def took(r: Reader, b: Backup) -> str:
    """From the machine's first answer to the last part."""
    end, start = b["completed_at"], b["started_at"] or b["created_at"]
    return "" if end is None else r.span(max(0, end - start) / 1000)


def kept_words(r: Reader, kept: tuple[int | None, str] | None, day: Callable[[int], str]) -> str:
    if kept is None:
        return ""
    until, why = kept
    if until is None:
        return r.t(f"backup.kept.{why}") if why else ""
    when = day(until)
    return r.t("backup.kept.chain.until", when=when) if why == "chain" else when


def _since(r: Reader, b: Backup, name: str, day: Callable[[int], str]) -> str:
    at = {"verified": b["verified_at"], "broken": b["drill_at"], "deleted": b["deleted_at"]}.get(name)
    if at is None:
        return ""
    when = day(at)
    return r.t("backup.since.verified", when=when) if name == "verified" else when


MARKS: Final = {
    "running": "auto", "asked": "late", "drill": "warn", "failed": "warn", "late": "warn", "unverified": "warn",
    "only_agent": "warn",
    "cancelled": "inactive", "verified": "active", "untried": "inactive", "none": "never",
}  # fmt: skip


class BackupMark(NamedTuple):
    """Shape, age of the last good one, and the meaning."""

    mark: str
    age: str
    words: str


def brief(r: Reader, backup: Mapping[str, Any] | None) -> BackupMark:
    code = _brief_code(backup or {}, r.now)
    good_at = (backup or {}).get("good_at")
    return BackupMark(MARKS[code], "—" if good_at is None else r.age(good_at), r.t(f"backup.brief.{code}"))


def short(r: Reader, backup: Mapping[str, Any] | None) -> str:
    """`19 h ago, verified`."""
    words, good_at = r.t(f"backup.short.{_brief_code(backup or {}, r.now)}"), (backup or {}).get("good_at")
    return words if good_at is None else r.t("backup.short.at", age=r.age(good_at), words=words)


def _brief_code(backup: Mapping[str, Any], now: int) -> str:
    """backup_brief.js decides the same; one table of cases holds both to it."""
    if backup.get("open_status") == "uploading":
        return "running"
    if backup.get("drill_failed_at"):
        return "drill"
    if backup.get("failed_at"):
        return "failed"
    if backup.get("late_at") and backup["late_at"] <= now:
        return "late"
    if backup.get("unverified_at") and backup["unverified_at"] <= now:
        return "unverified"
    if backup.get("open"):
        return "asked"
    if backup.get("only_agent"):
        return "only_agent"
    if backup.get("cancelled_at"):
        return "cancelled"
    return "verified" if backup.get("verified_at") else "untried" if backup.get("good_at") else "none"


class BackupSpace(NamedTuple):
    """`mark` of `full`: a warning where the room ends soon."""

    taken: str
    a_day: str
    full: str
    mark: str


def space(r: Reader, used: int, quota: int, a_day: int, full_at: int | None, *, is_near: bool) -> BackupSpace:
    """`quota` 0: none; `full_at` (ms): None: beyond the forecast."""
    of = r.amount(used) if not quota else r.t("backup.space.of", used=r.amount(used), quota=r.amount(quota))
    if not quota:
        full = r.t("backup.space.no_quota")
    elif full_at is None:
        full = r.t("backup.space.later")
    elif full_at <= r.now:
        full = r.t("backup.space.full")
    else:
        days = max(1, round((full_at - r.now) / DAY_MS))
        full = r.t("backup.space.full_in", count=days, n=r.number(days), when=r.date(full_at))
    return BackupSpace(of, r.amount(a_day), full, "warn" if is_near else "")


def offers(b: Backup, may: Mapping[str, str], machine: str = "") -> tuple[BackupOffer, ...]:
    """`may`: role wanted for each, "" when the reader has it; `machine`: why it cannot be asked now."""
    return tuple(BackupOffer(name, _locked(name, b, may[name], machine), may[name]) for name in DOES if name in may)


def _locked(name: str, b: Backup, role: str, machine: str) -> str:
    if role:
        return "role"
    if b["deleted_at"] is not None:
        return "gone"
    if b["upload_status"] in OPEN:
        return "unfinished"
    if b["upload_status"] == "failed":
        return "failed"
    return machine if name == "restore" else ""


def facts(r: Reader, b: Backup, zone: str) -> list[tuple[str, str]]:
    """(Text name, value); unknown ones are left out."""
    sizes: list[tuple[str, int | None, Callable[[float], str]]] = [
        ("files", b["files"], r.number),
        ("bytes", b["bytes_total"], r.amount),
        ("size", b["file_size"], r.amount),
    ]
    times = [("drill", b["drill_at"]), ("verified", b["verified_at"]), ("deleted", b["deleted_at"])]
    known = [
        *((name, "" if value is None else write(value)) for name, value, write in sizes),
        ("gone", r.number(b["deleted_entries"]) if b["deleted_entries"] else ""),
        ("took", took(r, b)),
        ("compression", str(b["compression"] or "")),
        ("encrypted", r.t("backup.encrypted.what") if b["encrypted"] else ""),
        *((name, "" if at is None else r.stamp(at, zone)) for name, at in times),
        ("sha256", str(b["sha256"] or "")),
        ("place", str(b["minio_path"] or b["file_path"] or "")),
    ]
    return [(name, value) for name, value in known if value]


def report(r: Reader, b: Backup) -> tuple[list[NotedFile], int]:
    """And how many more. The machine made it: nothing in it is trusted."""
    report = b["report"] if isinstance(b["report"], Mapping) else {}
    listed = report.get("lines", report.get("report", ()))
    lines = [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, (list, tuple)) else []
    shown = [_report_line(r, each) for each in lines[:MOST_LINES]]
    counts = report.get("counts")
    numbers = counts.values() if isinstance(counts, Mapping) else ()
    total = sum(n for n in numbers if isinstance(n, int) and not isinstance(n, bool) and n > 0)
    return shown, max(0, max(total, len(lines)) - len(shown))


def _report_line(r: Reader, report: Mapping[str, Any]) -> NotedFile:
    code, text = str(report.get("code") or ""), str(report.get("text") or "")
    known = next((key for key in (f"backup.report.{code}.{text}", f"backup.report.{code}") if key in r.t), None)
    return NotedFile(str(report.get("path") or ""), r.t(known) if known else text or code)


def folders(path: str) -> list[tuple[str, str]]:
    steps = [step for step in path.split("/") if step]
    return [(step, "/".join(steps[: place + 1])) for place, step in enumerate(steps)]
