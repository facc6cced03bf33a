"""Renders a command in words: what was asked, its progress, its end, what a cancel leaves behind. Pure. Instants in
epoch ms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from dashboard.reader import Reader

Job = Mapping[str, Any]

OPEN = ("queued", "sent", "accepted", "running")
ENDED = ("succeeded", "failed", "rejected", "expired", "cancelled")
KINDS = (
    "set_status", "sync_timezone", "restart_service", "reboot", "ping", "start_remote_access", "stop_remote_access",
    "extend_remote_access", "start_backup", "restore_backup", "verify_backup",
    "renew_key",
)  # fmt: skip
BYTE_PHASES = frozenset({"sending", "downloading", "unpacking", "comparing"})
WINDOW_S = 30.0
STEADY_S = 5.0
UNEVEN = 2.0
"""Half of the window this much faster than the other: no end is given."""
REACHED = {"queued": 1, "sent": 2, "accepted": 3, "running": 3, "succeeded": 4, "failed": 4}
MARKS = {
    "queued": "late", "sent": "auto", "accepted": "auto", "running": "auto", "succeeded": "active", "failed": "error",
    "rejected": "error", "expired": "warn", "cancelled": "inactive",
}  # fmt: skip


class JobStep(NamedTuple):
    word: str
    time: str
    done: bool


class Throughput(NamedTuple):
    """In the phase's unit a second; `steady`: an end can be given."""

    per_s: float
    steady: bool


class Bar(NamedTuple):
    """`most` None: its end is unknown."""

    value: float
    most: float | None


@dataclass(frozen=True, slots=True)
class JobCard:
    id: str
    state: str
    mark: str
    what: str
    word: str
    ended: str
    asked: str
    reason: str
    steps: tuple[JobStep, ...]
    bar: Bar | None
    how: str
    gives_up: int | None
    """When it no longer waits for whoever is in front of the machine, in epoch ms."""
    behind: str
    """"": nothing can be cancelled."""

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def bad(self) -> bool:
        return self.state in ("failed", "rejected", "expired")


def card(r: Reader, job: Job, *, who: str, away: bool, zone: str, throughput: Throughput | None = None) -> JobCard:
    """`who`: the issuer's name; `away`: not connected; `zone`: the machine's."""
    is_open = job["state"] in OPEN
    return JobCard(
        id=job["id"],
        state=job["state"],
        mark=MARKS.get(job["state"], "unknown"),
        what=what(r, job),
        word=word(r, job["state"]),
        ended="" if job["finished_at"] is None else r.time(job["finished_at"], zone),
        asked=r.t("job.asked", who=who, time=r.day(job["issued_at"], zone)),
        reason=reason(job),
        steps=steps(r, job, zone),
        bar=bar(job),
        how=how(r, job, away=away, zone=zone, throughput=throughput),
        gives_up=gives_up(job),
        behind=behind(r, job) if is_open and job["cancel_at"] is None else "",
    )


def what(r: Reader, job: Job) -> str:
    args, name = job["args"], job["name"]
    if name == "set_status":
        wanted = args.get("special_status") or args.get("status")
        if passed_on(job):
            return _relayed_status(r, args)
        return r.t("what.set_status", status=r.text_of("status", str(wanted)))
    if name == "sync_timezone" and args.get("timezone"):
        return r.t("what.set_timezone", zone=args["timezone"])
    if name == "restart_service":
        return r.t("what.restart_service", service=args.get("service", ""))
    if name == "reboot" and args.get("force"):
        return r.t("what.reboot_forced")
    if name == "start_backup":
        return r.t(f"what.start_backup.{_backup_kind(job)}")
    if name in ("restore_backup", "verify_backup"):
        preview = ".preview" if name == "restore_backup" and args.get("dry_run") else ""
        return r.t(f"what.{name}{preview}", id=args.get("backup_id", ""))
    return r.text_of("what", name)


def _backup_kind(job: Job) -> str:
    """`became_full`: an incremental without a base. `made`: what it is, where known."""
    if job["args"].get("backup_type") != "incremental":
        return "full"
    made = job.get("made") or (job.get("result") or {}).get("backup_type")
    return "became_full" if made == "full" else "incremental"


def reason(job: Job) -> str:
    """A person's; the end of a remote session has a code, which its line renders."""
    given = passed_on(job) or job["name"] == "stop_remote_access"
    return job["reason"] or ("" if given else job["args"].get("reason")) or ""


def passed_on(job: Job) -> bool:
    """Whether it relays what was declared past the agent."""
    return job.get("name") == "set_status" and str(job.get("issued_by")).partition(":")[0] in ("machine", "clock")


def _relayed_status(r: Reader, args: Mapping[str, Any]) -> str:
    status, special = r.text_of("status", str(args.get("status"))), args.get("special_status")
    if not special:
        return r.t("what.tell_status", status=status)
    return r.t("what.tell_status_under", status=status, special=r.text_of("status", str(special)))


def word(r: Reader, state: str) -> str:
    """Seven for people, nine for programs."""
    return r.text_of("step", {"accepted": "running", "succeeded": "done"}.get(state, state))


