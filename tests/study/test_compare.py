import math
from functools import partial

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import gamma

from headfit.errors import UsageError
from headfit.fitting.metrics import balanced_accuracies
from headfit.study.comparison import compare, planning, selection
from headfit.study.protocol.splits import make_splits

# Mean .03; deviations −.01 .01 −.03 .03 0, squares sum to .002, so s² = .0005.
# SE = √(.0005 · (1/5 + 1/4)) = √.000225 = .015; t = .03/.015 = 2 with 4 degrees of freedom,
# two-sided p = .1161; the interval is .03 ± 2.7764 · .015 (Student's table).
BY_HAND = np.array([0.02, 0.04, 0.00, 0.06, 0.03])


def density(x, mean, se, df):
    """Student's t, written out."""
    scale = gamma((df + 1) / 2) / (gamma(df / 2) * math.sqrt(df * math.pi) * se)
    return scale * (1 + ((x - mean) / se) ** 2 / df) ** (-(df + 1) / 2)


def test_corrected_t_equals_the_computation_by_hand():
    found = compare.corrected_t(BY_HAND, folds=5, rope=0.01)
    assert (found.mean, found.se, found.df) == (pytest.approx(0.03), pytest.approx(0.015), 4)
    assert found.p_value == pytest.approx(0.1161, abs=5e-5)
    assert found.low == pytest.approx(0.03 - 2.7764 * 0.015, abs=1e-6)
    assert found.high == pytest.approx(0.03 + 2.7764 * 0.015, abs=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_posterior_equals_student_t_and_a_numeric_integral(sign):
    found = compare.corrected_t(sign * BY_HAND, folds=5, rope=0.01)
    posterior = stats.t(df=4, loc=sign * 0.03, scale=0.015)
    assert found.p_better == pytest.approx(posterior.sf(0.01))
    assert found.p_rope == pytest.approx(posterior.cdf(0.01) - posterior.cdf(-0.01))
    inside, _ = quad(density, -0.01, 0.01, args=(sign * 0.03, 0.015, 4))
    above, _ = quad(density, 0.01, np.inf, args=(sign * 0.03, 0.015, 4))
    assert (found.p_rope, found.p_better) == (pytest.approx(inside), pytest.approx(above))


def test_the_same_head_twice_does_not_differ():
    found = compare.corrected_t(np.zeros(50), folds=10, rope=0.01)
    assert (found.mean, found.p_value, found.p_rope, found.p_better) == (0, 1, 1, 0)


def test_a_constant_difference_has_no_known_noise():
    found = compare.corrected_t(np.full(10, 0.1) + 1e-17, folds=5, rope=0.01)
    assert found.mean == pytest.approx(0.1)
    assert all(map(math.isnan, (found.p_value, found.p_rope, found.p_better, found.se, found.low)))


@pytest.mark.parametrize("rope", [0.0, -0.01, 1.0, math.nan])
def test_a_rope_that_is_no_fraction_is_refused(rope):
    with pytest.raises(UsageError, match=r"one point is 0\.01"):
        compare.corrected_t(BY_HAND, folds=5, rope=rope)


def test_a_failed_fold_is_refused():
    with pytest.raises(ValueError, match="finite"):
        compare.corrected_t(np.array([0.1, math.nan]), folds=2, rope=0.01)


def test_interval_of_one_score_is_cut_at_its_range():
    values = BY_HAND + 0.95
    mean, low, high = compare.corrected_interval(values, 5, lower=0.0, upper=1.0)
    assert (mean, high) == (pytest.approx(0.98), 1.0)
    assert low == pytest.approx(0.98 - 2.7764 * 0.015, abs=1e-6)


def test_interval_leaves_out_folds_without_a_value():
    assert compare.corrected_interval(np.append(BY_HAND, np.nan), 5) == pytest.approx(
        compare.corrected_interval(BY_HAND, 5)
    )
    assert np.isnan(compare.corrected_interval(np.full(3, np.nan), 3)).all()
    assert np.isnan(compare.corrected_interval(np.array([0.5, np.nan]), 2)[1:]).all()


def test_holm_adjusts_a_known_example():
    # .005·4 = .02; .01·3 = .03; .03·2 = .06; .04·1 = .04, raised to .06.
    adjusted = compare.holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])


