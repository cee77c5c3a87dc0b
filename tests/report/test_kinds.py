"""Runs of several labels and of numbers: their words, plots and page say nothing of classes."""

from __future__ import annotations

import re
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import stored_kinds
import stored_run
from headfit.errors import DataError, UsageError
from headfit.fitting.kinds import KINDS
from headfit.report import figures, plots, view_labels, view_numbers
from headfit.report.page import render
from headfit.report.text import (
    finetune,
    learning_curve,
    metrics,
    model_card,
    position,
    reliability,
    summary,
    table,
    tested,
    titles,
)
from headfit.report.text.metrics import METRICS
from headfit.report.text.numbers import significant
from headfit.report.text.targets import counted_names, names_of
from headfit.report.text.verdict import evidence, limits
from stored_kinds import HOSTILE, Made

mpl.use("svg")


@pytest.fixture(scope="module")
def labels() -> Made:
    return stored_kinds.labels()


@pytest.fixture(scope="module")
def numbers() -> Made:
    return stored_kinds.numbers()


def test_each_kind_of_target_has_words_for_its_metrics() -> None:
    for name, kind in KINDS.items():
        assert metrics.kind_for(kind.primary) == name
        assert metrics.loss_key(kind.primary) == kind.secondary[0]
        low, high = kind.bounds(kind.primary)
        scale = METRICS[kind.primary].scale
        assert metrics.bounds(kind.primary) == (low and scale * low, high and scale * high)
        assert set(kind.metrics) <= set(METRICS)
        assert METRICS[kind.primary].column and METRICS[kind.secondary[0]].column


def test_shares_are_in_per_cent_and_r2_is_a_number() -> None:
    interval = {"mean": 0.8321, "low": 0.8, "high": None}
    share, r2, rmse = (METRICS[key] for key in ("macro_average_precision", "r2", "rmse"))
    assert share.named(interval) == "83.2 % macro average precision"
    assert r2.named(interval) == "R² 0.83"
    assert r2.named(interval | {"high": 0.9}) == "R² 0.83 (0.80 to 0.90)"
    assert share.difference_of(0.041) == "4.1 points of macro average precision"
    assert r2.difference_of(0.412, signed=True) == "+0.41 in R²"
    assert r2.difference(-0.0123) == "−0.012 in R²"
    assert r2.range({"low": -0.003, "high": 0.027}) == "−0.003 to +0.027"
    assert r2.margin(0.01) == "0.01 in R²" and share.margin(0.01) == "1.0 point"
    assert rmse.value(1234.5) == "1,234" and rmse.value(None) == "?"
    assert significant(-0.01234) == "−0.0123" and significant(0) == "0"
    assert significant(1.5e-7, signed=True) == "+1.50e−07"


def test_numbers_are_told_by_the_variance_that_is_explained(numbers: Made) -> None:
    found = numbers.results
    verdict = found["verdict"]
    answer = "Flatten is necessary here. Flatten − gap: +0.41 in R² (+0.38 to +0.44)."
    assert summary.answer(verdict) == answer
    assert summary.advice(found).startswith(
        "Use flatten: it explains 96 % of the variance (R² 0.96; 0.93 to 0.97), gap 88 %, "
    )
    assert evidence(verdict).startswith(
        "Flatten differs from gap by +0.41 in R² (+0.38 to +0.44), p < 0.001."
    )
    assert "flatten's RMSE is 3.21 lower (2.50 to 4.00)" in evidence(verdict)
    assert metrics.explained(-0.1) == "explains no variance"
    where = position.sentence(found["where"], verdict, 75)
    assert where.startswith("Position matters: flatten scores 0.41 in R² above gap (0.38 to 0.44)")
    assert re.search(r"lowers its R² from 0\.9\d to −0\.6\d\.$", where)
    moved = position.shift(found["where"]["shift"]["curves"])
    assert "gap's predictions by 33 % of their spread and flatten's predictions" in moved
    test = found["test"]
    assert tested.sentence(test, verdict).startswith("flatten explains 95 % of the variance, R² 0.")
    assert tested.summary(test, verdict).startswith("R² 0.95 (0.90 to 0.97) on 30 images; RMSE")


