from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.optimize import nnls

from headfit.report.text.learning_curve import refusal as words
from headfit.study.learning_curve import powerlaw
from headfit.study.learning_curve.powerlaw import (
    ErrorCurve,
    Forecast,
    Laws,
    fit,
    predicted,
    refusal,
)

SIZES = np.array([28, 40, 56, 80, 112, 159, 225, 318, 450, 636, 900])
LAWS = [(2.0, 0.6, 0.02), (1.0, 0.3, 0.0), (3.0, 0.8, 0.1)]


def law(a: float, b: float, c: float) -> Laws:
    return Laws(*(np.array([value]) for value in (a, b, c)))


def simulated(rng, a, b, c, seeds: int = 10, sizes=SIZES) -> ErrorCurve:
    """Errors around a law: each seed has its own test fold, and smaller parts more noise."""
    true = law(a, b, c).at(sizes)[0]
    fold = 0.01 * rng.normal(size=(seeds, 1))
    part = 0.01 * rng.normal(size=(seeds, len(sizes))) * np.sqrt(true / true[-1])
    return ErrorCurve(sizes, np.maximum(true + fold + part, 0), seeds)


@pytest.mark.parametrize(("a", "b", "c"), LAWS)
def test_a_law_without_noise_is_recovered(a, b, c):
    found = fit(SIZES, law(a, b, c).at(SIZES), np.ones(len(SIZES)))
    assert found.b == pytest.approx(b, rel=0.02)  # the grid's step
    assert found.a == pytest.approx(a, rel=0.07)
    assert found.c == pytest.approx(c, abs=3e-3)
    wanted = law(a, b, c).at([900, 3600])
    np.testing.assert_allclose(found.at([900, 3600]), wanted, atol=2e-3)


@pytest.mark.parametrize("limit", [np.inf, 3600])
def test_the_fit_is_the_best_of_all_exponents_by_scipys_nnls(limit):
    rng = np.random.default_rng(0)
    # of any shape, so that both bounds come into play
    errors = np.concatenate([rng.random((10, 11)), np.sort(rng.random((10, 11)))[:, ::-1] ** 2])
    weights = rng.random(11) + 0.1
    found = fit(SIZES, errors, weights, limit)
    for number, curve in enumerate(errors):
        best = np.inf
        for b in powerlaw.EXPONENTS:
            columns = np.stack([SIZES**-b - limit**-b, np.ones(11)], axis=1)
            root = np.sqrt(weights)
            best = min(best, nnls(columns * root[:, None], curve * root)[1] ** 2)
        residuals = curve - found.at(SIZES)[number]
        assert weights @ residuals**2 == pytest.approx(best, rel=1e-6, abs=1e-12)
        assert found.a[number] >= 0
        assert found.at(limit if np.isfinite(limit) else 1e30)[number, 0] >= -1e-12


def test_the_interval_holds_the_law_that_the_errors_came_from():
    true = LAWS[0]
    found = Forecast.of(simulated(np.random.default_rng(1), *true))
    for value, (_, low, high) in zip(true, found.parameters().values(), strict=True):
        assert low <= value <= high
    for size in (100, 900, 3600):
        mean, low, high = found.error(size)
        assert low <= law(*true).at(size)[0, 0] <= high
        assert low <= mean <= high
        assert high - low < 0.05


def covered(true: tuple[float, float, float], simulations: int) -> np.ndarray:
    """Share of intervals that hold the true error at 2N, the true gain; the same at half width."""
    rng = np.random.default_rng(2)
    error, (before, after) = law(*true).at(1800)[0, 0], law(*true).at([1000, 2000])[0]
    hits = np.zeros(4)
    for seed in range(simulations):
        found = Forecast.of(simulated(rng, *true), seed)
        pairs = [(error, found.error(1800)), (before - after, found.gain(1000, 2000))]
        for number, (value, (mean, low, high)) in enumerate(pairs):
            hits[number] += low <= value <= high
            hits[2 + number] += mean - (mean - low) / 2 <= value <= mean + (high - mean) / 2
    return hits / simulations


def test_intervals_cover_what_they_should_and_narrower_ones_would_not(monkeypatch):
    monkeypatch.setattr(powerlaw, "RESAMPLES", 200)
    error, gain, narrow_error, narrow_gain = covered(LAWS[0], 150)
    # standard error 0.018; 200 resamples cost some coverage
    assert 0.89 <= error <= 0.995 and 0.89 <= gain <= 0.995
    assert narrow_error < 0.85 and narrow_gain < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("true", LAWS)
def test_coverage_is_near_nominal_also_where_the_least_error_is_zero(true):
    error, gain, narrow_error, narrow_gain = covered(true, 300)
    assert min(error, gain) >= 0.89 and max(error, gain) <= 0.995
    assert max(narrow_error, narrow_gain) < 0.89


def test_an_estimate_with_no_least_error_is_not_at_the_edge_of_its_interval():
    # falls faster than any law with c > 0 lets it
    found = Forecast.of(simulated(np.random.default_rng(14), 1.0, 0.3, -0.02))
    assert found.law.c == 0
    for mean, low, high in (found.error(1800), found.gain(900, 1800)):
        assert high - mean > 0.1 * (high - low)
        assert mean - low > 0.1 * (high - low)


