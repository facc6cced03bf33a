"""A metrics frame loses its bad readings and nothing else: not its neighbours, not its numbering."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec, limits, messages, salvage
from protocol.errors import CloseCode, RemoteProtocolError
from tests.protocol import strategies
from tests.protocol.test_codec import attempt, refusal

GOOD = {"timestamp": "2026-11-23T04:05:06Z", "cpu_usage": 12.5, "memory_usage": 40.0, "temperature": 48.0}
READINGS = [name for name in messages.Sample.__struct_fields__ if name not in ("timestamp", "reasons", "throttled")]
WILD = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 40, "9" * 5000, '"12.5"', "true", "[]", "{}", "-60"]


def frame(*samples: str, **members: Any) -> str:
    head = json.dumps({"type": "metrics", "seq": 10, **members})
    return f'{head[:-1]},"samples":[{",".join(samples)}]}}'


def decode(text: str) -> tuple[messages.Metrics, list[str]]:
    decoded = codec.decode_from_machine(text)
    return decoded.message, [fault.field for fault in decoded.faults]


def with_literal(member: str, literal: str) -> str:
    """A good sample whose `member` is a literal no encoder would write."""
    return json.dumps({**GOOD, member: "@"}).replace('"@"', literal)


@pytest.mark.parametrize("literal", [*WILD, "-1", "200"])
@pytest.mark.parametrize("member", READINGS)
def test_a_wild_reading_is_dropped_and_named_and_nothing_else_is_lost(member: str, literal: str) -> None:
    fits = (literal == "200" and member in ("network_rx_bytes_s", "network_tx_bytes_s", "uptime_s", "power_w")) or (
        literal == "-1" and member == "temperature"
    )
    message, faults = decode(frame(json.dumps(GOOD), with_literal(member, literal), json.dumps(GOOD)))
    first, second, third = message.samples
    assert faults == ([] if fits else [f"samples[1].{member}"])
    assert first == third == messages.Sample(**GOOD)  # type: ignore[arg-type]
    rest = {name: value for name, value in GOOD.items() if name != member}
    assert getattr(second, member) == (float(literal) if fits else None)
    assert rest.items() <= {name: getattr(second, name) for name in GOOD}.items()


@pytest.mark.parametrize(("throttled", "reasons"), [('"yes"', '{"gpu_usage":5}'), ("1", '{"":"no name"}')])
def test_the_other_members_of_a_sample_are_dropped_singly_too(throttled: str, reasons: str) -> None:
    text = frame(f'{{"timestamp":"t","cpu_usage":1,"throttled":{throttled},"reasons":{reasons}}}')
    message, faults = decode(text)
    assert message.samples == [messages.Sample(timestamp="t", cpu_usage=1.0)]
    assert [name.split("[")[1].partition(".")[2] for name in faults] == ["throttled", "reasons"]


@pytest.mark.parametrize(
    ("sample", "field"),
    [
        ('{"cpu_usage":1}', "samples[1].timestamp"),
        ('{"timestamp":null}', "samples[1].timestamp"),
        ('{"timestamp":""}', "samples[1].timestamp"),
        ('{"timestamp":true,"cpu_usage":1}', "samples[1].timestamp"),
        ('{"timestamp":"a\\u0000b"}', "samples[1].timestamp"),
        ("null", "samples[1]"),
        ('"sample"', "samples[1]"),
        ("[]", "samples[1]"),
    ],
)
def test_a_sample_without_a_time_keeps_its_place_and_has_no_readings(sample: str, field: str) -> None:
    message, faults = decode(frame(json.dumps(GOOD), sample, json.dumps(GOOD)))
    assert message.seq == 10
    assert message.samples[1] == messages.Sample(timestamp=salvage.UNREADABLE_TIME)
    assert [s.cpu_usage for s in message.samples] == [12.5, None, 12.5]
    assert faults == [field]


def test_a_time_that_is_no_number_is_left_to_whoever_reads_times() -> None:
    message, faults = decode(frame('{"timestamp":NaN,"cpu_usage":3}'))
    assert message.samples == [messages.Sample(timestamp="NaN", cpu_usage=3.0)]
    assert faults == []


@pytest.mark.parametrize(
    ("members", "field"),
    [({"seq": -1}, "seq"), ({"seq": "3"}, "seq"), ({"seq": float("nan")}, "seq"), ({"live": "yes"}, "live")],
)
def test_what_is_no_reading_refuses_the_frame(members: dict[str, Any], field: str) -> None:
    error = refusal(frame(json.dumps(GOOD), **members))
    assert (error.code, error.field, error.close) == ("invalid", field, None)


@pytest.mark.parametrize("samples", ["[]", "{}", "null", '"x"', "[" + ",".join(["0"] * 501) + "]"])
def test_no_samples_or_too_many_refuse_the_frame(samples: str) -> None:
    assert refusal(f'{{"type":"metrics","seq":1,"samples":{samples}}}').field == "samples"


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"metrics","seq":1,"samples":[{"timestamp":NaN}]',
        '{"type":"metrics","seq":1,"samples":[{"timestamp":"t","reasons":{"a":"\\ud800x"},"cpu_usage":NaN}]}',
        '{"type":"event","seq":1,"code":"c","params":{"x":NaN},"timestamp":"t"}',
        "NaN",
        '[{"type":"metrics"},NaN]',
    ],
)
def test_only_metrics_with_wild_numbers_are_forgiven_for_not_being_json(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.close) == ("malformed", CloseCode.PROTOCOL_ERROR)


def test_a_wild_number_behind_a_great_depth_is_not_chased() -> None:
    text = frame(with_literal("cpu_usage", "NaN"), x=0).replace('"x": 0', '"x":' + "[" * 5000 + "]" * 5000)
    assert (refusal(text).code, refusal(text).field) == ("invalid", "x")
    behind = frame(with_literal("cpu_usage", "NaN"))[:-1] + ',"x":' + "[" * 5000 + "]" * 5000 + "}"
    assert refusal(behind).code == "malformed"


spoilt_readings = st.dictionaries(st.sampled_from(READINGS), strategies.wild, max_size=4)


@given(st.lists(spoilt_readings, min_size=1, max_size=6), st.integers(0, limits.MAX_INTEGER))
def test_whatever_the_readings_are_every_sample_keeps_its_number(samples: list[dict[str, str]], seq: int) -> None:
    body = [
        f'{{"timestamp":{i},' + "".join(f'"{name}":{value},' for name, value in each.items()) + '"uptime_s":5}'
        for i, each in enumerate(samples)
    ]
    outcome = attempt("machine", frame(*body, seq=seq))
    if isinstance(outcome, RemoteProtocolError):
        # A lone surrogate is no matter of numbers: such a frame is refused as a whole.
        assert any("\\ud800" in value for each in samples for value in each.values())
        return
    message, faults = outcome.message, [fault.field for fault in outcome.faults]
    assert message.seq == seq
    assert [sample.timestamp for sample in message.samples] == list(map(float, range(len(samples))))
    named = set(faults)
    for i, (sent, kept) in enumerate(zip(samples, message.samples, strict=True)):
        for name in sent:
            dropped = f"samples[{i}].{name}" in named
            assert not dropped or getattr(kept, name) is None or name == "uptime_s"
