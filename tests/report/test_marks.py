"""Plots note what each mark says; the page alone writes it, as titles in the drawing."""

from __future__ import annotations

import copy
import html
import io
import re
from typing import Any

import pytest

import stored_run
from headfit.report import plots
from headfit.report.inline import picture
from headfit.report.marks import MOST
from headfit.report.page import pictures, render
from tooltips import SPEAKING, expected, percents


@pytest.fixture
def results() -> dict[str, Any]:
    return stored_run.results()


def titles(svg: str) -> list[str]:
    return [html.unescape(text) for text in re.findall("<title>(.*?)</title>", svg)]


def test_marks_say_the_numbers_of_the_results(results: dict[str, Any]) -> None:
    drawn = pictures(results)
    for plot in SPEAKING:
        assert titles(drawn[plot].svg) == expected(results, plot), plot
    assert titles(drawn["posterior"].svg) == []


def test_costs_come_by_size_and_tell_whom_no_other_beats(results: dict[str, Any]) -> None:
    found = titles(pictures(results)["cost"].svg)
    flatten = next(c for c in results["candidates"] if c["name"] == "flatten")
    assert [text.partition(":")[0] for text in found] == ["gap", "gmp", "flatten", "gap-16"]
    assert found[2] == (
        f"flatten: {flatten['parameters']['head']:,} parameters of the head, balanced accuracy "
        f"{percents(flatten['balanced_accuracy'])}; no other has a better mean with fewer"
    )
    assert [text.endswith("fewer") for text in found] == [
        c["pareto"]["parameters"]
        for name in ("gap", "gmp", "flatten", "gap-16")
        for c in results["candidates"]
        if c["name"] == name
    ]


def test_maps_say_their_shapes_and_a_forecast_what_it_is(results: dict[str, Any]) -> None:
    one = results["backbones"][0]
    results["backbones"] = [
        {**one, "input_size": size, "cut": "mid", "map_shape": [size // 8, size // 16, 8]}
        for size in (64, 32)
    ]
    head = results["learning_curve"]["heads"][0]
    head["forecast"] = [{"images": 5000, "mean": 0.9, "low": None, "high": None}]
    drawn = pictures(results)
    assert titles(drawn["maps"].svg) == [
        "efficientnet_lite0, mid, 32 px: 4×2×8, 8 positions",
        "efficientnet_lite0, mid, 64 px: 8×4×8, 32 positions",
    ]
    forecast = "gap, forecast: 5,000 images, balanced accuracy 90.0 %"
    assert forecast in titles(drawn["learning_curve"].svg)


def test_curves_are_of_the_heads_on_the_recommended_backbone(results: dict[str, Any]) -> None:
    rows = results["candidates"]
    results["candidates"] = [
        {**copy.deepcopy(row), "name": f"{size}/{row['name']}"} for size in "ab" for row in rows
    ]
    results["verdict"]["recommended"] = "b/gap-16"
    drawn = pictures(results)
    for plot in ("spectrum", "learning_curve"):
        linked = set(re.findall('data-head="(.*?)"', drawn[plot].svg))
        assert linked == {"b/gap", "b/flatten"}


def test_a_hostile_name_is_text_in_the_drawing_and_matches_its_row(
    results: dict[str, Any],
) -> None:
    name = '</title><script>x</script>"\x07'
    results["candidates"][2]["name"] = name
    page = render(results, stored_run.predictions_csv(), None)
    assert page.count("<script>") == 1
    shown = name.replace("\x07", "\ufffd")
    linked = [
        (tag, html.unescape(value))
        for tag, value in re.findall(r'<(tr|g class="mark" role="img") data-head="(.*?)"', page)
    ]
    assert linked.count(("tr", shown)) == 2
    assert linked.count(('g class="mark" role="img"', shown)) == 3


def test_hundreds_of_candidates_do_not_fill_the_page(results: dict[str, Any]) -> None:
    rows = results["candidates"]
    results["candidates"] = rows + [
        {**copy.deepcopy(rows[2]), "name": f"gmp @ {number}"} for number in range(MOST + 50)
    ]
    cost = picture("cost", plots.cost, results).svg
    assert len(titles(cost)) == MOST
    assert len(cost) < 800_000
    assert len(titles(picture("scores", plots.scores, results).svg)) < 25


def test_a_plot_outside_of_the_page_is_as_without(results: dict[str, Any]) -> None:
    import matplotlib as mpl  # noqa: PLC0415  (heavy)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure, stream = Figure(), io.StringIO()
    axes = plots.scores(results, figure.add_subplot())
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(stream, format="svg")
    assert "balanced accuracy 88.1" not in stream.getvalue()
    assert [artist for artist in axes.findobj() if artist.get_gid()] == []