def test_labels_are_told_in_macro_average_precision(labels: Made) -> None:
    found = labels.results
    verdict = found["verdict"]
    assert summary.advice(found).startswith("Use flatten: expect 96.0 % macro average precision (")
    assert "+41.0 points of macro average precision (+38.0" in evidence(verdict)
    assert "flatten's log-loss is 3.210 lower" in evidence(verdict)
    assert tested.sentence(found["test"], verdict) == (
        "flatten has 95.0 % (90.0 to 97.0) macro average precision (80.0 % macro F1 at a "
        "probability of one half) on 30 test images, scored once."
    )
    assert limits({"class": "fog", "images": 9}, "macro_average_precision").startswith("The label ")
    told = reliability.held_out(found["reliability"])
    assert told.startswith("Each label has a threshold of its own")
    scaled = [{**row, "temperature": 2.0} for row in found["reliability"]["labels"]]
    told = reliability.held_out(found["reliability"] | {"labels": scaled})
    assert "Temperatures of 4 of 4 labels change the mean log-loss from 0." in told


def test_rare_labels_are_called_so() -> None:
    lines = summary.balance_lines({"rare": {"fog": 4}}, 10, "labels")
    assert lines == {"Rare labels": lines["Rare labels"]} and "fog (4)" in lines["Rare labels"]


def test_what_numbers_allow_to_say_of_trust(numbers: Made) -> None:
    found = numbers.results["reliability"]
    line = reliability.trust(found)
    assert re.match(r"90 % intervals: x ± \S+ and y ± \S+; 1 image is labelled far from", line)
    told = reliability.held_out(found)
    assert re.match(
        r"Intervals that aim at 90 % of the true numbers: x ± \S+ holds 9\d\.\d %", told
    )
    unknown = found | {"intervals": {**found["intervals"], "half_widths": [None, None]}}
    assert reliability.trust(unknown).startswith("too few images for intervals; ")
    assert "x has too few images for one" in reliability.held_out(unknown)


def test_tables_have_the_columns_of_the_kind(labels: Made, numbers: Made) -> None:
    assert table.columns(labels.results)[:3] == (
        "macro average precision, %",
        "95 % interval",
        "log-loss",
    )
    heads = table.columns(numbers.results)
    assert heads[0] == "R²" and heads[2] == "RMSE" and heads[5] == "overfit, R²"
    row = table.table_rows(numbers.results)[0]
    assert {"head", "r2", "low", "high", "rmse"} <= set(row)
    assert table.shown(row, numbers.results["verdict"])[0] == "0.90"
    assert counted_names("number", ["x", "y"]) == "numbers x and y"
    assert counted_names("number", ["x"]) == "number x"
    assert counted_names("labels", {"a": 3}) == "1 label"


def test_more_images_and_fine_tuning_are_told_in_r2(numbers: Made) -> None:
    gain = {"mean": 0.04, "low": 0.01, "high": 0.12, "more_images": 500}
    r2 = METRICS["r2"]
    assert learning_curve.gain_size(gain, r2) == "+0.040 in R² (0.01 to 0.12)"
    assert learning_curve.title(numbers.results["learning_curve"]).startswith("No forecast; R² of")
    brought = {
        "difference": {"mean": 0.1, "low": 0.05, "high": 0.15},
        "train_seconds_ratio": 3,
        "holm_p_value": 0.01,
    }
    assert finetune.sentence(brought, "last", metric="r2") == (
        "Fine-tuning the last stage brings +0.10 in R² (+0.05 to +0.15) for 3 times the training "
        "time."
    )


def test_the_model_card_counts_what_is_predicted(labels: Made, numbers: Made) -> None:
    assert model_card.data(labels.results, 75).startswith("75 images with 4 labels. Another 30")
    assert model_card.data(numbers.results, 75).startswith("75 images with numbers x and y. A")
    assert model_card.trust(numbers.results["reliability"])[0].startswith("Intervals that aim")
    told = model_card.limits(numbers.results, numbers.results["reliability"])
    assert "it explains 96 % of the variance" in told[0]


