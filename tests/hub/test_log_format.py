"""What stands in the log: one line an event, whatever a machine sent, and an end to what one machine may cause."""

from __future__ import annotations

import json
import logging

import pytest

from hub.log_format import MACHINE_LINES, MACHINE_LINES_PER_MINUTE, MOST_OF_A_TEXT, JsonLines, LineLimits, TextLines

NASTY = "\x1b[31m\n\r\x00\u202e" * 500


class Log(logging.Handler):
    """A log in memory, with a clock in hand."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.now = 0.0
        self.lines: list[str] = []
        self.setFormatter(formatter)
        self.addFilter(LineLimits(lambda: self.now))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def say(self, message: str, *args: object) -> None:
        self.handle(logging.LogRecord("myrvm.link", logging.WARNING, "x.py", 1, message, args, None))


@pytest.mark.parametrize("formatter", [TextLines(with_time=True), JsonLines()], ids=["text", "json"])
@pytest.mark.parametrize("text", [NASTY, "w" * 10_000, ValueError(NASTY)], ids=["nasty", "long", "error"])
def test_a_machine_text_has_two_hundred_characters_as_they_are_written(
    formatter: logging.Formatter, text: object
) -> None:
    log = Log(formatter)
    log.say("machine %d: says %s: %s", 7, text, "short")
    (line,) = log.lines
    assert line.isprintable()
    assert "short" in line
    assert len(line.encode()) <= 2 * MOST_OF_A_TEXT + 200  # JSON doubles a backslash


def test_a_machine_causes_so_many_lines_a_minute_and_the_others_are_counted() -> None:
    log = Log(TextLines(with_time=False))
    for n in range(100_000):
        log.now = n / 100
        log.say("machine %d: again", 7)
    minutes = 100_000 / 100 / 60
    assert len(log.lines) <= MACHINE_LINES + MACHINE_LINES_PER_MINUTE * minutes + 1
    log.now += 60
    log.say("machine %d: again", 7)
    told = sum(int(line.split("(")[1].split()[0]) for line in log.lines if "(" in line)
    assert told + len(log.lines) == 100_001
    log.say("machine %d: another", 8)
    assert log.lines[-1].endswith("machine 8: another")


def test_other_lines_are_not_limited_in_number_and_keep_their_numbers() -> None:
    log = Log(JsonLines())
    for _ in range(200):
        log.say("ready at %s after %.2f s, %d of %s", "http://x", 1.5, 3, None)
    assert len(log.lines) == 200
    assert json.loads(log.lines[0])["message"] == "ready at http://x after 1.50 s, 3 of None"
    log.say("%s", "w" * 900)
    assert "w" * 900 in log.lines[-1]
    log.say("no arguments: 100 %")
    assert log.lines[-1]
    log.handle(logging.LogRecord("uvicorn", logging.WARNING, "x.py", 1, "%(a)s", ({"a": "b"},), None))
    assert json.loads(log.lines[-1])["message"] == "b"
