"""Renders happenings as lines: day, time, shape, sentence, actor, address. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dashboard import event_sentences, happening_sentences
from dashboard.event_reading import Names
from dashboard.happenings import Happening
from dashboard.reader import Reader


@dataclass(frozen=True, slots=True)
class Line:
    """`day`: its heading; `machine` "" on one machine's page; `machine_at`, `job_at`: addresses or ""; `key`: stays
    while the happening grows; `steps`: its single events, newest first."""

    id: int
    at: int
    day: str
    time: str
    utc: str
    title: str
    shape: str
    look: str
    sentence: str
    who: str
    machine: str
    machine_at: str
    job_at: str
    key: str = ""
    steps: Sequence[Line] = ()


def happening_line(r: Reader, one: Happening, steps: Sequence[Line], names: Names) -> Line:
    """`steps`: the lines of its events."""
    if one.kind == "" or (one.kind == "job" and len(steps) == 1):
        return replace(steps[0], key=one.key)
    text = happening_sentences.describe(r, one, names)
    machines = {event["rvm_id"] for event in one.events}
    several = len(machines) > 1
    return replace(
        steps[0],
        key=one.key,
        sentence=text.sentence,
        shape=text.shape,
        look=text.look,
        who=names.who(r, text.actor) if text.actor else steps[0].who,
        machine=r.t("events.machines", n=r.number(len(machines)), count=len(machines)) if several else steps[0].machine,
        machine_at="" if several else steps[0].machine_at,
        job_at=next((step.job_at for step in steps if step.job_at), "") if one.kind == "job" else text.address,
        steps=steps,
    )


def event_line(r: Reader, event: Mapping[str, Any], names: Names, zone: str, *, one_machine: bool) -> Line:
    at, rvm_id = int(event["at"]), event["rvm_id"]
    there = names.machines.get(rvm_id) if rvm_id is not None else None
    text = event_sentences.describe(r, event, names)
    utc = f"{r.stamp(at, 'UTC').removesuffix('UTC+0').rstrip()}"
    params = event["params"]
    job = params.get("command_id") if event_sentences.kind(event["code"]) == "command" else None
    return Line(
        id=event["id"],
        at=at,
        day=r.date(at, zone),
        time=r.time(at, zone),
        utc=utc,
        title=r.t("events.time.ago", time=utc, age=r.age(at)),
        shape=text.shape,
        look=text.look,
        sentence=text.sentence,
        who=names.who(r, event["actor"]),
        machine="" if one_machine else names.machine(r, rvm_id),
        machine_at=f"/machines/{rvm_id}" if there is not None and not one_machine else "",
        job_at=f"/jobs/{job}" if there is not None and isinstance(job, str) and job.replace("-", "").isalnum() else "",
    )
