"""asciicast v2: lines that every player reads, characters that were split, and files whose writer was killed."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as some

from hub.remote.recordings.file import Cast, Extent, extent, header

HEADER = header(cols=80, rows=24, began=1_700_000_000, term="xterm-256color", title="Lobby")


def test_the_header_says_version_size_time_and_terminal() -> None:
    assert HEADER.endswith(b"\n")
    assert json.loads(HEADER) == {
        "version": 2, "width": 80, "height": 24, "timestamp": 1_700_000_000, "title": "Lobby",
        "env": {"TERM": "xterm-256color"},
    }  # fmt: skip


def test_each_thing_that_happens_is_one_line() -> None:
    cast = Cast()
    lines = [
        cast.output(0.5, b"$ "),
        cast.typed(1.25, b"ls\r"),
        cast.resized(2.0, 100, 40),
        cast.output(2.5, b"\x1b[0m"),
    ]
    assert [json.loads(line) for line in lines] == [
        [0.5, "o", "$ "], [1.25, "i", "ls\r"], [2.0, "r", "100x40"], [2.5, "o", "\x1b[0m"],
    ]  # fmt: skip
    assert all(line.count(b"\n") == 1 for line in lines)


def test_a_character_in_two_pieces_is_one_character() -> None:
    cast, word = Cast(), "naïve 日本".encode()
    said = [cast.output(number / 10, word[number : number + 1]) for number in range(len(word))]
    assert b"" in said, "half a character is no line yet"
    assert "".join(json.loads(line)[2] for line in said if line) == "naïve 日本"


def test_input_in_the_middle_of_a_character_of_the_output_does_not_mix_with_it() -> None:
    cast = Cast()
    assert cast.output(1, b"\xe2\x82") == b""
    assert json.loads(cast.typed(1, b"\xc3\xa9"))[2] == "é"
    assert json.loads(cast.output(1, b"\xac"))[2] == "€"


def test_what_is_no_text_stays_readable_and_a_broken_end_is_not_swallowed() -> None:
    cast = Cast()
    assert json.loads(cast.output(1, b"a\xff\x00b"))[2] == "a\ufffd\x00b"
    assert cast.output(2, b"\xe2\x82") == b""
    assert json.loads(cast.end(3)) == [3.0, "o", "\ufffd"]
    assert cast.end(4) == b""


def test_time_never_goes_back() -> None:
    cast = Cast()
    assert json.loads(cast.output(5, b"a"))[0] == 5
    assert json.loads(cast.output(3, b"b"))[0] == 5


@given(some.binary(max_size=400), some.lists(some.integers(1, 40), max_size=60))
def test_however_it_is_cut_the_same_text_comes_out(data: bytes, sizes: list[int]) -> None:
    cast, text, place = Cast(), "", 0
    for size in [*sizes, len(data)]:
        line = cast.output(0, data[place : place + size])
        place += size
        text += json.loads(line)[2] if line else ""
    last = cast.end(0)
    text += json.loads(last)[2] if last else ""
    assert text == data.decode(errors="replace")


@given(some.integers(0, 400))
def test_a_file_that_ends_anywhere_is_whole_up_to_its_last_line(cut: int) -> None:
    cast = Cast()
    events = [cast.output(number, f"line {number} é".encode()) for number in range(8)]
    file = b"".join([HEADER, *events])[:cut]
    found = extent(file.splitlines(keepends=True))
    ends = [len(HEADER)]
    for event in events:
        ends.append(ends[-1] + len(event))
    whole = [end for end in ends if end <= cut]
    assert found.size == (whole[-1] if whole else 0)
    assert found.whole == bool(whole)
    assert found.duration_s == max(0.0, len(whole) - 2.0)


def test_what_is_no_recording_has_no_extent() -> None:
    assert extent([]) == Extent(0, 0.0, whole=False)
    assert extent([b'{"version":1}\n']) == Extent(0, 0.0, whole=False)
    assert extent([HEADER, b"garbage\n", b'[1,"o","x"]\n']) == Extent(len(HEADER), 0.0, whole=True)
    assert extent([HEADER, b'["x","o","x"]\n']).size == len(HEADER)
    assert math.isfinite(extent([HEADER, b'[1e999,"o","x"]\n']).duration_s)
