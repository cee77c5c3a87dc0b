"""The plot of scores in the terminal: what it draws is where it says it is."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

import stored_run
from headfit.cli.forest import DRAWN, PLAIN, Axis, Range, draw, forest, print_with_forest
from headfit.cli.plain import shorten
from headfit.cli.show import BEST, show_study, study_ranges, study_table

SCORES = st.floats(0, 1)


@st.composite
def ranges(make: st.DrawFn) -> Range:
    low, mean, high = sorted(make(st.tuples(SCORES, SCORES, SCORES)))
    name = make(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=60))
    known = make(st.booleans())
    return Range(name, mean, low if known else None, high if known else None)


ROWS = st.lists(ranges(), min_size=1, max_size=12)


@given(ROWS, st.integers(30, 200), st.booleans())
def test_every_line_fits_the_width(rows: list[Range], width: int, plain: bool) -> None:
    lines = forest(rows, width, ascii_only=plain).plain.split("\n")
    assert len(lines) == len(rows) + 3
    assert max(map(cell_len, lines)) <= width


@given(ROWS, st.integers(2, 100))
def test_the_dot_lies_within_the_interval_on_the_axis(rows: list[Range], width: int) -> None:
    axis = Axis(rows, width)
    for row in rows:
        line = draw(row, axis).plain
        assert len(line) == width
        dot = line.index(DRAWN.dot)
        assert line.count(DRAWN.dot) == 1
        assert line.find(DRAWN.left) <= dot
        if DRAWN.right in line:
            assert line.index(DRAWN.right) >= dot


@given(ROWS, st.integers(2, 100), SCORES, SCORES)
def test_the_axis_rises_and_has_two_to_four_round_ticks(
    rows: list[Range], width: int, one: float, other: float
) -> None:
    axis = Axis(rows, width)
    assert axis.column(min(one, other)) <= axis.column(max(one, other))
    assert 2 <= len(axis.ticks) <= 4
    columns = [axis.column(tick) for tick in axis.ticks]
    assert columns == sorted(columns)
    assert columns[0] >= 0
    assert columns[-1] < width
    assert len(axis.labels()) <= width
    for label in axis.labels().split():
        assert any(abs(float(label) - 100 * tick) < 1e-6 for tick in axis.ticks)


def test_an_example() -> None:
    rows = [
        Range("gap", 0.8, 0.7, 0.9, "→", chosen=True),
        Range("flatten", 0.75, 0.6, 0.85),
        Range("gem", 0.7, None, None),
        Range("gmp", None, None, None),
    ]
    drawn = forest(rows, 42)
    assert [line.rstrip() for line in drawn.plain.split("\n")] == [
        "Balanced accuracy %, 95 % interval",
        "→ gap                ├─────────●─────────┤",
        "  flatten  ├──────────────●─────────┤",
        "  gem                ●",
        "  gmp      ?",
        "           ┬─────────┬─────────┬─────────┬",
        "           60       70        80        90",
    ]
    accents = [span for span in drawn.spans if "cyan" in str(span.style)]
    assert [drawn.plain[span.start : span.end].strip()[0] for span in accents] == ["├"]
    plain = forest(rows[1:], 42, ascii_only=True).plain
    assert plain.isascii()
    assert f"{PLAIN.left}---" in plain


def test_heads_that_are_all_equal_have_an_axis() -> None:
    axis = Axis([Range("a", 1.0, 1.0, 1.0), Range("b", 1.0, None, None)], 40)
    assert len(axis.ticks) >= 2
    assert draw(Range("a", 1.0, 1.0, 1.0), axis).plain.strip() == DRAWN.dot


@given(st.text(max_size=80), st.integers(1, 40))
def test_a_name_is_cut_to_its_cells(name: str, cells: int) -> None:
    assert cell_len(shorten(name, cells)) <= max(cells, 0)


def test_a_long_name_loses_its_middle() -> None:
    name = "128px:block5_expand_relu/gap"
    assert shorten(name, 28) == name
    assert shorten(name, 15) == "128px:b…elu/gap"
    assert shorten(name, 15, ascii_only=True) == "128px:..elu/gap"


@pytest.mark.parametrize(("width", "below"), [(60, True), (80, False), (120, False), (200, False)])
def test_the_plot_stands_beside_the_table_where_there_is_room(width: int, below: bool) -> None:
    lines = _shown(stored_run.results(), width)
    assert max(map(len, lines)) <= width
    drawn = [line for line in lines if "●" in line]
    heads = ["flatten", "gap", "gmp", "gap-16"]
    assert [line.split()[line.startswith("→")] for line in drawn] == heads
    # the last says what it means
    assert sum(line.startswith("→") for line in lines) == (3 if below else 2)
    assert any("interval" in line and "Balanced" in line for line in lines) is below


def test_the_plot_of_a_grid_has_the_rows_of_its_table() -> None:
    results = copy.deepcopy(stored_run.results())
    results["backbones"] = [
        {**results["backbones"][0], "name": f"{size}px"} for size in (64, 96, 128)
    ]
    results["candidates"] = [
        {**each, "name": f"{size}px:block5_expand_relu/{each['head']}"}
        for size in (64, 96, 128)
        for each in results["candidates"]
    ]
    worst = min(reversed(results["candidates"]), key=lambda each: each["balanced_accuracy"]["mean"])
    results["verdict"]["recommended"] = worst["name"]
    console = Console(width=80, record=True, file=io.StringIO(), emoji=False)
    print_with_forest(console, study_ranges(results), lambda axis: study_table(results, axis))
    lines = console.export_text().splitlines()
    drawn = [line for line in lines if "●" in line]
    table = lines[: lines.index(next(line for line in lines if not line.strip()))]
    assert sum("block5_expand_relu/g" in line for line in table) == 8  # none is folded
    assert len(drawn) == BEST + 1
    assert drawn[-1].startswith("→")


def _shown(results: dict[str, Any], width: int) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), emoji=False, highlight=False)
    show_study(console, results, "run")
    return [line.rstrip() for line in console.export_text().splitlines()]
