"""A comparison over sizes and cuts as a table: how maps, parameters and scores change."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from headfit.cli.tables import standings_table

HEADS = 6  # columns that a terminal has room for


def grid_table(results: dict[str, Any]) -> Table:
    """Make a table of a row for each combination of backbone, size and cut, in their order.

    A cell holds a head's balanced accuracy in percent and its parameters; the recommended one is
    marked.
    """
    heads = list(dict.fromkeys(each["head"] for each in results["candidates"]))
    best = {head: max(_score(each) for each in _of(results, head)) for head in heads}
    shown = sorted(sorted(heads, key=lambda head: -best[head])[:HEADS], key=heads.index)
    title = "On each: balanced accuracy % and parameters of each head"
    if len(shown) < len(heads):
        title += f", the best {HEADS} of {len(heads)} heads"
    table = standings_table(title, ("\non", "\nmap", *(f"\n{h}" for h in shown), "\nFlatten is"))
    for place in results["backbones"]:
        here = {
            each["head"]: each
            for each in results["candidates"]
            if each["name"].rpartition("/")[0] == place["name"]
        }
        shape = "×".join(map(str, place["map_shape"]))
        cells = [_cell(here.get(head), results["verdict"]["recommended"]) for head in shown]
        table.add_row(place["name"], shape, *cells, _answer(place["verdict"]))
    return table


def _answer(verdict: dict[str, Any]) -> str:
    tested = verdict["difference"] is not None
    return str(verdict["flatten"]).replace("_", " ") if tested else "–"


def _of(results: dict[str, Any], head: str) -> list[dict[str, Any]]:
    return [each for each in results["candidates"] if each["head"] == head]


def _score(candidate: dict[str, Any]) -> float:
    mean: float = candidate["balanced_accuracy"]["mean"]
    return mean


def _cell(candidate: dict[str, Any] | None, recommended: str) -> str:
    if candidate is None:
        return "–"
    mark = "→ " if candidate["name"] == recommended else ""
    return f"{mark}{100 * _score(candidate):.1f}\n{candidate['parameters']['head']:,}"
