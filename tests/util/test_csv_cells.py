"""Names in CSV files are no formulas, and come back as they were."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headfit.util.csv_cells import csv_text, guard, unguard


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+x", "'+x"),
        ("-x.jpg", "'-x.jpg"),
        ("\t=1", "'\t=1"),
        ("'=1", "''=1"),
        ("-0.5", "-0.5"),
        ("1e-07", "1e-07"),
        ("'quoted'", "'quoted'"),
        ("cats/=1.jpg", "cats/=1.jpg"),
        ("", ""),
    ],
)
def test_what_a_spreadsheet_would_evaluate_gets_an_apostrophe(text: str, cell: str) -> None:
    assert guard(text) == cell
    assert unguard(cell) == text


@given(st.lists(st.lists(st.text("'=+-@\t\ra1.", max_size=5), min_size=1, max_size=3), max_size=4))
def test_every_text_comes_back_and_none_is_a_formula(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert [[unguard(cell) for cell in row] for row in read] == rows
    for cell in (cell for row in read for cell in row):
        assert cell[:1] not in set("=+-@\t\r") or re.fullmatch(r"[+-][\d.]+", cell)
