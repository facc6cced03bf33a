"""Members of free shape: bounded in depth, integers and text, each refusal naming the member."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from protocol import codec, free_shape, limits
from protocol.errors import RemoteProtocolError
from tests.protocol import strategies
from tests.protocol.golden import CURRENT, DECODERS, frames

HOLDERS = [
    ("machine", "hello", ["hardware"]),
    ("machine", "command_update", ["result"]),
    ("machine", "event", ["params"]),
    ("hub", "welcome", ["config", "values"]),
    ("hub", "command_ping", ["args"]),
    ("hub", "config", ["values"]),
]


def depth_of(value: object) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


def frame_with(speaker: str, name: str, path: list[str], value: str) -> str:
    frame = next(f for f in frames(CURRENT) if (f.speaker, f.name) == (speaker, name))
    whole = json.loads(frame.text)
    holder = whole
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = "@"
    return json.dumps(whole).replace('"@"', value)


def lists(depth: int) -> str:
    """An object that holds lists, `depth` levels in all."""
    return '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


@pytest.mark.parametrize(("speaker", "name", "path"), HOLDERS)
@pytest.mark.parametrize("depth", [limits.MAX_NESTING + 1, 500, 20_000])
def test_a_member_nested_too_deep_is_refused_by_name(speaker: str, name: str, path: list[str], depth: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        DECODERS[speaker](frame_with(speaker, name, path, lists(depth)))
    assert (caught.value.code, caught.value.close) == ("invalid", None)
    assert caught.value.field in (".".join(path), path[0])
    assert "nested deeper than 32" in caught.value.detail


@pytest.mark.parametrize(("speaker", "name", "path"), HOLDERS)
def test_a_member_may_be_as_deep_as_the_limit(speaker: str, name: str, path: list[str]) -> None:
    assert DECODERS[speaker](frame_with(speaker, name, path, lists(limits.MAX_NESTING))).faults == ()


@pytest.mark.parametrize(("speaker", "name", "path"), HOLDERS)
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('{"a":["x\\u0000"]}', "NUL"),
        ('{"\\u0000":1}', "NUL"),
        ('{"a":9223372036854775808}', "64 bits"),
        ('{"a":{"b":[-99999999999999999999]}}', "64 bits"),
    ],
)
def test_text_with_nul_and_boundless_integers_are_refused(
    speaker: str, name: str, path: list[str], value: str, why: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=why) as caught:
        DECODERS[speaker](frame_with(speaker, name, path, value))
    assert caught.value.field == ".".join(path)


@given(strategies.free_shapes)
def test_whatever_json_is_shallow_passes(value: dict[str, Any]) -> None:
    assert (free_shape.fault_of(value) is None) == (depth_of(value) <= limits.MAX_NESTING)


def test_absent_members_have_no_fault() -> None:
    assert free_shape.fault_of(None) is None
    assert codec.decode_from_machine('{"type":"command_update","id":"1","state":"running"}').message.result is None


@pytest.mark.parametrize(
    ("text", "member"),
    [
        ('{"a":1,"b":"c","deep":' + "[" * 40, "deep"),
        ('{"a":{"b":[{}]},"dee\\"p [":' + "[" * 40, 'dee"p ['),
        ('{"a":[[]],"b":{"c":"[[[[[[["}}', ""),
        ("[" * 40, ""),
        ('{"' + "n" * 300 + '":' + "[" * 40, "n" * 100),
    ],
)
def test_the_member_that_nests_too_deep_is_found_in_a_text(text: str, member: str) -> None:
    assert free_shape.deep_member(text) == member


def test_a_frame_that_only_nests_closes_the_link() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode_from_machine("[" * 30_000 + "]" * 30_000)
    assert (caught.value.field, caught.value.close) == ("", 4400)
