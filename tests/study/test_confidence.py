"""What is said of calibration holds on heads whose probabilities are true."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from headfit.report.text.reliability import leaning
from headfit.study.reliability.calibration import calibrate, scale
from headfit.study.reliability.confidence import calibration_error, confidence_of

SETS = 300
LIMIT = 0.05 + 3 * np.sqrt(0.05 * 0.95 / SETS)


def draw(seed: int, n: int, size: int = 1, sharpness: float = 1.0) -> tuple[np.ndarray, ...]:
    """Draw probabilities of ``size`` equal images in each group, labels from them, and groups."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n // size, 3)).repeat(size, axis=0)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = rng.random(n // size).repeat(size)
    labels = (p.cumsum(axis=1)[:, :-1] <= drawn[:, None]).sum(axis=1)
    return scale(p, 1 / sharpness)[None], labels, np.arange(n) // size


@pytest.mark.parametrize("size", [1, 5])
def test_a_perfectly_calibrated_head_shows_the_expected_error_and_no_leaning(size: int) -> None:
    above, said, by_chance = [], 0, []
    for seed in range(SETS):
        p, labels, groups = draw(seed, 200, size)
        error = calibration_error(p, labels, groups)
        above.append(error.mean - error.expected)
        by_chance.append(error.expected)
        said += bool(leaning(asdict(confidence_of(p, labels, groups))))
    assert abs(np.mean(above)) <= 3 * np.std(above) / np.sqrt(SETS)
    assert np.mean(by_chance) > 0.05
    assert said / SETS <= LIMIT


def test_what_leans_is_told_from_its_side() -> None:
    for sharpness, word in ((2.5, "overconfident"), (0.5, "underconfident")):
        p, labels, groups = draw(0, 400, sharpness=sharpness)
        assert leaning(asdict(confidence_of(p, labels, groups))) == word
        error = calibration_error(p, labels)
        assert error.mean > 1.5 * error.expected


def test_all_right_does_not_show_that_a_head_is_too_unsure() -> None:
    p = np.tile([0.99, 0.01], (1, 100, 1))
    assert not leaning(asdict(confidence_of(p, np.zeros(100, int))))
    assert not leaning(asdict(confidence_of(p, np.arange(100) // 97)))  # three wrong


@pytest.mark.parametrize("size", [1, 20])
def test_no_temperature_is_applied_to_what_is_calibrated(size: int) -> None:
    sets, given = 100, {True: 0, False: 0}
    for seed in range(sets):
        p, labels, groups = draw(seed, 200, size)
        folds = groups[None] % 5
        for grouped in given:
            found = calibrate(p, labels, folds, groups if grouped else None)
            given[grouped] += found.value != 1
    assert given[True] / sets <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sets)
    assert size == 1 or given[False] > given[True]
