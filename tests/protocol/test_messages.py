"""The golden frames: every message of the wire, recorded, decoded and encoded again to the same bytes."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from protocol import codec, messages
from protocol.version import PRODUCT_VERSION
from tests.protocol.golden import CURRENT, Frame, frames

UNIONS = {"machine": get_args(messages.MachineMessage), "hub": get_args(messages.HubMessage)}


def test_golden_frames_are_recorded_for_the_current_release() -> None:
    assert CURRENT == PRODUCT_VERSION


@pytest.mark.parametrize("speaker", ["machine", "hub"])
def test_every_message_has_a_golden_frame(speaker: str) -> None:
    recorded = {type(f.decode().message) for f in frames(CURRENT) if f.speaker == speaker}
    assert recorded == set(UNIONS[speaker])


@pytest.mark.parametrize("speaker", ["machine", "hub"])
def test_every_member_of_every_message_appears_in_a_golden_frame(speaker: str) -> None:
    seen: dict[type, set[str]] = {}
    for frame in (f for f in frames(CURRENT) if f.speaker == speaker):
        seen.setdefault(type(frame.decode().message), set()).update(json.loads(frame.text))
    assert {kind: set(kind.__struct_fields__) | {"type"} for kind in UNIONS[speaker]} == seen


@pytest.mark.parametrize("frame", frames(CURRENT), ids=str)
def test_a_golden_frame_decodes_and_encodes_to_the_same_bytes(frame: Frame) -> None:
    decoded = frame.decode()
    assert decoded.faults == ()
    assert codec.encode(decoded.message) == frame.text
    assert messages.type_of(decoded.message) == json.loads(frame.text)["type"]


@pytest.mark.parametrize("frame", frames(), ids=str)
def test_a_frame_of_another_release_is_understood_as_far_as_we_know_it(frame: Frame) -> None:
    decoded = frame.decode()
    assert decoded.faults == ()
    ours: dict[str, Any] = json.loads(codec.encode(decoded.message))
    theirs: dict[str, Any] = json.loads(frame.text)
    assert contains(theirs, ours)


@pytest.mark.parametrize("frame", frames(CURRENT), ids=str)
@pytest.mark.parametrize("addition", [None, 1, "text", [1, [2]], {"deep": {"er": []}}])
def test_unknown_members_are_ignored(frame: Frame, addition: object) -> None:
    future = json.loads(frame.text)
    future["x_added_in_the_next_release"] = addition
    newer = Frame("", frame.speaker, frame.name, json.dumps(future))
    assert newer.decode() == frame.decode()


def contains(larger: object, smaller: object) -> bool:
    """Whether every member of `smaller` stands in `larger`, at every depth."""
    if isinstance(larger, dict) and isinstance(smaller, dict):
        return all(key in larger and contains(larger[key], value) for key, value in smaller.items())
    if isinstance(larger, list) and isinstance(smaller, list):
        return len(larger) == len(smaller) and all(contains(a, b) for a, b in zip(larger, smaller, strict=True))
    return larger == smaller
