"""The mathematics against independent implementations: scikit-learn, baycomp, paper and pencil."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import baycomp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from headfit.backbones.catalog import find
from headfit.features.store import FeatureMaps
from headfit.fitting.exact.logistic import EXACT_STEPS, minimise, origin
from headfit.fitting.exact.method import Exact
from headfit.fitting.metrics import balanced_accuracies
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.softmax import softmax
from headfit.heads.chain import parse_head
from headfit.images.index import ImageIndex
from headfit.progress import Callback
from headfit.runs import map_source as maps
from headfit.runs.map_source import MapSource
from headfit.runs.options import Options
from headfit.study.comparison import compare, selection
from photos import write_folder
from simulations import maps_of, problem_of

# of fits without a path behind them, judged on images that they were not trained on
FULL = 1e-6
PENALTIES = (1e-1, 1e-3, 1e-5)


def generated(classes: int, n: int = 96) -> tuple[FeatureMaps, np.ndarray]:
    """Maps (n, 4, 4, 12) with a part of the signal everywhere and a part at one position."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    maps = rng.normal(size=(n, 4, 4, 12)) + rng.normal(size=(classes, 1, 1, 12))[labels] / 2
    maps[:, 1, 2] += rng.normal(size=(classes, 12))[labels]
    return maps_of(np.maximum(maps, 0)), labels


def digits() -> tuple[FeatureMaps, np.ndarray]:
    """Scanned digits as maps (200, 2, 2, 16)."""
    pixels, labels = load_digits(return_X_y=True)
    tiles = pixels[:200].reshape(-1, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4)
    return maps_of(tiles.reshape(-1, 2, 2, 16)), labels[:200]


def photographs(folder: Path) -> tuple[FeatureMaps, np.ndarray]:
    """What the embedded backbone makes of 45 pictures: maps (45, 2, 2, 1280)."""
    index = ImageIndex.from_directory(write_folder(folder, 15))
    spec = find("efficientnet_lite0")
    source = MapSource(spec, spec.contract(64), "imagenet", Options(), Callback())
    (found,) = maps.maps_of([source], index)
    return found.maps, index.labels


def scikit(
    features: np.ndarray, labels: np.ndarray, training: np.ndarray, penalty: float
) -> np.ndarray:
    """Probabilities by scikit-learn, of the features as they are.

    headfit's penalty λ is relative to the mean square norm s² of the centred features and to the
    mean loss of the images trained on, hence C = 1/(λ s² n).
    """
    x = features.astype(np.float64)
    x -= x.mean(axis=0)
    s = math.sqrt(np.square(x).sum() / len(x))
    # two columns share the penalty of one: each takes half the weight, (λ/2)(2·‖w/2‖²)
    strength = penalty / 2 if labels.max() == 1 else penalty
    c = 1 / (strength * training.sum())
    model = LogisticRegression(C=c, solver="newton-cg", tol=1e-9, max_iter=1000)
    return model.fit(x[training] / s, labels[training]).predict_proba(x / s)


def assert_agreement(maps: FeatureMaps, labels: np.ndarray, name: str, penalty: float) -> None:
    """Hold the folds and the fit on all images against scikit-learn."""
    head = parse_head(name)
    pooled = PooledFeatures(maps, (head.pooling,))
    raw = np.concatenate([piece for _, piece in maps.chunks()])
    features = raw.mean(axis=(1, 2)) if name == "gap" else raw.reshape(len(raw), -1)
    problem = problem_of(labels, folds=3, repeats=1, seed=0)
    z = pooled.coordinates(head.pooling, None).z.astype(np.float64)
    rows = problem.kind.rows(z, problem.targets)
    masks = np.stack([problem.splits.assignment[0] != fold for fold in range(3)])
    point = minimise(rows, masks, np.full(3, penalty), [origin(rows, 3)], FULL, EXACT_STEPS)
    assert point.converged.all()
    for mask, logits in zip(masks, point.logits, strict=True):
        wanted = scikit(features, labels, mask, penalty)
        np.testing.assert_allclose(softmax(logits.T), wanted, atol=1e-4)
    fitted = Exact(head, pooled).refit(problem, {"shape": None, "penalty": penalty})
    wanted = scikit(features, labels, np.ones(len(labels), bool), penalty)
    np.testing.assert_allclose(fitted.probabilities_of(maps), wanted, atol=1e-4)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("head", ["gap", "flatten"])  # 12 and 192 features of 96 images
@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities_of_generated_maps_are_those_of_scikit_learn(classes, head, penalty):
    assert_agreement(*generated(classes), head, penalty)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("head", ["gap", "flatten"])
def test_probabilities_of_scanned_digits_are_those_of_scikit_learn(head, penalty):
    assert_agreement(*digits(), head, penalty)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["gap", "flatten"])  # 1,280 and 5,120 features of 45 images
def test_probabilities_of_a_backbones_maps_are_those_of_scikit_learn(head, tmp_path):
    maps, labels = photographs(tmp_path)
    for penalty in PENALTIES:
        assert_agreement(maps, labels, head, penalty)


