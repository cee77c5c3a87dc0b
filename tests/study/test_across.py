"""Statistics over data sets: against published numbers, baycomp, enumeration and known truths."""

from __future__ import annotations

import itertools
import json
import math

import baycomp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from headfit.study.across import effects, ranks
from headfit.study.across.rows import Row, by_data_set, chosen_elsewhere
from headfit.study.across.signed_rank import signed_rank
from headfit.study.across.summary import against_gap, conclude

BOARDS = 250
# accuracies of C4.5 and three variants of it on 14 data sets: Demšar (2006), table 6
DEMSAR = np.array(
    [
        (0.763, 0.768, 0.771, 0.798),
        (0.599, 0.591, 0.590, 0.569),
        (0.954, 0.971, 0.968, 0.967),
        (0.628, 0.661, 0.654, 0.657),
        (0.882, 0.888, 0.886, 0.898),
        (0.936, 0.931, 0.916, 0.931),
        (0.661, 0.668, 0.609, 0.685),
        (0.583, 0.583, 0.563, 0.625),
        (0.775, 0.838, 0.866, 0.875),
        (1.000, 1.000, 1.000, 1.000),
        (0.940, 0.962, 0.965, 0.962),
        (0.619, 0.666, 0.614, 0.669),
        (0.972, 0.981, 0.9751, 0.975),  # printed as equal, ranked 2 and 3
        (0.957, 0.978, 0.946, 0.970),
    ]
)


def row(name: str, lead: float = 0.0, noise: float = 0.0, seed: int = 0, **more) -> Row:
    """One run of gap, flatten and gmp, 2 × 5 folds; flatten leads by so much."""
    rng = np.random.default_rng(seed)
    scores = 0.8 + noise * rng.normal(size=(3, 10)) + np.array([[0], [lead], [0]])
    table = dict(zip(("gap", "flatten", "gmp"), scores.tolist(), strict=True))
    settings = {"backbone": "own", "positions": 49, "images": 500} | more
    return Row(name, metric="balanced_accuracy", scores=table, folds=5, **settings)


def board(count: int, lead=0.0, spread=0.0, seed=0, **more) -> list[Row]:
    """Give rows of data sets of which the leads differ by ``spread``."""
    leads = lead + spread * np.random.default_rng(seed).normal(size=count)
    return [row(f"set{i}", leads[i], 0.01, 100 * seed + i, **more) for i in range(count)]


def test_ranks_and_friedmans_test_are_those_of_demsar():
    np.testing.assert_allclose(ranks.mean_ranks(DEMSAR), [3.143, 2.0, 2.893, 1.964], atol=5e-4)
    squares = (ranks.mean_ranks(DEMSAR) ** 2).sum()
    assert 12 * 14 / 20 * (squares - 25) == pytest.approx(9.28, abs=5e-3)
    found = ranks.friedman(DEMSAR)
    # his numbers leave ties as they are; with the correction for them both are larger
    tied = sum((c**3 - c) for r in DEMSAR for c in np.unique(r, return_counts=True)[1])
    assert found.chi2 * (1 - tied / (14 * 60)) == pytest.approx(9.28, abs=5e-3)
    assert found.f > 3.69 and found.p_value < 0.05
    assert ranks.critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)


