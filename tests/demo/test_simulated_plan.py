"""Simulated readings: plausible, smooth, different from machine to machine, and the same past every time."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.simulated_plan import Character, sample_at
from protocol.messages import Sample

NOW = 1_795_406_706.0


def reading(name: str, unix_s: float, role: str = "normal") -> Sample:
    return sample_at(Character.of(name), role, unix_s, "2026-11-23T04:05:06Z", NOW)


@given(st.text(), st.floats(0, 4e9), st.sampled_from(["normal", "hot"]))
def test_every_reading_is_one_the_wire_accepts(name: str, unix_s: float, role: str) -> None:
    sample = reading(name, unix_s, role)
    assert msgspec.convert(msgspec.to_builtins(sample), Sample) == sample


def test_machines_differ_and_their_past_does_not() -> None:
    assert len({reading(f"rvm-{n}", NOW).cpu_usage for n in range(20)}) > 15
    assert reading("rvm-1", NOW) == reading("rvm-1", NOW)


@pytest.mark.parametrize("name", ["rvm-1", "rvm-2", "rvm-3"])
def test_readings_move_smoothly(name: str) -> None:
    curve = [reading(name, NOW + second).cpu_usage or 0.0 for second in range(600)]
    assert max(abs(b - a) for a, b in itertools.pairwise(curve)) < 12
    assert max(curve) - min(curve) > 10


def test_only_a_hot_machine_is_above_the_threshold() -> None:
    minutes = [NOW + 60 * k for k in range(600)]
    assert min(reading("rvm-1", t, "hot").temperature or 0 for t in minutes) > 80
    assert max(reading(f"rvm-{n}", t).temperature or 0 for n in range(50) for t in minutes) < 80