PLOTS = {
    "labels": {"labels", "cooccurrence", "calibration"},
    "number": {"predicted_true", "residuals"},
    "class": {"classes", "confusion", "calibration"},
}
OF_A_KIND = {name for names in PLOTS.values() for name in names}
RUNS = {
    "labels": lambda: stored_kinds.labels().results,
    "number": lambda: stored_kinds.numbers().results,
    "class": stored_run.results,
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_plot_that_a_kind_lacks_is_refused_and_others_are_named(kind: str) -> None:
    results = RUNS[kind]()
    for name in sorted(OF_A_KIND - PLOTS[kind]):
        with pytest.raises(UsageError, match=f"'{name}' shows .* this run predicts .* Draw '"):
            getattr(plots, name)(results, Figure().add_subplot())
    drawn = set(figures.drawable(results))
    assert drawn & OF_A_KIND == PLOTS[kind] - {"confusion", "cooccurrence"}
    for name in sorted(drawn | PLOTS[kind]):
        axes = getattr(plots, name)(results, Figure().add_subplot())
        assert axes.get_title(loc="left") and axes.get_xlabel()
        axes.figure.canvas.draw()


def test_scores_of_numbers_are_drawn_as_they_are(numbers: Made) -> None:
    axes = plots.scores(numbers.results, Figure().add_subplot())
    means = sorted(row["r2"]["mean"] for row in numbers.results["candidates"])
    places = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in "osD"]
    assert sorted(places) == pytest.approx(means)
    assert axes.get_xlabel() == "R², 95 % interval" and axes.get_xlim()[1] <= 1
    rising = plots.spectrum(numbers.results, Figure().add_subplot())
    assert rising.get_ylim()[0] < 0  # R² has no least value
    density = plots.posterior(numbers.results, Figure().add_subplot())
    assert density.get_xlabel() == "flatten − gap in R²; band: ROPE"


@pytest.mark.parametrize(
    ("names", "x", "title"),
    [
        (("age",), "predicted age; dashed: intervals", "Half of the images are off by less than"),
        (("x", "y"), "x", "Half of the images are off by less than"),
        (("a", "b", "c"), "predicted − true in standard deviations; lines: 90 %", "Least exact is"),
    ],
)
def test_residuals_of_one_two_and_more_numbers(names: tuple[str, ...], x: str, title: str) -> None:
    results = stored_kinds.numbers(names).results
    axes = plots.residuals(results, Figure().add_subplot())
    assert axes.get_xlabel() == x
    assert axes.get_title(loc="left").startswith(title)
    assert axes.yaxis_inverted() == (names[-1] == "y")
    shown = plots.predicted_true(results, Figure().add_subplot())
    assert ("dashed: intervals" in shown.get_xlabel()) == (len(names) == 1)


def test_numbers_of_different_scale_are_standardised(numbers: Made) -> None:
    results = stored_kinds.numbers().results
    results["reliability"]["columns"][1]["std"] *= 100
    axes = plots.predicted_true(results, Figure().add_subplot())
    assert "standard deviations" in axes.get_xlabel()


def test_two_classes_have_a_curve_each_for_roc_and_precision() -> None:
    results = stored_kinds.two_classes()
    curves = results["reliability"]["curves"]
    axes = plots.roc(results, Figure().add_subplot())
    assert axes.get_title(loc="left").startswith(f"AUROC of spam: {curves['auroc']:.3f}")
    drawn = np.transpose(axes.lines[-1].get_data()) / 100
    np.testing.assert_allclose(drawn, curves["roc"])
    axes = plots.precision_recall(results, Figure().add_subplot())
    assert "by chance 33.3 %" in axes.get_title(loc="left")
    assert {"roc", "precision_recall"} <= set(figures.drawable(results))
    assert names_of(results) == ["ham", "spam"]
    with pytest.raises(UsageError, match="two classes, and this run has 3"):
        plots.roc(stored_run.results(), Figure().add_subplot())


