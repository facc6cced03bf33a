"""Renders a restore, or its preview, in words: what it is about, its progress, what it did. Pure.

Instants in epoch ms. Results come from a machine: nothing in them is trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from dashboard import jobs
from dashboard.backups import CLASSES
from dashboard.event_reading import moment
from dashboard.reader import Reader

Restore = Mapping[str, Any]

MARKS: Final = {"succeeded": "active", "failed": "error", "cancelled": "inactive"}
"""Other states are on their way."""
COUNTS: Final = ("replaced", "added", "deleted", "same")
IN_THE_WAY: Final = "in_the_way"
"""Among the examples of a preview: why the restore would be refused."""
NOTED: Final = ("foreign", "unknown_owners", "set_id_removed", "without_attributes")
"""What a restore could not do as it was, by the names of the machine's result."""
FRESH_MS: Final = 3_600_000
MOST_EXAMPLES: Final = 200
MOST_PATHS: Final = 20


class RestoreCell(NamedTuple):
    files: str
    size: str


class RestoredClass(NamedTuple):
    name: str
    cells: tuple[RestoreCell, ...]


class RestoreLine(NamedTuple):
    id: int
    backup_id: int
    when: str
    title: str
    by: str
    what: str
    mark: str
    word: str
    why: str


class ShownRestore(NamedTuple):
    """`ask`: a preview that may be done. `examples`: (name, paths, how many more)."""

    id: int
    backup_id: int
    dry_run: bool
    title: str
    when: str
    stamp: str
    by: str
    reason: str
    mark: str
    word: str
    how: str
    why: str
    facts: tuple[tuple[str, str, str], ...]
    ages: str
    columns: tuple[str, ...]
    table: tuple[RestoredClass, ...]
    examples: tuple[tuple[str, list[str], int], ...]
    ask: bool


def line(r: Reader, one: Restore, *, by: str, zone: str) -> RestoreLine:
    return RestoreLine(
        id=one["id"],
        backup_id=one["backup_id"],
        when=r.when(one["created_at"], zone),
        title=r.stamp(one["created_at"], zone),
        by=by,
        what=", ".join(filter(None, (r.t("restore.preview") if one["dry_run"] else "", parts(r, one)))),
        mark=mark(one),
        word=word(r, one),
        why=jobs.why(r, one["error"]) if one["error"] else "",
    )


def shown(r: Reader, one: Restore, *, by: str, zone: str, job: jobs.JobCard | None, place: str) -> ShownRestore:
    """`job`: its command's card; `place`: address of the machine's backups. A fresh preview may be done."""
    result = one["result"] if isinstance(one["result"], Mapping) else {}
    columns = COUNTS if one["dry_run"] else ("restored",)
    done = one["state"] == "succeeded"
    return ShownRestore(
        id=one["id"],
        backup_id=one["backup_id"],
        dry_run=bool(one["dry_run"]),
        title=r.t("restore.title.preview" if one["dry_run"] else "restore.title", id=one["backup_id"]),
        when=r.day(one["created_at"], zone),
        stamp=r.stamp(one["created_at"], zone),
        by=by,
        reason=one["reason"] or "",
        mark=mark(one),
        word=word(r, one),
        how=job.how if job is not None and job.is_open else "",
        why=jobs.why(r, one["error"]) if one["error"] else "",
        facts=tuple(fact for fact in _facts(r, one, result, place, zone) if fact[1]),
        ages=_ages(r, result, zone) if done else "",
        columns=columns,
        table=tuple(_rows(r, result, columns)) if done else (),
        examples=tuple(_examples(result)) if done else (),
        ask=done and bool(one["dry_run"]) and r.now - one["created_at"] <= FRESH_MS,
    )


def word(r: Reader, one: Restore) -> str:
    kind = "preview." if one["dry_run"] and one["state"] == "succeeded" else ""
    return r.text_of("restore.state", f"{kind}{one['state']}")


def mark(one: Restore) -> str:
    """Green for a restore, not for a preview."""
    return "inactive" if one["dry_run"] and one["state"] == "succeeded" else MARKS.get(one["state"], "auto")


