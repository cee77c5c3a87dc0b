"""Run a board and show it: progress, a table and a plot for each group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from headfit.board import Board, render, run
from headfit.board.markdown import sentences
from headfit.cli.console import ConsoleCallback, output
from headfit.cli.forest import LEAST, Axis, Range, add_axis, draw, print_with_forest
from headfit.cli.tables import literal, print_json, standings_table
from headfit.cli.wording import CommandLineWords, in_command_line_words
from headfit.errors import UsageError
from headfit.report.text.board import cells, columns, failures
from headfit.report.text.metrics import METRICS

TITLE = "Flatten − gap"
FIRST = 4  # columns that always stand: the run, the answer, the difference and its interval
WORTH = (4, 5, 12, 11, 10, 7, 9, 8, 13, 6, 14, 15)
"""Further columns, in the order in which they find room; board.html has all."""


def run_board(declared: Path, out: Path, *, group: bool, as_json: bool) -> int:
    """Run a list and show its board; give the exit code."""
    with ConsoleCallback() as console:
        board = run(declared, out, group=group, callbacks=CommandLineWords([console]))
    return _show(board, out, as_json)


def show_folder(folder: Path, out: Path | None, *, group: bool, as_json: bool) -> int:
    """Show the records of a folder; give the exit code."""
    if out is not None and out.absolute() != folder.absolute():
        expected = "left out: the board of a folder is written into it"
        raise UsageError.invalid("out", str(out), expected)
    return _show(render(folder, group=group), folder, as_json)


def _show(board: Board, out: Path, as_json: bool) -> int:
    if as_json:
        print_json(board.to_dict())
    else:
        show_board(output(), board.to_dict(), str(out))
    return 1 if board.failed else 0


def show_board(console: Console, board: Mapping[str, Any], out: str) -> None:
    """Print a board: for each group a table with its plot, then the runs that failed.

    Args:
        console: where.
        board: content of ``board.json``.
        out: its folder.
    """
    for group in board["groups"]:
        _show_group(console, group)
        for sentence in sentences(group):
            console.print(literal(sentence))
        console.print()
    if board["failed"]:
        console.print(failures(board["failed"]), style="bold")
        for each in board["failed"]:
            reason = in_command_line_words(each["reason"])
            console.print(literal(f"{each['name']}: {reason}"))
    names = "board.html, board.md, board.svg, board.json, records"
    console.print(literal(f"{out}: {names}"))


def _show_group(console: Console, group: Mapping[str, Any]) -> None:
    metric = METRICS[group["metric"]]
    short = f"flatten − gap, {'points' if metric.is_share else metric.name}"
    plain = console.options.ascii_only
    print_with_forest(
        console,
        board_ranges(group),
        lambda axis: board_table(group, axis, width=console.width, ascii_only=plain),
        replace(metric, short=short),
        TITLE,
    )


def board_table(
    group: Mapping[str, Any],
    axis: Axis | None = None,
    *,
    width: int = 80,
    ascii_only: bool = False,
) -> Table:
    """Make the table of a group.

    Args:
        group: rows that stand side by side.
        axis: of the plot in a last column; None for none.
        width: of the terminal; where it is narrow there are fewer columns.
        ascii_only: whether the plot does without the characters of boxes.
    """
    rows = [cells(row, group) for row in group["rows"]]
    chosen = _columns(rows, columns(group), width - LEAST - 2)
    headings = [_in_two_lines(columns(group)[number]) for number in chosen]
    table = standings_table(group["heading"], headings)
    if axis:
        add_axis(table, axis)
    for texts, drawn in zip(rows, board_ranges(group), strict=True):
        plot = [draw(drawn, axis, ascii_only=ascii_only)] if axis else []
        table.add_row(*(literal(texts[number]) for number in chosen), *plot)
    return table


def board_ranges(group: Mapping[str, Any]) -> list[Range]:
    """Give the differences of the table's rows, in their order."""
    unknown = {"mean": None, "low": None, "high": None}
    differences = [(row["name"], row["difference"] or unknown) for row in group["rows"]]
    return [Range(name, each["mean"], each["low"], each["high"]) for name, each in differences]


def _columns(rows: list[list[str]], headings: list[str], room: int) -> list[int]:
    """Choose the columns for which there is room, in their order."""
    widths = []
    for number, heading in enumerate(headings):
        lines = [*_in_two_lines(heading).split("\n"), *(row[number] for row in rows)]
        widths.append(max(map(cell_len, lines)) + 2)
    chosen = list(range(FIRST))
    for number in WORTH:
        if number < len(headings) and sum(widths[n] for n in (*chosen, number)) <= room:
            chosen.append(number)
    return sorted(chosen)


def _in_two_lines(heading: str) -> str:
    """Break a heading where its longer line is shortest."""
    words = heading.split(" ")
    pairs = [(" ".join(words[:n]), " ".join(words[n:])) for n in range(len(words))]
    return "\n".join(min(pairs, key=lambda pair: max(map(len, pair))))
