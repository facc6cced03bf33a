"""One clean line for each thing, and never the key."""

from __future__ import annotations

import io

from device.kernel.log import MAX_LINE, MAX_RECENT, Log, clean
from device.texts import texts_in

SECRET = "rvmk_ABCDEFGH_0123456789"


def test_the_key_and_control_characters_never_get_out() -> None:
    out = io.StringIO()
    log = Log(texts_in("en"), SECRET, {}, out)
    log("hub_error", code="x", message=f"\x1b[31mred\r\nnext {SECRET} \u202e")
    line = out.getvalue()
    assert SECRET not in line
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert line.startswith("20")


def test_under_journald_the_time_is_journalds() -> None:
    out = io.StringIO()
    Log(texts_in("id"), SECRET, {"JOURNAL_STREAM": "8:1"}, out)("stopping")
    assert out.getvalue() == "berhenti\n"


def test_a_reader_that_went_away_stops_nothing() -> None:
    out = io.StringIO()
    out.close()
    Log(texts_in("en"), "", {}, out)("stopping")


def test_a_long_text_is_cut() -> None:
    assert len(clean("x" * 10 * MAX_LINE)) == MAX_LINE


def test_the_last_lines_are_kept_with_their_time_and_without_the_key() -> None:
    log = Log(texts_in("en"), SECRET, {"JOURNAL_STREAM": "8:1"}, io.StringIO())
    for number in range(MAX_RECENT + 5):
        log("hub_error", code=number, message=SECRET)
    assert len(log.recent) == MAX_RECENT
    assert log.recent[0].endswith("the hub objects: 5: [api_token]")
    assert log.recent[0].startswith("20")