def test_holm_counts_an_unknown_p_value_and_keeps_it_unknown():
    np.testing.assert_allclose(compare.holm(np.array([0.02, np.nan])), [0.04, np.nan])
    np.testing.assert_allclose(compare.holm(np.array([0.6, 0.7])), [1.0, 1.0])


def test_a_study_of_the_planned_size_finds_the_minimal_detectable_difference():
    # Power of the test that rejects at t.975 when the truth lies mde/SE standard errors away.
    mde = planning.minimal_detectable(0.01, df=49)
    shift = stats.t.ppf(0.975, 49) - mde / 0.01
    assert stats.t.sf(shift, 49) == pytest.approx(0.80)


@pytest.mark.parametrize("lead", [0.0, 0.01, 0.03])
def test_a_study_of_the_planned_size_is_decided_four_times_out_of_five(lead):
    rng, df, sets = np.random.default_rng(0), 49, 4000
    known = compare.corrected_t(lead + 0.03 * np.resize([-1.0, 1.0], 50), 10, 0.01)
    images = planning.images_needed(200, known, 0.01)
    truth = known.mean + known.se * rng.standard_t(df, sets)
    se = known.se / math.sqrt(images / 200)
    estimate = truth + se * rng.normal(size=sets)
    ahead = estimate > stats.t.ppf(0.975, df) * se
    excluded = stats.t.sf((0.01 - estimate) / se, df) <= 0.05
    # standard error .0063
    assert np.mean(ahead | excluded) == pytest.approx(0.8, abs=0.02)


def test_the_cheapest_head_within_one_standard_error_is_chosen():
    noise = np.array([0.02, -0.02, 0.01, -0.01, 0.0])
    best = np.full(5, 0.9)
    near, far = best - 0.005 + noise, best - 0.1 + noise
    scores = np.stack([best, near, far])
    assert selection.cheapest_within_one_se(scores, np.array([100, 50, 10]), 5) == 1
    assert selection.cheapest_within_one_se(scores, np.array([50, 50, 10]), 5) == 0
    assert selection.cheapest_within_one_se(scores, np.array([10, 50, 100]), 5) == 0


def test_the_threshold_of_the_choice_is_one_corrected_standard_error():
    best = np.full(5, 0.5)
    parameters = np.array([2, 1])
    for factor, chosen in ((0.999, 1), (1.001, 0)):
        behind = BY_HAND - 0.03 + factor * 0.015
        scores = np.stack([best, best - behind])
        assert selection.cheapest_within_one_se(scores, parameters, 5) == chosen


def test_equal_heads_go_to_the_fewer_parameters_then_to_the_first():
    scores = np.stack([BY_HAND, BY_HAND, BY_HAND])
    assert selection.cheapest_within_one_se(scores, np.array([3, 2, 2]), 5) == 1
    assert selection.cheapest_within_one_se(scores, np.array([2, 2, 2]), 5) == 0


def expected(correct, labels, parameters, **options):
    score = partial(balanced_accuracies, correct, labels)
    return selection.expected_score(score, parameters, len(labels), **options)


def slow_expected_score(correct, labels, parameters, draws):
    """BBC-CV as one would write it down, bag by bag."""

    def balanced(images, head):
        classes = np.unique(labels[images])
        return np.mean([correct[head, images[labels[images] == c]].mean() for c in classes])

    scores = []
    for bag in draws:
        outside = np.setdiff1d(np.arange(len(labels)), bag)
        inside = np.round([balanced(bag, h) for h in range(len(correct))], 12)
        tied = np.flatnonzero(inside == inside.max())
        scores.append(balanced(outside, tied[np.argmin(parameters[tied])]))
    return np.mean(scores)