def how(r: Reader, job: Job, *, away: bool, zone: str, throughput: Throughput | None = None) -> str:
    state, t, left = job["state"], r.t, job["sent_at"] is not None
    if state in OPEN and job["cancel_at"] is not None:
        return t("how.cancelling")
    if state == "queued":
        return t("how.queued", until=r.day(job["expires_at"], zone)) if away else t("how.sending")
    if state in OPEN and away:
        return t("how.rebooting" if job["name"] == "reboot" and state != "sent" else "how.sent_away")
    if state == "running" and job["progress"]:
        return progress(r, job["progress"], throughput)
    if state in ("failed", "rejected"):
        return t(f"how.{state}", why=why(r, job["error"]))
    if state == "expired" and left:
        given = job["error"] or {}
        refused = given.get("code") == "expired" and given.get("by") != "hub"
        return t("how.expired_refused" if refused else "how.expired_sent")
    if state == "cancelled" and (job["error"] or {}).get("code", "cancelled") != "cancelled":
        return t("how.cancelled_why", why=why(r, job["error"]))
    if state == "cancelled":
        return t("how.cancelled_sent" if left else "how.cancelled_unsent")
    return r.text_of("how", state)


def gives_up(job: Job) -> int | None:
    waits = job["state"] == "running" and (job["progress"] or {}).get("phase") == "return_session"
    return job["expires_at"] if waits and job["cancel_at"] is None else None


_NO_ROOM: Final = re.compile(r"(\d{1,18}) bytes are needed and (\d{1,18}) are free")


def why(r: Reader, error: Mapping[str, Any] | None) -> str:
    error = error or {}
    code = str(error.get("code") or "")
    amounts = _NO_ROOM.match(str(error.get("message") or "")) if code == "disk_full" else None
    if amounts is not None:
        needed, free = (r.amount(int(amount)) for amount in amounts.groups())
        return r.t("failure.disk_full.amounts", needed=needed, free=free)
    return r.t(f"failure.{code}") if f"failure.{code}" in r.t else str(error.get("message") or code)


def progress(r: Reader, given: Mapping[str, Any], throughput: Throughput | None = None) -> str:
    name, done, total = str(given.get("phase", "")), given.get("done"), given.get("total")
    phase, count = r.text_of("phase", name), r.amount if name in BYTE_PHASES else r.number
    if done is None:
        return phase
    if total is None:
        words = r.t("phase.done", phase=phase, done=count(done))
    else:
        words = r.t("phase.amount", phase=phase, done=count(done), total=count(total))
    if throughput is None or name not in BYTE_PHASES:
        return words
    words = r.t("phase.rate", words=words, rate=count(throughput.per_s))
    if total is None or not throughput.steady or done >= total:
        return words
    return r.t("phase.left", words=words, span=r.span((total - done) / throughput.per_s))


def throughput_of(points: Sequence[tuple[float, float]], now_s: float) -> Throughput | None:
    """From (seconds, done), oldest first; None before STEADY_S, and when nothing moves."""
    kept = [point for point in points if point[0] >= now_s - WINDOW_S]
    if len(kept) < 3 or now_s - kept[-1][0] > STEADY_S or kept[-1][0] - kept[0][0] < STEADY_S:
        return None
    half = next((at for at in range(1, len(kept) - 1) if kept[at][0] >= (kept[0][0] + kept[-1][0]) / 2), 1)
    whole, first, last = (_speed(kept[a], kept[b]) for a, b in ((0, -1), (0, half), (half, -1)))
    if whole <= 0:
        return None
    return Throughput(whole, min(first, last) > 0 and max(first, last) <= UNEVEN * min(first, last))


def _speed(early: tuple[float, float], late: tuple[float, float]) -> float:
    return (late[1] - early[1]) / (late[0] - early[0]) if late[0] > early[0] else 0.0


def bar(job: Job) -> Bar | None:
    if job["state"] != "running":
        return None
    given = job["progress"] or {}
    done, total = given.get("done"), given.get("total")
    if done is None or total is None or total <= 0:
        return Bar(0, None)
    return Bar(max(0, min(done, total)), total)


def steps(r: Reader, job: Job, zone: str) -> tuple[JobStep, ...]:
    state = job["state"]
    ended = state in ENDED
    reached = REACHED.get(state, 2 if job["sent_at"] is not None else 1)
    times = (job["issued_at"], job["sent_at"], None, job["finished_at"])
    names = ("queued", "sent", "running", "done")
    words = [r.t(f"step.{name}") for name in names[:3]] + [word(r, state) if ended else r.t("step.done")]
    return tuple(
        JobStep(word, "" if at is None else r.time(at, zone), place < reached or (ended and place == 3))
        for place, (word, at) in enumerate(zip(words, times, strict=True))
    )


def behind(r: Reader, job: Job) -> str:
    if job["state"] == "queued" and job["sent_at"] is None:
        return r.t("behind.unsent")
    return r.t(f"behind.{job['name']}") if f"behind.{job['name']}" in r.t else r.t("behind.other")


def result(r: Reader, given: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """As (name, value); nested values keep their path."""
    found: list[tuple[str, str]] = []

    def add(path: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                add(f"{path}.{name}" if path else str(name), inner)
        elif isinstance(value, (list, tuple)):
            found.append((path, ", ".join(_plain(r, each) for each in value)))
        else:
            found.append((path, _plain(r, value)))

    add("", given or {})
    return [(r.text_of("result", name), value) for name, value in found]


def _plain(r: Reader, value: Any) -> str:
    if isinstance(value, bool):
        return r.t("yes" if value else "no")
    if isinstance(value, (int, float)):
        return r.number(value, 0 if value == int(value) else 2)
    return "—" if value is None or value == "" else str(value)
