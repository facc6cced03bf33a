"""Renders a happening of several events as one sentence. Pure. Trusts no event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from dashboard import backup_sentences, event_sentences, jobs
from dashboard.event_reading import Event, Names, command_reason, mapping, value
from dashboard.foreign_text import plain
from dashboard.happenings import VERIFY_ASKED, Happening
from dashboard.reader import Reader

_COUNTED: Final = ("remote.terminal_opened", "remote.page_opened", "remote.file_downloaded", "remote.file_uploaded")


class HappeningText(NamedTuple):
    """`actor` "": the newest event's; `address`: where it leads, or ""."""

    sentence: str
    shape: str
    look: str
    actor: str = ""
    address: str = ""


def describe(r: Reader, one: Happening, names: Names) -> HappeningText:
    if one.kind == "job":
        return _job(r, one, names)
    if one.kind == "jobs":
        return _jobs(r, one)
    if one.kind == "session":
        return _session(r, one)
    return _many(r, one, names)


def _first(one: Happening, *codes: str) -> Event | None:
    return next((event for event in one.events if event["code"] in codes), None)


def _params(event: Event | None) -> Mapping[str, Any]:
    return {} if event is None else mapping(event["params"])


def _joined(head: str, parts: list[str]) -> str:
    return ", ".join([head, *(part for part in parts if part)])


def _what(r: Reader, issued: Event | None, name: object) -> str:
    params = _params(issued)
    args = {
        key: plain(each, 100) if isinstance(each, str) else each for key, each in mapping(params.get("args")).items()
    }
    if issued is not None and isinstance(params.get("name"), str):
        return plain(jobs.what(r, {"name": params["name"], "args": args, "issued_by": issued["actor"]}))
    return r.text_of("event.job", plain(str(name), 60))


def _reason(r: Reader, issued: Event | None) -> str:
    params = _params(issued)
    reason = params.get("reason") or mapping(params.get("args")).get("reason")
    return r.t("event.reason", reason=command_reason(r, params.get("name"), reason)) if reason else ""


def _job(r: Reader, one: Happening, names: Names) -> HappeningText:
    """What became of it, why and by whom it was asked for."""
    issued, finished = _first(one, "command.issued"), _first(one, "command.finished")
    status, asked = _first(one, "status.changed"), issued or _first(one, VERIFY_ASKED)
    actor = "" if asked is None else str(asked["actor"])
    if status is not None:
        text = event_sentences.describe(r, status, names)
        return HappeningText(text.sentence, text.shape, text.look, actor or str(status["actor"]))
    params = _params(finished or one.newest)
    what = _what(r, issued, params.get("name"))
    if finished is None and _first(one, "command.cancel_asked") is None:
        text = event_sentences.describe(r, one.newest, names)
        return HappeningText(_joined(text.sentence, [_reason(r, issued)]), text.shape, text.look, actor)
    if finished is None:
        head, mark = r.t("event.command.cancel_asked", job=what), "job"
        return HappeningText(_joined(head, [_reason(r, issued)]), mark, "quiet", actor)
    state, error = str(params.get("state")), params.get("error")
    why = r.text_of("failure", plain(str(error), 60)) if error else ""
    forced = r.t("event.forced") if _params(issued).get("forced") else ""
    head = r.t("event.command.finished", job=what, state=plain(jobs.word(r, state)))
    mark = jobs.MARKS.get(state, "unknown")
    size = backup_sentences.size(r, _params(_first(one, "backup.completed")))
    return HappeningText(_joined(head, [why, size, forced, _reason(r, issued)]), mark, mark, actor)


def _jobs(r: Reader, one: Happening) -> HappeningText:
    issued = _first(one, "command.issued")
    group = next((found for event in one.events if (found := _params(event).get("group_id"))), None)
    ids = {_params(event).get("command_id") for event in one.events if str(event["code"]).startswith("command.")}
    ended = [_params(event) for event in one.events if event["code"] == "command.finished"]
    name = ended[0].get("name") if issued is None and ended else None
    counts = Counter(str(params.get("state")) for params in ended)
    done = r.t("tally.done", n=r.number(counts.pop("succeeded", 0)), total=r.number(len(ids)))
    rest = [r.t(f"tally.{state}", n=r.number(n)) for state, n in sorted(counts.items()) if f"tally.{state}" in r.t]
    mark = "failed" if counts else "succeeded" if len(ended) == len(ids) else "running"
    shape = jobs.MARKS.get(mark, "unknown")
    address = f"/jobs?group={group}" if isinstance(group, str) and group.replace("-", "").isalnum() else ""
    head = f"{_what(r, issued, name)}: {done}"
    actor = "" if issued is None else str(issued["actor"])
    return HappeningText(_joined(head, [*rest, _reason(r, issued)]), shape, shape, actor, address)


def _session(r: Reader, one: Happening) -> HappeningText:
    asked, began = _first(one, "remote.requested"), _first(one, "remote.started")
    over = _first(one, "remote.ended", "remote.declined", "remote.refused")
    holder = next((name for event in one.events if (name := _params(event).get("holder"))), "")
    parts = [plain(str(holder), 100) if holder else "", _span(r, began, over), _reason(r, asked)]
    counts = Counter(str(event["code"]) for event in one.events)
    parts += [r.t(f"event.{code}.n", n=r.number(counts[code]), count=counts[code]) for code in _COUNTED if counts[code]]
    head = r.t("event.session", state=_state(r, asked, began, over))
    note = _params(over).get("note")
    parts.append(r.t("event.reason.end", reason=value(r, note)) if note else "")
    trouble = _first(one, "remote.intruder") is not None
    shape = "error" if trouble else "warn" if over is not None and over["code"] == "remote.refused" else "remote"
    actor = str((over or began or one.events[-1])["actor"])
    return HappeningText(_joined(head, parts), shape, shape if shape != "remote" else "quiet", actor)


def _state(r: Reader, asked: Event | None, began: Event | None, over: Event | None) -> str:
    if over is None:
        return r.t(
            "lease.active" if began is not None else "lease.requested" if asked is not None else "lease.starting"
        )
    if over["code"] == "remote.refused":
        return r.text_of("remote_refusal", plain(str(_params(over).get("code")), 100))
    code = "declined" if over["code"] == "remote.declined" else str(_params(over).get("reason"))
    return r.text_of("lease.end_reason", plain(code, 100))


def _span(r: Reader, began: Event | None, over: Event | None) -> str:
    if began is None or over is None:
        return ""
    seconds = max(0.0, (over["at"] - began["at"]) / 1000)
    return r.span(seconds if seconds < 60 else round(seconds / 60) * 60)


def _many(r: Reader, one: Happening, names: Names) -> HappeningText:
    """How many of what has a sentence for that; else the newest, and how often; of several machines, of how many."""
    text = event_sentences.describe(r, one.newest, names)
    counted = f"event.{one.newest['code']}.many"
    if counted in r.t:
        head = r.t(counted, n=r.number(len(one.events)), count=len(one.events))
        return HappeningText(head, text.shape, text.look)
    same = len({event["rvm_id"] for event in one.events}) == 1
    times = r.t("event.times", n=r.number(len(one.events))) if same else ""
    return HappeningText(_joined(text.sentence, [times]), text.shape, text.look)