# Scores of two heads on the folds of 1×5: d = .05 .05 .00 .10 .00, mean .04; squared deviations
# .0001 .0001 .0016 .0036 .0016 sum to .0070, so s² = .0070/4 = .00175 and
# SE² = .00175 · (1/5 + 1/4) = .0007875, SE = .028062; t = .04/.028062 = 1.4254 with 4 degrees of
# freedom. Student's table: t.975 = 2.7764.
ONE_BY_FIVE = ([0.80, 0.85, 0.90, 0.75, 0.85], [0.85, 0.90, 0.90, 0.85, 0.85])
# 5×10: 25 folds differ by +.05 and 25 by −.01, mean .02, every deviation .03, so
# s² = 50 · .0009/49 = .00091837 and SE² = .00091837 · (1/50 + 1/9) = .00012041, SE = .010973;
# t = .02/.01097299 = 1.8226 with 49 degrees of freedom; t.975 = 2.0096.
FIVE_BY_TEN = ([0.80] * 50, [0.85, 0.79] * 25)


@pytest.mark.parametrize(
    ("scores", "folds", "mean", "se", "t", "t975"),
    [
        (ONE_BY_FIVE, 5, 0.04, 0.028062, 1.4254, 2.7764),
        (FIVE_BY_TEN, 10, 0.02, 0.010973, 1.8226, 2.0096),
    ],
    ids=["1x5", "5x10"],
)
def test_the_corrected_t_is_that_of_paper_and_pencil(scores, folds, mean, se, t, t975):
    differences = np.subtract(scores[1], scores[0])
    found = compare.corrected_t(differences, folds, rope=0.01)
    assert found.mean == pytest.approx(mean, abs=1e-12)
    assert found.se == pytest.approx(se, abs=5e-7)
    assert found.mean / found.se == pytest.approx(t, abs=5e-5)
    assert found.p_value == pytest.approx(2 * stats.t.sf(t, len(differences) - 1), abs=2e-5)
    assert found.low == pytest.approx(mean - t975 * se, abs=5e-6)
    assert found.high == pytest.approx(mean + t975 * se, abs=5e-6)
    # the test that takes folds for independent has a standard error of s/√n, far too small
    naive = stats.ttest_1samp(differences, 0.0)
    assert found.se / (mean / naive.statistic) == pytest.approx(
        math.sqrt(1 + len(differences) / (folds - 1))
    )


@settings(max_examples=60, deadline=None)
@given(
    folds=st.integers(2, 10),
    runs=st.integers(1, 10),
    rope=st.floats(1e-4, 0.2),
    lead=st.floats(-0.1, 0.1),
    spread=st.floats(1e-3, 0.3),
    seed=st.integers(0, 2**16),
)
def test_the_posterior_is_that_of_baycomp(folds, runs, rope, lead, spread, seed):
    gap, flatten = np.random.default_rng(seed).normal(0.8, spread, (2, runs * folds))
    flatten += lead
    found = compare.corrected_t(flatten - gap, folds, rope)
    p_worse, p_rope, p_better = baycomp.two_on_single(gap, flatten, rope=rope, runs=runs)
    assert found.p_better == pytest.approx(p_better, abs=1e-6)
    assert found.p_rope == pytest.approx(p_rope, abs=1e-6)
    assert 1 - found.p_better - found.p_rope == pytest.approx(p_worse, abs=1e-6)


def rejected_one_by_one(p_values: np.ndarray, alpha: float) -> np.ndarray:
    """Holm's procedure as he wrote it: the least p first, until one is too large."""
    rejected = np.zeros(len(p_values), bool)
    for step, number in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[number] > alpha / (len(p_values) - step):
            break
        rejected[number] = True
    return rejected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.999))
def test_adjusted_p_values_reject_what_holms_procedure_rejects(p_values, alpha):
    p = np.array(p_values)
    adjusted = compare.holm(p)
    assume(not np.isclose(adjusted, alpha, rtol=1e-9).any())  # where rounding decides
    np.testing.assert_array_equal(adjusted <= alpha, rejected_one_by_one(p, alpha))
    assert (adjusted >= p).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_holm_keeps_the_rate_over_eight_heads_that_are_as_good_as_gap():
    rng = np.random.default_rng(0)
    heads = rng.normal(size=(4000, 9))
    apart = (heads[:, 1:] - heads[:, :1]) / math.sqrt(2)  # all against the same one
    p_values = 2 * stats.norm.sf(np.abs(apart))
    corrected = np.mean([compare.holm(row).min() < 0.05 for row in p_values])
    # 95 % of samples of 4,000 at a rate of .05 have at most .056
    assert corrected <= stats.binom.ppf(0.95, 4000, 0.05) / 4000
    assert np.mean(p_values.min(axis=1) < 0.05) > 0.2


def test_the_expected_score_is_not_that_of_the_best_but_that_of_the_chosen():
    rng = np.random.default_rng(0)
    accuracy = np.linspace(0.70, 0.73, 9)  # of heads that are nearly alike
    labels, parameters = np.repeat([0, 1], 75), np.arange(1, 10)
    optimism = []
    for seed in range(120):
        correct = (rng.random((9, 150)) < accuracy[:, None]).astype(float)
        observed = correct.mean(axis=1)
        expected, low, high = selection.expected_score(
            partial(balanced_accuracies, correct, labels),
            parameters,
            len(labels),
            seed=seed,
            bootstraps=200,
        )
        truth = accuracy[observed.argmax()]
        optimism.append((observed.max() - truth, expected - truth, low <= truth <= high))
    best, corrected, covered = np.mean(optimism, axis=0)
    # standard error of both means .003
    assert best > 0.03
    assert abs(corrected) < 0.012
    assert covered > 0.9
