"""What steers a terminal is shown on it instead."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headfit.util.controls import escape_controls, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb", r"a\rb"),
        ("cat\u202egnp.exe", r"cat\u202egnp.exe"),
        ("\u2066x\u2069\u2028", r"\u2066x\u2069\u2028"),
        ("odd \udcff byte", r"odd \udcff byte"),
        ("été, 猫, 👩\u200d🔬, 5\u00a0%\n\tx", "été, 猫, 👩\u200d🔬, 5\u00a0%\n\tx"),
    ],
)
def test_controls_are_written_out_and_all_else_stays(text: str, shown: str) -> None:
    assert escape_controls(text) == shown


@given(st.text())
def test_no_text_steers_a_terminal(text: str) -> None:
    shown = one_line(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", shown)
    shown.encode("utf-8")  # it can be printed
    assert one_line(shown) == shown