def parts(r: Reader, one: Restore) -> str:
    paths, classes = one["paths"] or (), one["classes"] or ()
    if paths:
        return r.t("restore.what.paths", n=r.number(len(paths)), count=len(paths))
    if not classes or set(classes) >= set(CLASSES):
        return r.t("restore.what.all")
    return ", ".join(r.text_of("restore.class", str(name)) for name in classes)


def _facts(r: Reader, one: Restore, result: Mapping[str, Any], place: str, zone: str) -> list[tuple[str, str, str]]:
    paths, end, safety = list(one["paths"] or ()), one["finished_at"], one["safety_backup_id"]
    named = ", ".join(str(path) for path in paths[:MOST_PATHS]) + (" …" if len(paths) > MOST_PATHS else "")
    services = result.get("services")
    restarted = [str(name) for name in services] if isinstance(services, (list, tuple)) else []
    return [
        ("what", parts(r, one), ""),
        ("paths", named, ""),
        ("safety", "" if safety is None else r.t("backup.one", id=safety), f"{place}/{safety}"),
        ("took", "" if end is None else r.span(max(0, end - one["created_at"]) / 1000), ""),
        ("finished", "" if end is None else r.stamp(end, zone), ""),
        ("services", ", ".join(restarted), ""),
        *((name, _named(result.get(name)), "") for name in NOTED if not one["dry_run"] or name == "foreign"),
    ]


def _named(told: Any) -> str:
    """What the machine lists, as much of it as fits in a line."""
    listed = [str(each)[:200] for each in told] if isinstance(told, (list, tuple)) else []
    return ", ".join(listed[:MOST_PATHS]) + (" …" if len(listed) >= MOST_PATHS else "")


def _ages(r: Reader, result: Mapping[str, Any], zone: str) -> str:
    given = [(name, result.get(name)) for name in ("oldest", "newest", "now_newest")]
    known = [(name, moment(r, at, zone)) for name, at in given if isinstance(at, str) and at]
    return " ".join(r.t(f"restore.age.{name}", when=when) for name, when in known)


def _rows(r: Reader, result: Mapping[str, Any], columns: Sequence[str]) -> list[RestoredClass]:
    classes_given = result.get("classes")
    classes = classes_given if isinstance(classes_given, Mapping) else {}
    listed = [name for name in CLASSES if name in classes] + [name for name in classes if name not in CLASSES]
    return [
        RestoredClass(r.text_of("restore.class", str(name)), tuple(_cells(r, classes[name], columns)))
        for name in listed
        if isinstance(classes[name], Mapping)
    ]


def _cells(r: Reader, of: Mapping[str, Any], columns: Sequence[str]) -> list[RestoreCell]:
    if columns == ("restored",):
        return [_cell(r, of)]
    return [_cell(r, of.get(name)) for name in columns]


def _cell(r: Reader, given: Any) -> RestoreCell:
    counts = given if isinstance(given, Mapping) else {}
    count, size = _whole(counts.get("count")), _whole(counts.get("bytes"))
    return RestoreCell("—" if count is None else r.number(count), "" if not size else r.amount(size))


def _examples(result: Mapping[str, Any]) -> list[tuple[str, list[str], int]]:
    examples_given, classes = result.get("examples"), result.get("classes")
    examples, found = examples_given if isinstance(examples_given, Mapping) else {}, []
    groups = [of for of in classes.values() if isinstance(of, Mapping)] if isinstance(classes, Mapping) else []
    for name in (IN_THE_WAY, *COUNTS[:3]):
        listed = examples.get(name)
        paths = [str(path) for path in listed[:MOST_EXAMPLES]] if isinstance(listed, (list, tuple)) else []
        if paths:
            counts = [of[name] for of in groups if isinstance(of.get(name), Mapping)]
            total = sum(_whole(count.get("count")) for count in counts)
            found.append((name, paths, max(0, total - len(paths))))
    return found


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53 else 0
