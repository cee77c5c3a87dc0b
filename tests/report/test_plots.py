"""Plots: they show the numbers of the results, and say what they find."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

import stored_run
from headfit.errors import UsageError
from headfit.report import plots
from headfit.report.inline import picture

# drawn in test_kinds.py, from runs of other targets
OF_OTHERS = {
    *("labels", "cooccurrence", "predicted_true", "residuals"),
    *("roc", "precision_recall"),
}


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    mpl.use("svg")
    import matplotlib.pyplot as plt  # noqa: PLC0415  (after the backend)

    yield
    plt.close("all")


@pytest.fixture
def results() -> dict[str, Any]:
    return stored_run.results()


@pytest.mark.parametrize("name", sorted(set(plots.__all__) - OF_OTHERS))
def test_a_plot_draws_into_the_axes_given_and_into_new_ones(name: str, results: Any) -> None:
    plot = getattr(plots, name)
    results = stored_run.tuned() if name == "gains" else results
    axes = Figure().add_subplot()
    assert plot(results, axes) is axes
    alone = plot(results)
    assert alone is not axes
    assert alone.get_title(loc="left") == axes.get_title(loc="left") != ""
    assert alone.get_xlabel()
    # hostile and mathematical names are drawn, not read
    alone.figure.canvas.draw()


def test_scores_lie_where_the_results_say(results: Any) -> None:
    axes = plots.scores(results)
    shown = sorted(
        float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in ("o", "s", "D")
    )
    means = sorted(100 * c["balanced_accuracy"]["mean"] for c in results["candidates"])
    assert shown == pytest.approx(means)


def test_gains_lie_beside_the_rope_with_their_times() -> None:
    results = stored_run.tuned()
    axes = plots.gains(results)
    names = [label.get_text().split("\n")[1] for label in axes.get_yticklabels()]
    assert names == ["1,234 × time", "40 × time", "1.2 × time"]  # the first on top
    shown = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D"]
    assert shown == pytest.approx([-2.0, 1.0, 4.0])
    (band,) = axes.patches
    assert band.get_extents().width > 0
    assert title(axes).startswith(results["finetune"]["gains"][0]["name"])


def test_the_posterior_is_students_t_with_the_probabilities_of_the_verdict(results: Any) -> None:
    x, y = plots.posterior(results).lines[0].get_data()
    x, y = np.asarray(x) / 100, np.asarray(y)
    found, rope = results["verdict"]["difference"], results["settings"]["rope"]
    df = len(results["candidates"][0]["balanced_accuracy"]["folds"]) - 1
    se = (found["high"] - found["mean"]) / stats.t.ppf(0.975, df)
    np.testing.assert_allclose(y, stats.t.pdf(x, df, found["mean"], se), rtol=1e-6)
    assert stats.t.sf(rope, df, found["mean"], se) == pytest.approx(found["p_better"], abs=1e-9)


def test_the_posterior_shows_the_whole_rope(results: Any) -> None:
    results["settings"]["rope"] = 0.9
    x = np.asarray(plots.posterior(results).lines[0].get_xdata())
    assert x.min() <= -90
    assert x.max() >= 90


@pytest.mark.parametrize(
    ("name", "absent", "remedy"),
    [
        ("spectrum", ("where",), "where=True"),
        ("learning_curve", ("learning_curve",), "curve=True"),
        ("posterior", ("verdict", "difference"), "in `heads`"),
        ("gains", ("finetune",), "run finetune"),
        ("calibration", ("reliability", "bins"), "again"),
    ],
)
def test_what_was_not_measured_is_refused_with_a_remedy(
    name: str, absent: tuple[str, ...], remedy: str, results: Any
) -> None:
    changed = inner = copy.deepcopy(results)
    for key in absent[:-1]:
        inner = inner[key]
    inner[absent[-1]] = None
    with pytest.raises(UsageError, match=remedy):
        getattr(plots, name)(changed)


def test_maps_have_a_line_for_each_depth(results: Any) -> None:
    one = results["backbones"][0]
    results["backbones"] = [
        {**one, "input_size": size, "cut": cut, "map_shape": [side, side, 8]}
        for size, cut, side in ((96, "a", 12), (64, "a", 8), (64, "b", 4), (96, "b", 6))
    ]
    axes = plots.maps(results)
    drawn = [list(map(list, zip(*line.get_data(), strict=True))) for line in axes.lines]
    assert drawn == [[[64, 64], [96, 144]], [[64, 16], [96, 36]]]
    assert "4×4×8 to 12×12×8" in axes.get_title(loc="left").replace("\n", " ")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([5125, 46085], ["5 k", "10 k", "20 k", "50 k"]),
        ([5125, 2_600_000], ["10 k", "100 k", "1 M"]),
        ([3_233_989, 3_310_789], ["3.23 M", "3.31 M"]),
        ([245, 245], ["245"]),
    ],
)
def test_parameters_have_few_round_ticks(
    counts: list[int], expected: list[str], results: Any
) -> None:
    for number, candidate in enumerate(results["candidates"]):
        candidate["parameters"]["head"] = counts[min(number, 1)]
    axes = plots.cost(results)
    assert [label.get_text() for label in axes.get_xticklabels()] == expected


def test_a_name_that_looks_like_markup_is_drawn_as_it_is(results: Any) -> None:
    name = 'x id="x" href="#y"'
    results["reliability"]["classes"][0]["name"] = name
    drawn = picture("classes", plots.classes, results)
    assert f">{name}<" in drawn.svg
    assert 'id="classes-' in drawn.svg


def title(axes: Any) -> str:
    return " ".join(axes.get_title(loc="left").split())


@pytest.mark.parametrize("name", ["scores", "cost", "spectrum", "learning_curve"])
def test_no_axis_passes_a_hundred_per_cent(name: str, results: Any) -> None:
    axes = getattr(plots, name)(results)
    limits = axes.get_xlim() if name == "scores" else axes.get_ylim()
    assert 0 <= limits[0] < limits[1] <= 100
    perfect = plots.classes(results)
    assert perfect.get_xlim()[1] <= 100
    assert plots.calibration(results).get_xlim() == plots.calibration(results).get_ylim()


def test_no_head_is_called_best_within_the_noise(results: Any) -> None:
    assert title(plots.scores(results)).startswith("No head is ahead beyond the noise; gap is")
    for row, mean in zip(results["candidates"], (0.99, 0.5, 0.5, 0.5), strict=True):
        folds = [mean, mean + 0.01, mean - 0.01]
        score = {"mean": mean, "low": mean - 0.02, "high": mean + 0.01, "folds": folds}
        row["balanced_accuracy"] = score
    results["candidates"][0]["balanced_accuracy"]["folds"] = [0.99, 0.99, 0.99]
    assert title(plots.scores(results)) == "gap scores highest beyond the noise: 99.0 %"


@pytest.mark.parametrize(
    ("recalls", "start"),
    [
        ((0.989, 0.989), "No class stands out beyond the noise: recall is 98.9 to 98.9 %"),
        ((0.9, 0.95), "No class stands out beyond the noise"),
        ((0.5, 0.99), "cat is recognised worst (recall 50.0 %), dog best (99.0 %)"),
    ],
)
def test_classes_differ_only_beyond_the_noise(
    recalls: tuple[float, float], start: str, results: Any
) -> None:
    results["reliability"]["classes"] = [
        {"name": name, "images": 90, "recall": recall, "precision": recall, "f1": recall}
        for name, recall in zip(("cat", "dog"), recalls, strict=True)
    ]
    assert title(plots.classes(results)).startswith(start)


def test_a_rare_class_is_not_called_worst_because_others_differ(results: Any) -> None:
    results["reliability"]["classes"] = [
        {"name": name, "images": n, "recall": recall, "precision": recall, "f1": recall}
        for name, n, recall in (("rare", 2, 0.5), ("cat", 90, 0.6), ("dog", 90, 0.95))
    ]
    assert title(plots.classes(results)).startswith("Classes differ in recall beyond the noise: 50")


def test_the_front_is_not_called_a_difference(results: Any) -> None:
    assert any(w in title(plots.cost(results)) for w in ("No larger head", "noise is not consider"))


def test_a_head_overfits_most_only_if_intervals_are_apart(results: Any) -> None:
    assert "no difference is beyond the noise" in title(plots.overfit(results))
    gaps = [row["overfit_gap"] for row in results["candidates"]]
    for gap, mean in zip(gaps, (0.4, 0.1, 0.1, 0.1), strict=True):
        gap |= {"mean": mean, "low": mean - 0.02, "high": mean + 0.02}
    assert title(plots.overfit(results)).startswith("gap overfits most, by 40.0 points; ")


def test_calibration_is_called_off_only_beyond_the_noise(results: Any) -> None:
    assert "calibrat" in title(plots.calibration(results))  # of version 1
    reliability = results["reliability"]
    reliability["temperature"] |= {"ece_expected": 0.05, "value": 1.0}
    confidence = {"probability": 0.9, "accuracy": 0.85, "low": 0.8, "high": 0.95}
    reliability["confidence"] = confidence
    found = title(plots.calibration(results))
    assert "gap is calibrated on average, within the noise: calibration error" in found
    assert found.endswith("no temperature improves it")
    confidence["high"] = 0.89
    assert "gap is overconfident by 5.0 points, " in title(plots.calibration(results))