def test_expected_score_equals_a_loop_over_bags():
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1, 2], [20, 12, 8])
    correct = rng.integers(0, 6, size=(4, 40)) / 5
    parameters = np.array([4, 3, 2, 1])
    draws = np.random.default_rng(0).integers(40, size=(100, 40))
    found = expected(correct, labels, parameters, seed=0, bootstraps=100)
    assert found[0] == pytest.approx(slow_expected_score(correct, labels, parameters, draws))
    assert found[1] < found[0] < found[2]


def test_choosing_among_heads_that_guess_is_expected_to_score_chance():
    labels, parameters = np.repeat([0, 1], 50), np.ones(20, int)
    rng = np.random.default_rng(0)
    best, scores = [], []
    for seed in range(40):
        correct = rng.integers(0, 2, size=(20, 100)).astype(float)
        best.append(correct.mean(axis=1).max())
        found = expected(correct, labels, parameters, seed=seed, bootstraps=100)
        scores.append(found[0])
    assert np.mean(best) > 0.57
    assert np.mean(scores) == pytest.approx(0.5, abs=0.02)


def test_margins_make_the_bags_choose_the_cheaper_head():
    labels = np.repeat([0, 1], 50)
    correct = np.stack([np.ones(100), np.arange(100) % 10 > 0])
    options = {"seed": 0}
    strict = expected(correct, labels, np.array([2, 1]), **options)
    lenient = expected(correct, labels, np.array([2, 1]), margins=np.full((2, 2), 0.5), **options)
    assert strict == (1.0, 1.0, 1.0)
    assert lenient[0] == pytest.approx(0.9, abs=0.005)


def test_groups_are_drawn_as_wholes_and_widen_the_interval():
    rng = np.random.default_rng(0)
    labels, groups = np.repeat([0, 1], 100), np.arange(200) // 10
    correct = np.repeat(rng.random(20) < 0.7, 10)[None].astype(float)
    alone = expected(correct, labels, np.array([1]), seed=0)
    grouped = expected(correct, labels, np.array([1]), seed=0, groups=groups)
    assert grouped[2] - grouped[1] > 2 * (alone[2] - alone[1])
    one_group = np.zeros(200, int)
    assert np.isnan(expected(correct, labels, np.array([1]), seed=0, groups=one_group)).all()


def fold_scores(features, labels, splits):
    """Accuracies of a ridge classifier that is trained anew for each fold."""
    x, y = np.column_stack([np.ones(len(labels)), features]), 2.0 * labels - 1
    scores = []
    for repeat in range(splits.repeats):
        for fold in range(splits.folds):
            train, test = splits.indices(repeat, fold)
            inner = x[train].T @ x[train] + np.eye(x.shape[1])
            weights = np.linalg.solve(inner, x[train].T @ y[train])
            scores.append(np.mean((x[test] @ weights > 0) == (y[test] > 0)))
    return np.array(scores)


@pytest.mark.slow
def test_two_equal_heads_are_rarely_called_different_by_the_corrected_test_only():
    rng = np.random.default_rng(0)
    corrected, naive = [], []
    for seed in range(300):
        labels = rng.permutation(np.repeat([0, 1], 75))
        signal = 0.4 * (2 * labels - 1)[:, None]
        splits = make_splits(labels, folds=5, repeats=5, seed=seed)
        a, b = (fold_scores(signal + rng.normal(size=(150, 5)), labels, splits) for _ in range(2))
        corrected.append(compare.corrected_t(a - b, folds=5, rope=0.01).p_value < 0.05)
        naive.append(stats.ttest_rel(a, b).pvalue < 0.05)
    assert np.mean(corrected) <= 0.08
    assert np.mean(naive) > 0.2
