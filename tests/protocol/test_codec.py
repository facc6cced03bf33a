"""The codec: any message survives the journey, and no text whatever raises anything but RemoteProtocolError."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol import codec, limits, messages
from protocol.errors import CloseCode, RemoteProtocolError
from tests.protocol import strategies
from tests.protocol.golden import DECODERS
from tests.protocol.wire import hello

STATUS = '{"type":"status","status":"active","seq":1}'


def refusal(text: str, speaker: str = "machine") -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        DECODERS[speaker](text)
    return caught.value


@given(strategies.machine_messages)
def test_any_message_of_a_machine_survives_the_journey(message: messages.MachineMessage) -> None:
    assert codec.decode_from_machine(codec.encode(message)) == codec.Decoded(message)


@pytest.mark.parametrize("boot_id", ["\x01late c1", "\x01timezone.manual", "a\x1f", "\x7f", ""])
def test_no_machine_names_its_boot_like_a_line_of_the_hubs_own(boot_id: str) -> None:
    refused = refusal(codec.encode(msgspec.structs.replace(hello(), boot_id=boot_id)))
    assert (refused.code, refused.field) == ("invalid", "boot_id")


@given(strategies.hub_messages)
def test_any_message_of_the_hub_survives_the_journey(message: messages.HubMessage) -> None:
    assert codec.decode_from_hub(codec.encode(message)) == codec.Decoded(message)


@pytest.mark.parametrize("speaker", ["machine", "hub"])
@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=())) | strategies.spoilt_frames())
@example(text="\ud800")
@example(text='{"type":"status","reason":"\\ud800 "}')
@example(text="\ud800" * limits.MAX_MESSAGE_BYTES)
@example(text="[" * 60_000)
@example(text='{"type":"bye","reason":"shutdown","x":' + "[" * 30_000 + "]" * 30_000 + "}")
def test_no_text_raises_anything_but_the_errors_of_the_wire(speaker: str, text: str) -> None:
    outcome = attempt(speaker, text)
    if isinstance(outcome, RemoteProtocolError):
        assert outcome.code in {"malformed", "invalid", "unsupported", "too_big"}
        reply = codec.encode(messages.Error(code=outcome.code, message=outcome.detail, ref=outcome.field or None))
        assert DECODERS["hub"](reply).faults == ()
    else:
        strictly_json(codec.encode(outcome.message))


def attempt(speaker: str, text: str) -> codec.Decoded | RemoteProtocolError:
    try:
        return DECODERS[speaker](text)
    except RemoteProtocolError as error:
        return error


def strictly_json(text: str) -> Any:
    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("text", ["", "nul", '{"type":', "{'type':'bye'}", "\ufeff{}", STATUS + "x", STATUS * 2])
def test_what_is_no_json_closes_the_link(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.close) == ("malformed", CloseCode.PROTOCOL_ERROR)


@pytest.mark.parametrize("text", ["[]", "1", '"bye"', "null", "[{}]"])
def test_a_frame_is_one_object(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.detail, error.close) == (
        "malformed", "a frame is one JSON object", CloseCode.PROTOCOL_ERROR,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["{}", '{"type":null}', '{"type":1}', '{"type":["bye"]}'])
def test_a_frame_without_a_type_closes_the_link(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.field, error.close) == ("invalid", "type", CloseCode.PROTOCOL_ERROR)


def test_an_unknown_type_is_answered_and_the_link_survives() -> None:
    error = refusal('{"type":"teleport"}')
    assert (error.code, error.field, error.close) == ("unsupported", "type", None)
    assert "'teleport'" in error.detail


def test_a_type_of_the_other_side_is_unknown_to_this_one() -> None:
    assert refusal('{"type":"welcome"}').code == "unsupported"
    assert refusal(STATUS, "hub").code == "unsupported"
    assert refusal('{"type":"metrics","seq":1,"samples":[{"timestamp":NaN}]}', "hub").code == "unsupported"


def test_the_wrong_field_is_named() -> None:
    error = refusal('{"type":"status","status":"sleepy","seq":1}')
    assert (error.code, error.field, error.close) == ("invalid", "status", None)
    assert refusal('{"type":"status","status":"full"}').detail == "Object missing required field `seq`"
    error = refusal('{"type":"command_update","id":"1","state":"running","progress":{"phase":7}}')
    assert error.field == "progress.phase"


def test_a_value_that_looks_like_a_path_misleads_nobody() -> None:
    assert refusal('{"type":"bye","reason":"re - at `$.hostile`boot"}').field == "reason"


def test_a_number_no_decoder_can_hold_is_named_and_survived() -> None:
    error = refusal('{"type":"status","status":"full","seq":1e400}')
    assert (error.code, error.field, error.close) == ("invalid", "seq", None)
    assert refusal('{"type":"event","seq":1,"code":"c","params":{"n":1e999},"timestamp":"t"}').field == "params[...]"
    assert refusal('{"x":' + "9" * 5000 + "}").code == "invalid"


def test_a_nul_in_a_text_is_refused() -> None:
    assert refusal('{"type":"status","status":"full","seq":1,"reason":"a\\u0000b"}').field == "reason"


@pytest.mark.parametrize("filler", ["x", "ü", "🧴"])
def test_the_limit_counts_bytes_not_characters(filler: str) -> None:
    bare = len(STATUS.replace("}", ',"x":""}'))
    room = (limits.MAX_MESSAGE_BYTES - bare) // len(filler.encode())
    fits = STATUS.replace("}", f',"x":"{filler * room}"}}')
    assert codec.decode_from_machine(fits).message.seq == 1
    error = refusal(STATUS.replace("}", f',"x":"{filler * (room + 1)}"}}'))
    assert (error.code, error.close) == ("too_big", CloseCode.TOO_BIG)


def test_what_is_not_finite_leaves_as_null() -> None:
    sample = messages.Sample(timestamp="t", cpu_usage=math.nan, temperature=math.inf)
    text = codec.encode(messages.Metrics(seq=1, samples=[sample]))
    assert strictly_json(text)["samples"] == [{"timestamp": "t", "cpu_usage": None, "temperature": None}]
