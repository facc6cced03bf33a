"""No cell of a CSV file is a formula, and each is read back as it was."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.spreadsheet import json_cell, plain_cell, safe_cell

RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
HOSTILE = st.text(alphabet=st.sampled_from([*RUNS, "'", ";", '"', " ", ",", "1", "a", "\\"]), max_size=12)


@pytest.mark.parametrize("text", ["=1+1", "+62", "-2", "@x", "\tx", "\rx", "\nx", "\uff1d1+1", "'=1", "''=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("cell", "written"), [(-6.18, "-6.18"), (-3, "-3"), (None, ""), ("'quoted'", "'quoted'"), ("a-b=c", "a-b=c")]
)
def test_what_runs_nothing_stays_as_it_is(cell: object, written: str) -> None:
    assert safe_cell(cell) == written


@given(HOSTILE)
def test_a_file_is_read_back_as_it_was_and_runs_nowhere(text: str) -> None:
    assert plain_cell(safe_cell(text)) == text
    file = io.StringIO()
    csv.writer(file).writerow([safe_cell(text), safe_cell(f"x{text}")])
    for mark in (",", ";"):
        for row in csv.reader(io.StringIO(file.getvalue(), newline=""), delimiter=mark):
            assert not [cell for cell in row if cell.startswith(RUNS[:4])]
            assert mark == "," or not [cell for cell in row[1:] if cell.lstrip(' "').startswith(RUNS[:4])]


@given(HOSTILE)
def test_json_stays_json(text: str) -> None:
    cell = json_cell(json.dumps({"a": text}))
    assert json.loads(cell) == {"a": text}
    assert safe_cell(cell) == cell