def test_which_labels_come_together_is_a_title(labels: Made) -> None:
    counts = np.array([[5, 2, 0], [2, 9, 4], [0, 4, 4]])
    assert titles.cooccurrence(counts, "abc") == "Most often together: b and c, in 4 images"
    assert titles.cooccurrence(np.diag([3, 2]), "ab") == "No image has two labels"
    rows = labels.results["reliability"]["labels"]
    assert titles.labels(rows[:1], 1).startswith(f"Average precision of {HOSTILE}: ")


def words(page: str) -> str:
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_the_page_of_labels(labels: Made) -> None:
    page = render(labels.results, labels.predictions, None)
    text = words(page)
    assert "75 images, 4 labels," in text
    assert "Heads, best macro average precision first" in text and "macro F1, %" in text
    assert "Labels that come together" in text and "Sigmoid layer over 4 labels" in text
    assert HOSTILE not in page and "&lt;b&gt;sea&amp;$x$" in page
    assert "not labelled" in text and "predicted with only" in text
    assert "Labels that may be wrong or missing" in text and "perhaps lacks" in text
    for absent in ("Confusion", "taken for", "calibration error", "Images of each class", "R²"):
        assert absent not in text, absent


def test_the_page_of_numbers(numbers: Made) -> None:
    page = render(numbers.results, numbers.predictions, None)
    text = words(page)
    assert "75 images, numbers x and y," in text
    assert "Heads, best R² first" in text and "MAE" in text
    assert "Linear layer for 2 numbers" in text
    assert "Each number, in its own units; intervals aim at 90 %" in text
    assert "Farthest off" in text and "Largest errors" in text
    assert "Numbers that may be wrong" in text and "1 in total" in text
    assert "Variance of its predictions" in text
    for absent in ("Confusion", "taken for", "log-loss", "Images of each class", "classes"):
        assert absent not in text, absent


def test_without_predictions_the_page_says_so(labels: Made, numbers: Made) -> None:
    for made in (labels, numbers):
        assert "predictions.csv is missing" in words(render(made.results, "", None))


def test_the_worst_mistakes_come_first(labels: Made, numbers: Made) -> None:
    rows = labels.results["reliability"]["labels"]
    mistakes = view_labels.read_mistakes(labels.predictions, rows)
    surprises = [each.surprise for each in mistakes]
    assert surprises == sorted(surprises, reverse=True) and len(mistakes) == 24
    least = {row["name"]: row["threshold"] for row in rows}
    assert all((each.probability >= least[each.name]) != each.has for each in mistakes)
    columns = numbers.results["reliability"]["columns"]
    worst, *others = view_numbers.read_residuals(numbers.predictions, columns)
    assert worst.path == numbers.results["reliability"]["suspects"][0]["path"]
    assert worst.size > max(each.size for each in others)
    assert len(view_numbers.told(worst, columns)) == 2
    assert len(view_numbers.told(worst, [*columns, *columns])) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.", "7."), ("path,", "file,"), (",label", ",table"), ("sky", "fog")],
)
def test_damaged_predictions_of_labels_are_refused(old: str, new: str, labels: Made) -> None:
    rows = labels.results["reliability"]["labels"]
    damaged = labels.predictions.replace(old, new)
    with pytest.raises(DataError, match="one for each label"):
        view_labels.read_mistakes(damaged, rows)


def test_damaged_predictions_of_numbers_are_refused(numbers: Made) -> None:
    columns: list[dict[str, Any]] = numbers.results["reliability"]["columns"]
    head = numbers.predictions.splitlines()[0]
    for damaged in ("path", f"{head}\na,b,0,1,2,3,nan", f"{head}\na,b,0", f"file{head[4:]}"):
        with pytest.raises(DataError, match="two for each number"):
            view_numbers.read_residuals(damaged, columns)