@pytest.mark.slow
@pytest.mark.parametrize("true", [(8.0, 1.25, 0.0), (4.0, 0.8, 0.0), (2.0, 0.5, 0.02)])
def test_coverage_holds_for_counts_of_few_errors(true):
    rng = np.random.default_rng(13)
    error, chances = law(*true).at(1800)[0, 0], law(*true).at(SIZES)[0]
    hits = 0
    for seed in range(300):
        errors = rng.binomial(90, chances, size=(10, len(SIZES))) / 90
        _, low, high = Forecast.of(ErrorCurve(SIZES, errors, 10), seed).error(1800)
        hits += low <= error <= high
    assert 0.89 <= hits / 300 <= 0.995


def test_seeds_tested_on_the_same_images_make_no_interval_narrower():
    errors = simulated(np.random.default_rng(3), *LAWS[0], seeds=5).errors
    five = Forecast.of(ErrorCurve(SIZES, errors, 5)).error(1800)
    twice = Forecast.of(ErrorCurve(SIZES, np.concatenate([errors, errors]), 5)).error(1800)
    believed = Forecast.of(ErrorCurve(SIZES, np.concatenate([errors, errors]), 10)).error(1800)
    assert twice.high - twice.low == pytest.approx(five.high - five.low, rel=0.15)
    assert believed.high - believed.low < 0.7 * (five.high - five.low)


def test_a_law_is_seldom_refused_and_predicts_its_largest_size():
    rng = np.random.default_rng(4)
    reasons = [refusal(simulated(rng, *true)) for true in LAWS for _ in range(20)]
    assert sum(reason is not None for reason in reasons) <= 3


def test_noise_alone_is_refused():
    rng = np.random.default_rng(5)
    flat = [ErrorCurve(SIZES, 0.5 + 0.03 * rng.normal(size=(10, 11)), 10) for _ in range(60)]
    reasons = [refusal(measured) for measured in flat]
    assert sum(reason is None for reason in reasons) <= 2
    first = words(next(filter(None, reasons)))
    assert re.match(r"the error does not fall with more images beyond its noise \([45]", first)


@pytest.mark.parametrize("beyond", [0.10, 0.45])  # it goes on to fall faster; it rises again
def test_a_curve_that_bends_is_refused_because_its_first_half_does_not_predict_it(beyond):
    rng = np.random.default_rng(6)
    true = np.where(SIZES <= 450, 0.2 + 2 * SIZES**-0.6, beyond)
    errors = true + 0.005 * rng.normal(size=(10, len(SIZES)))
    reason = words(refusal(ErrorCurve(SIZES, errors, 10)))
    assert reason.startswith("the curve up to 450 images predicts an error of 2")
    assert f"at 900, but {100 * errors[:, -1].mean():.1f} % was measured" in reason


def test_too_few_sizes_are_refused():
    sizes = np.array([20, 28, 40, 56, 80])
    measured = simulated(np.random.default_rng(7), *LAWS[0], sizes=sizes)
    assert words(refusal(measured)) == (
        "only 3 sizes up to half of 80 training images could be measured; 4 are needed"
    )


def test_errors_without_noise_are_refused_not_divided_by():
    assert refusal(ErrorCurve(SIZES, np.zeros((10, 11)), 10)).reason == "no_fall"
    falls = np.tile(law(*LAWS[0]).at(SIZES), (10, 1))  # all seeds agree to the digit
    assert words(refusal(ErrorCurve(SIZES, falls, 10))) == (
        "the errors up to 450 images do not vary, so their noise is unknown"
    )
    with pytest.raises(ValueError, match="without any noise"):
        Forecast.of(ErrorCurve(SIZES, falls, 10))


def test_a_largest_size_without_any_error_is_not_taken_for_certain():
    rng = np.random.default_rng(8)
    refused = zero = 0
    for _ in range(40):
        errors = rng.binomial(90, 8 * SIZES**-1.25, size=(10, len(SIZES))) / 90  # 0.16 % at 900
        measured = ErrorCurve(SIZES, errors, 10)
        if errors[:, -1].any():
            continue
        zero += 1
        refused += refusal(measured) is not None
        assert predicted(measured).high > 2e-3
    assert zero >= 5 and refused <= zero / 4


def test_nothing_is_said_beyond_four_times_the_images():
    found = Forecast.of(simulated(np.random.default_rng(9), *LAWS[0]))
    assert found.limit == 3600
    found.gain(900, 3600)
    for ask in (lambda: found.error(3601), lambda: found.gain(900, 3601), lambda: found.error(0)):
        with pytest.raises(ValueError, match="1 to 3600 images"):
            ask()


def test_equal_seeds_give_equal_forecasts():
    measured = simulated(np.random.default_rng(12), *LAWS[0])
    assert Forecast.of(measured, 1).error(1800) == Forecast.of(measured, 1).error(1800)
    assert Forecast.of(measured, 1).error(1800) != Forecast.of(measured, 2).error(1800)


@pytest.mark.parametrize(
    ("errors", "independent"),
    [(np.zeros((1, 11)), 2), (np.zeros((3, 4)), 2), (np.full((3, 11), np.nan), 2), (-1, 2), (0, 1)],
)
def test_what_is_no_set_of_curves_is_refused(errors, independent):
    with pytest.raises(ValueError, match="errors must be"):
        ErrorCurve(SIZES, np.broadcast_to(errors, getattr(errors, "shape", (3, 11))), independent)
