"""Judges each reading of samples that came by REST, dates them and drops repeats.

A bad reading costs that reading, a bad timestamp that sample. At or below the highest number seen is a repeat; a
sample without a number is known by its timestamp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from db.rows import SampleRow
from hub.model.dating import UndatableError, date
from hub.model.machine import Boot, Machine
from protocol.kinds import BootId, Seq
from protocol.messages import Sample


class RestSample(Sample, kw_only=True, omit_defaults=True):
    boot_id: BootId | None = None
    seq: Seq | None = None


class Fault(NamedTuple):
    place: int
    field: str
    expected: Any


class Sorted(NamedTuple):
    """`kept`: by boot (0: without numbers)."""

    kept: list[SampleRow]
    duplicates: int
    clamped: int
    newest: RestSample | None
    newest_at: datetime | None


_TYPES = {field.name: field.type for field in msgspec.structs.fields(RestSample)}


def readable(values: Sequence[Any]) -> tuple[list[tuple[int, RestSample]], list[Fault]]:
    """Samples with their place and without bad readings; and every fault."""
    samples: list[tuple[int, RestSample]] = []
    faults: list[Fault] = []
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            faults.append(Fault(index, "", dict))
            continue
        good, bad = _members(value)
        faults += [Fault(index, name, _TYPES[name]) for name in bad]
        if "timestamp" not in good:
            faults += [] if "timestamp" in bad else [Fault(index, "timestamp", _TYPES["timestamp"])]
        elif (good.get("boot_id") is None) != (good.get("seq") is None):
            faults.append(Fault(index, "seq" if good.get("seq") is None else "boot_id", None))
        else:
            samples.append((index, RestSample(**good)))
    return samples, faults


def boots_of(samples: Sequence[tuple[int, RestSample]]) -> list[str]:
    return list(dict.fromkeys(s.boot_id for _, s in samples if s.boot_id is not None))


def sort(
    machine: Machine,
    boots: Mapping[str, Boot],
    samples: Sequence[tuple[int, RestSample]],
    now: datetime,
    fallback_zone: str,
) -> tuple[Sorted, list[Fault]]:
    groups: dict[int, list[tuple[int, datetime, bool, RestSample]]] = {}
    faults: list[Fault] = []
    seen: set[tuple[int, int | datetime]] = set()
    duplicates = 0
    for index, sample in samples:
        try:
            at, clamped = date(sample.timestamp, now, machine.row.timezone, fallback_zone)
        except UndatableError:
            faults.append(Fault(index, "timestamp", _TYPES["timestamp"]))
            continue
        boot = boots[sample.boot_id] if sample.boot_id is not None else Boot("", 0)
        number = sample.seq or 0
        key = (boot.id or 0, at if sample.boot_id is None else number)
        if key in seen or (sample.boot_id is not None and number <= boot.accepted):
            duplicates += 1
            continue
        seen.add(key)
        groups.setdefault(boot.id or 0, []).append((number, at, clamped, sample))
    return _sorted(machine.id, groups, duplicates, now), faults


def accept(boots: Mapping[str, Boot], samples: Sequence[tuple[int, RestSample]]) -> None:
    """Called once the samples are in the lane."""
    for _, sample in samples:
        if sample.boot_id is not None and sample.seq is not None:
            boot = boots[sample.boot_id]
            boot.accepted = max(boot.accepted, sample.seq)


_new = tuple.__new__  # a NamedTuple's own __new__ costs four times as much, for every sample


def sample_row(
    rvm_id: int, at: datetime, boot: int | None, seq: int, s: Sample, clamped: bool, received_at: datetime
) -> SampleRow:
    """In column order; temperature with two decimals."""
    temperature = None if s.temperature is None else round(s.temperature, 2)
    return _new(
        SampleRow,
        (
            rvm_id, at, boot, seq, s.cpu_usage, s.memory_usage, s.disk_usage, s.gpu_usage, temperature,
            s.network_rx_bytes_s, s.network_tx_bytes_s, s.uptime_s, s.power_w, s.throttled, clamped, received_at,
        ),
    )  # fmt: skip


def _members(value: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    good: dict[str, Any] = {}
    bad: list[str] = []
    for name, kind in _TYPES.items():
        if name in value:
            try:
                good[name] = msgspec.convert(value[name], kind)
            except (msgspec.ValidationError, OverflowError):
                bad.append(name)
    return good, bad


def _sorted(
    rvm_id: int, groups: dict[int, list[tuple[int, datetime, bool, RestSample]]], duplicates: int, now: datetime
) -> Sorted:
    # Within a boot the number says which is the last: the clock may have been set back.
    last = [max(entries, key=lambda entry: (entry[0], entry[1])) for entries in groups.values()]
    newest = max(last, key=lambda entry: entry[1], default=None)
    kept = [
        sample_row(rvm_id, at, boot, number, sample, clamped, now)
        for boot, entries in groups.items()
        for number, at, clamped, sample in entries
    ]
    return Sorted(
        kept, duplicates, sum(row.clamped for row in kept), None if newest is None else newest[3],
        None if newest is None else newest[1],
    )  # fmt: skip
