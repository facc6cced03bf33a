"""Frames no honest machine would send, made from dice, each with the ends that fit it.

`ends` are the close codes a hub may answer it with; None among them: the link may live on (and what is wrong is named).
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.protocol.golden import CURRENT, frames
from tests.support.raw_websocket import BINARY, PING, TEXT, frame

HONEST: Final = [f.text for f in frames(CURRENT) if f.speaker == "machine" and f.name.partition("-")[0] != "bye"]
HUGE: Final = 65 * 1024
PROTOCOL, NOT_UTF8, BINARY_FRAME, TOO_BIG, OUR_PROTOCOL = 1002, 1007, 1003, 1009, 4400


class Hostile(NamedTuple):
    kind: str
    data: bytes
    ends: frozenset[int | None]


def hostile(dice: random.Random) -> Hostile:
    """The next frame; about one in eight ends the link, so that ten thousand need no ten thousand links."""
    table = _FATAL if dice.random() < 0.125 else _ANNOYING
    make, ends = dice.choice(table)
    return Hostile(make.__name__.strip("_"), make(dice), frozenset(ends))


def _text(value: Any) -> bytes:
    return frame(TEXT, value.encode() if isinstance(value, str) else json.dumps(value).encode())


def _reading(value: str, members: str = "") -> bytes:
    sample = '{"timestamp":1795420800,"cpu_usage":' + value + "}"
    return _text('{"type":"metrics","seq":0,' + members + '"samples":[' + sample + "]}")


def _odd(dice: random.Random) -> Any:
    """A value of any type but the right one."""
    return dice.choice(
        [None, True, -1, 10**30, 1.5, "", "x" * dice.randrange(1, 2000), [], [[]], {}, {"a": [1, None]},
         "\u202e\x00\x1b[2J", "<script>alert(1)</script>", "'; DROP TABLE events;--", -(2**63) - 1, 1e308, "9" * 400]
    )  # fmt: skip


def _wrong_types(dice: random.Random) -> bytes:
    said = json.loads(dice.choice(HONEST))
    for name in dice.sample(sorted(said), k=min(len(said), dice.randrange(1, 3))):
        if name != "type":
            said[name] = _odd(dice)
    return _text(said)


def _wrong_samples(dice: random.Random) -> bytes:
    sample = {name: _odd(dice) for name in dice.sample(["cpu_usage", "timestamp", "temperature", "throttled", "x"], 3)}
    return _text({"type": "metrics", "seq": dice.choice([0, 1, -1, 2**63, 10**20, "1"]), "samples": [sample]})


def _not_finite(dice: random.Random) -> bytes:
    value = dice.choice(["1e400", "-1e400", "200", "-1", '"50"', "true"])
    return _reading(value, '"live":true,')


def _duplicate_keys(dice: random.Random) -> bytes:
    return _text('{"type":"status","status":"active","status":"full","seq":0,"seq":' + str(dice.randrange(9)) + "}")


def _huge_integer(dice: random.Random) -> bytes:
    return _text('{"type":"status","status":"active","seq":' + "9" * 5000 + "}")


def _unknown_type(dice: random.Random) -> bytes:
    return _text({"type": "x" * dice.randrange(1, 200), "n": _odd(dice)})


def _unknown_command(dice: random.Random) -> bytes:
    state = dice.choice(["accepted", "succeeded", "expired", "exploded"])
    return _text({"type": "command_update", "id": f"no-{dice.random()}", "state": state, "result": _odd(dice)})


def _deep_free_member(dice: random.Random) -> bytes:
    event = f'"type":"event","seq":{dice.randrange(99)},"code":"x","timestamp":"now"'
    return _text("{" + event + ',"params":{"a":' + "[" * 200 + "]" * 200 + "}}")


def _fragments(dice: random.Random) -> bytes:
    text = dice.choice(HONEST).encode()
    cut = dice.randrange(len(text))
    return frame(TEXT, text[:cut], fin=False) + frame(PING, b"between") + frame(0, text[cut:])


def _mutated(dice: random.Random) -> bytes:
    text = bytearray(dice.choice(HONEST).encode())
    for _ in range(dice.randrange(1, 4)):
        text[dice.randrange(len(text))] = dice.randrange(32, 127)
    return frame(TEXT, bytes(text))


def _binary(dice: random.Random) -> bytes:
    return frame(BINARY, dice.randbytes(dice.randrange(0, 300)))


def _bad_utf8(dice: random.Random) -> bytes:
    text = dice.choice(HONEST).encode()
    return frame(TEXT, text[:-2] + dice.choice([b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\x80"]) + text[-2:])


def _too_big(dice: random.Random) -> bytes:
    return _text('{"type":"status","reason":"' + "y" * (HUGE + dice.randrange(1000)) + '"}')


def _bottomless(dice: random.Random) -> bytes:
    return _text(dice.choice(["[", '{"a":', '{"type":["']) * dice.randrange(5000, 6000))


def _bottomless_and_big(dice: random.Random) -> bytes:
    return _text("[" * 100_000)


def _no_message(dice: random.Random) -> bytes:
    wrong = ["", "null", "[]", "7", '"text"', "{}", '{"type":null}', "not json", '{"type":"status"', "NaN"]
    return _text(dice.choice(wrong))


def _nan(dice: random.Random) -> bytes:
    value = dice.choice(["NaN", "Infinity", "-Infinity"])
    return _reading(value)


def _out_of_turn(dice: random.Random) -> bytes:
    hello = next(text for text in HONEST if '"hello"' in text)
    return _text(dice.choice(['{"type":"auth","token":"again"}', hello]))


def _broken_framing(dice: random.Random) -> bytes:
    return dice.choice(
        [
            bytes([0xC1, 0x80]) + b"\0\0\0\0",  # a reserved bit
            bytes([0x83, 0x80]) + b"\0\0\0\0",  # a reserved opcode
            bytes([0x81, 0x02]) + b"{}",  # no mask
            frame(0, b"continues nothing"),
            bytes([0x09, 0x80]) + b"\0\0\0\0",  # a control frame in fragments
            bytes([0x89, 0xFE]) + struct.pack("!H", 200) + b"\0\0\0\0" + b"p" * 200,  # a ping that is too long
        ]
    )


_Table = list[tuple[Callable[[random.Random], bytes], set[int | None]]]
_ANNOYING: Final[_Table] = [
    (_wrong_types, {None, OUR_PROTOCOL}),
    (_wrong_samples, {None}),
    (_not_finite, {None}),
    (_duplicate_keys, {None}),
    (_huge_integer, {None}),
    (_unknown_type, {None}),
    (_unknown_command, {None}),
    (_deep_free_member, {None}),
    (_fragments, {None, OUR_PROTOCOL}),
    (_mutated, {None, OUR_PROTOCOL, NOT_UTF8}),
]
_FATAL: Final[_Table] = [
    (_binary, {BINARY_FRAME}),
    (_bad_utf8, {NOT_UTF8}),
    (_too_big, {TOO_BIG}),
    (_bottomless, {None, OUR_PROTOCOL}),
    (_bottomless_and_big, {TOO_BIG}),
    (_no_message, {OUR_PROTOCOL}),
    (_nan, {None, OUR_PROTOCOL}),
    (_out_of_turn, {OUR_PROTOCOL}),
    (_broken_framing, {PROTOCOL}),
]
