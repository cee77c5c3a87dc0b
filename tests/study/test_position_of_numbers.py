"""Numbers that are positions: gap must fail. The same maps with another number: it must not."""

from __future__ import annotations

import numpy as np
import pytest

from headfit.fitting.exact.method import Exact
from headfit.heads.chain import parse_head
from headfit.images.targets import Targets
from headfit.study.position.perturbation import position_use
from headfit.study.position.spectrum import leading_prior, spectrum
from simulations import cross_validated, pooled_of, problem_of

IMAGES, SIDE, CHANNELS = 300, 4, 8
HEADS = tuple(map(parse_head, ("gap", "gmp", "flatten")))


def discs(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw maps with one bright spot, where it is, (n, 2), and how bright, (n, 1)."""
    rng = np.random.default_rng(seed)
    maps = 0.5 * np.abs(rng.normal(size=(IMAGES, SIDE, SIDE, CHANNELS)))
    rows, columns = rng.integers(SIDE, size=(2, IMAGES))
    bright = rng.uniform(10, 40, IMAGES)
    maps[np.arange(IMAGES), rows, columns, 0] += bright
    return maps, np.stack([columns, rows], axis=1).astype(float), bright[:, None]


@pytest.mark.parametrize("seed", range(3))
def test_a_position_needs_flatten(seed: int) -> None:
    maps, where, _ = discs(seed)
    problem = problem_of(Targets.of_numbers(("x", "y"), where), 5, 2, seed)
    pooled = pooled_of(maps, HEADS)
    outcome = cross_validated([(head, pooled) for head in HEADS], problem)
    gap, blind, flatten = outcome.scores.mean(axis=1)
    assert flatten > 0.8 and max(gap, blind) < 0.1
    assert outcome.contrast([head.name for head in HEADS]).word == "necessary"
    curve = spectrum(pooled, problem, {})
    assert curve.best < 1 and curve.metric == "r2" and curve.loss == "rmse"
    assert leading_prior(curve.to_dict()) is not None
    kernels, biases = Exact(HEADS[2], pooled).fold_models(problem, outcome.found[2].choices)
    use = position_use(pooled.maps, problem, kernels, biases)
    assert use.plain.mean() > 0.8 and use.shuffled.mean() < 0.1
    assert use.projected.mean() < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_the_brightness_of_the_same_spots_does_not(seed: int) -> None:
    maps, _, bright = discs(seed)
    problem = problem_of(Targets.of_numbers(("brightness",), bright), 5, 2, seed)
    pooled = pooled_of(maps, HEADS)
    outcome = cross_validated([(head, pooled) for head in HEADS], problem)
    assert outcome.scores[0].mean() > 0.5
    assert outcome.contrast([head.name for head in HEADS]).word in ("not_necessary", "equivalent")
    assert spectrum(pooled, problem, {}).nearest_gap == 1.0