def test_the_signed_ranks_of_demsars_example_are_significant():
    # he compares C4.5 with C4.5+m: rank sums 93 and 12, beyond the critical value 21 for α = .05
    p_value = ranks.signed_rank_p(DEMSAR[:, 1] - DEMSAR[:, 0])
    assert p_value == pytest.approx(0.0107, abs=3e-3)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_signed_rank_test_counts_all_signs(values):
    differences = np.array(values) / 100
    sizes = stats.rankdata(np.abs(differences))
    sums = [
        abs((sizes * signs * (differences != 0)).sum())
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    observed = abs((sizes * np.sign(differences)).sum())
    expected = np.mean(np.array(sums) >= observed - 1e-9)
    assert ranks.signed_rank_p(differences) == pytest.approx(expected)


@pytest.mark.parametrize("n", [6, 20, 60])
def test_without_ties_the_signed_rank_test_is_that_of_scipy(n):
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert ranks.signed_rank_p(differences) == pytest.approx(expected)
    for values, side in ((differences, "greater"), (-differences, "less")):
        one_sided = stats.wilcoxon(differences, method="exact", alternative=side).pvalue
        assert ranks.signed_rank_p(values, above=True) == pytest.approx(one_sided)


@pytest.mark.parametrize(("lead", "spread"), [(0.0, 0.02), (0.01, 0.01), (-0.03, 0.02)])
def test_the_posterior_over_data_sets_is_that_of_baycomp(lead, spread):
    rng = np.random.default_rng(3)
    gap = rng.uniform(0.6, 0.9, 12)
    flatten = gap + lead + spread * rng.normal(size=12)
    found = signed_rank(flatten - gap, rope=0.01)
    expected = baycomp.two_on_multiple(gap, flatten, rope=0.01, nsamples=8000, random_state=0)
    np.testing.assert_allclose((found.below, found.equal, found.above), expected, atol=0.025)


def test_heads_alike_are_the_longest_runs_without_a_difference():
    def pair(i, j, p):
        return ranks.Pair(i, j, 0.0, p, p)

    pairs = [pair(0, 1, 0.9), pair(1, 2, 0.5), pair(0, 2, 0.01)]
    assert ranks.alike(np.array([1.0, 2.0, 3.0]), pairs) == [[0, 1], [1, 2]]
    assert ranks.alike(np.array([1.0, 2.0, 3.0]), pairs[:2]) == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("lead", "spread", "word"),
    [(0.04, 0.01, "flatten"), (-0.04, 0.01, "gap"), (0, 0.001, "equal"), (0, 0.05, "undecided")],
)
def test_flatten_against_gap_is_answered_over_data_sets(lead, spread, word):
    found = conclude(board(10, lead, spread))["flatten"]
    assert (found["word"], found["reason"]) == (word, None)
    assert found["low"] < lead < found["high"]
    assert sum(found["posterior"].values()) == pytest.approx(1)


def test_few_data_sets_are_refused_with_the_number_that_is_needed():
    found = conclude(board(5, 0.1))
    assert found["flatten"]["word"] is None and found["flatten"]["posterior"] is None
    assert found["flatten"]["reason"] == {"code": "few", "data_sets": 5, "needed": 6}
    assert found["ranks"]["reason"] == {"code": "few", "data_sets": 5, "needed": 7}
    assert found["associations"]["positions"]["reason"]["needed"] == 8
    assert conclude(board(7, 0.1))["ranks"]["reason"] is None
    json.dumps(found, allow_nan=False)


def test_runs_of_one_data_set_count_once():
    many = [row("set", 0.05, 0.01, seed, positions=4 * (seed + 1)) for seed in range(30)]
    found = conclude(many)
    assert found["averaged"] and len(found["data_sets"]) == 1
    assert found["flatten"]["reason"]["data_sets"] == 1
    twice = conclude([*board(8, 0.02, 0.02), *board(8, 0.02, 0.02)])
    once = conclude(board(8, 0.02, 0.02))
    assert twice["flatten"] == once["flatten"] and twice["ranks"] == once["ranks"]


def test_heads_that_not_every_data_set_has_are_left_out_of_the_ranks():
    rows = board(8)
    rows[0] = Row("set0", "own", rows[0].metric, dict(list(rows[0].scores.items())[:2]), 5, 49, 500)
    found = conclude(rows)["ranks"]
    assert (found["heads"], found["left_out"]) == (["gap", "flatten"], ["gmp"])
    assert found["friedman"] is None and len(found["pairs"]) == 1


def test_rows_of_several_metrics_are_refused():
    other = Row("x", "own", "r2", {"gap": [0.1, 0.2]}, 2, 49, 10)
    with pytest.raises(ValueError, match="one metric, not balanced_accuracy, r2"):
        conclude([row("a"), other])
    with pytest.raises(ValueError, match="finite numbers"):
        Row("x", "own", "r2", {"gap": [0.1, math.nan]}, 2, 49, 10)


def test_the_head_of_a_fold_is_chosen_on_its_other_folds():
    scores = np.array([[0.9, 0.1, 0.1, 0.5, 0.5, 0.5], [0.2, 0.4, 0.3, 0.6, 0.6, 0.6]])
    np.testing.assert_allclose(chosen_elsewhere(scores, 3), [0.2, 0.1, 0.1, 0.6, 0.6, 0.6])


def test_the_best_of_equal_heads_has_no_lead():
    leads = []
    for seed in range(200):
        scores = np.random.default_rng(seed).normal(0.8, 0.03, (8, 10))
        table = {f"head{i}": s.tolist() for i, s in enumerate(scores[1:])}
        one = Row("a", "own", "r2", {"gap": scores[0].tolist(), **table}, 10, 49, 100)
        leads.append(one.best_lead)
        assert one.best_lead < scores.mean(axis=1).max() - scores[0].mean() + 1e-12
    assert np.mean(leads) == pytest.approx(0, abs=3 * np.std(leads) / math.sqrt(200))


def test_an_effect_that_grows_with_the_map_is_found_between_and_within_data_sets():
    sizes = [4, 9, 16, 36, 49, 64, 100, 196, 256, 400]
    rows = [row(f"s{i}", 0.01 * math.log2(p), 0.003, i, positions=p) for i, p in enumerate(sizes)]
    found = conclude(rows)
    assert found["associations"]["positions"]["holm_p_value"] < 0.01
    assert found["associations"]["positions"]["low"] > 0.5
    assert found["associations"]["position_share"]["reason"]["data_sets"] == 0
    assert found["within"]["reason"]["data_sets"] == 0
    larger = [
        row(f"s{i}", 0.01 * math.log2(4 * p), 0.003, 50 + i, positions=4 * p)
        for i, p in enumerate(sizes)
    ]
    within = conclude([*rows, *larger])["within"]
    assert within["low"] < 0.01 < within["high"] and within["p_value"] < 0.01


def test_equal_sizes_of_maps_say_nothing():
    found = conclude(board(9, 0.02, 0.02))["associations"]["positions"]
    assert found["rho"] is None and found["reason"]["code"] == "constant"


def test_data_sets_that_differ_beyond_noise_are_told_from_those_that_do_not():
    differ, same = (conclude(board(10, 0.02, s))["heterogeneity"] for s in (0.08, 0.0))
    assert differ["p_value"] < 0.001 < 0.05 < same["p_value"]
    assert differ["share"] > 0.5


def test_the_standard_error_of_a_data_set_is_not_smaller_for_more_runs():
    one, two = (by_data_set([row("a", 0.02, 0.02, s) for s in range(n)])[0] for n in (1, 2))
    errors = [each.standard_error for each in two.rows]
    assert one.standard_error == errors[0] and two.standard_error == pytest.approx(np.mean(errors))


@pytest.mark.slow
def test_equal_heads_are_rarely_called_different_over_data_sets():
    """No head is better over all data sets; on each of them one may be."""
    calls = []
    for sets, spread in itertools.product((8, 12, 20), (0.0, 0.02, 0.1)):
        rng, count = np.random.default_rng([sets, int(1000 * spread)]), np.zeros(4)
        for _ in range(BOARDS):
            # gap, flatten and two more, each with the mean of its folds
            scores = 0.8 + math.hypot(spread, 0.01) * rng.normal(size=(sets, 4))
            apart, sizes = scores[:, 1] - scores[:, 0], rng.integers(1, 200, sets)
            flatten = against_gap(apart, "flatten", 0.01, seed=0)["word"]
            related = effects.association(sizes.astype(float), apart)
            count += (
                flatten in ("flatten", "gap"),
                any(pair.holm_p < 0.05 for pair in ranks.compare_pairs(scores)),
                not related.low <= 0 <= related.high,
                # at the border of the region
                against_gap(apart + 0.01, "flatten", 0.01, seed=0)["word"] == "equal",
            )
        calls.append(count / BOARDS)
        print(sets, spread, count / BOARDS, flush=True)
    # .05 and three standard errors; of all boards .058
    assert (np.array(calls) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / BOARDS)).all()
    assert (np.mean(calls, axis=0) <= 0.058).all()
