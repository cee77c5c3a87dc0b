"""All that the results of many data sets say together, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import stdtrit

from headfit.study.across import effects, ranks
from headfit.study.across.rows import DataSet, Row, by_data_set
from headfit.study.across.signed_rank import signed_rank
from headfit.study.comparison.compare import Floats, check_rope, holm, or_none
from headfit.study.comparison.contrast import ALPHA, FLATTEN, GAP

FORMAT = 1
SURE = 0.95
# fewer data sets show nothing but the strongest of relations, and intervals are too short
FEWEST_FOR_ASSOCIATION = 8
BEST, EQUAL, UNDECIDED = "best", "equal", "undecided"
PROPERTIES = ("positions", "images_per_class", "position_share")


def conclude(rows: Sequence[Row], rope: float = 0.01, seed: int = 0) -> dict[str, Any]:
    """Compare heads over data sets.

    Each data set is one observation: several runs of one are averaged first.

    Args:
        rows: one for each run; all of one metric.
        rope: half-width of the region of practical equivalence, a fraction.
        seed: of the draws of the Bayesian test and of the bootstrap.

    Returns:
        Plain data for JSON:

        - ``data_sets``: name, rows, difference (flatten − gap), se, best_lead, …, of each.
        - ``ranks``: mean rank of each head, tests of all pairs, Friedman's test.
        - ``flatten`` and ``best``: flatten, or the best head, against gap: ``word``, the posterior
          of the Bayesian signed-rank test, the p-value of Wilcoxon's.
        - ``heterogeneity``: whether flatten − gap differs between data sets beyond the noise.
        - ``associations``: flatten − gap against properties of the data sets.
        - ``within``: how flatten − gap changes with the size of the map, within data sets.

        Each part has a ``reason``: None, or why its numbers are None: a ``code``, the number of
        ``data_sets``, and how many would be needed.

    Raises:
        UsageError: ``rope`` is not between 0 and 1.
        ValueError: no rows, or rows of several metrics.

    Example:

    >>> rows = [Row(name, "own", "r2", {"gap": [0.5, 0.6], "flatten": [0.7, 0.8]}, 2, 49, 100)
    ...         for name in "abcdef"]
    >>> conclude(rows)["flatten"]["word"]
    'flatten'
    """
    check_rope(rope)
    metrics = sorted({row.metric for row in rows})
    if len(metrics) != 1:
        raise ValueError(f"rows must be of one metric, not {', '.join(metrics) or 'none'}.")
    sets = by_data_set(rows)
    apart = np.array([each.difference for each in sets])
    lead = np.array([each.best_lead for each in sets])
    return {
        "format": FORMAT,
        "metric": metrics[0],
        "rope": rope,
        "rows": len(rows),
        "averaged": len(rows) > len(sets),
        "data_sets": [_described(each) for each in sets],
        "ranks": _ranks(sets),
        "flatten": against_gap(apart, FLATTEN, rope, seed),
        "best": against_gap(lead, BEST, rope, seed),
        "heterogeneity": _heterogeneity(sets),
        "associations": _associations(sets, seed),
        "within": _within(sets),
    }


def _described(each: DataSet) -> dict[str, Any]:
    names = ("difference", "best_lead", *PROPERTIES)
    return {
        "name": each.name,
        "rows": len(each.rows),
        "images": max(row.images for row in each.rows),
        "scores": each.scores,
        "se": or_none(each.standard_error),
        **{name: or_none(getattr(each, name)) for name in names},
    }


def _ranks(sets: Sequence[DataSet]) -> dict[str, Any]:
    """Rank the heads that all data sets have."""
    every = list(dict.fromkeys(head for each in sets for head in each.scores))
    heads = [head for head in every if all(head in each.scores for each in sets)]
    result: dict[str, Any] = {
        "heads": heads,
        "left_out": [head for head in every if head not in heads],
        "mean_ranks": None,
        "pairs": None,
        "alike": None,
        "friedman": None,
        "critical_difference": None,
    }
    count = len(heads)
    if count < 2:
        return {**result, "reason": {"code": "heads", "data_sets": len(sets), "needed": None}}
    reason = _too_few(len(sets), ranks.fewest_data_sets(count * (count - 1) // 2))
    if reason:
        return {**result, "reason": reason}
    scores = np.array([[each.scores[head] for head in heads] for each in sets])
    means, pairs = ranks.mean_ranks(scores), ranks.compare_pairs(scores)
    runs = ranks.alike(means, pairs)
    if count > 2:
        test = ranks.friedman(scores)
        result["friedman"] = {
            "chi2": test.chi2,
            "f": or_none(test.f),
            "p_value": test.p_value,
        }
    return {
        **result,
        "mean_ranks": dict(zip(heads, means.tolist(), strict=True)),
        "pairs": [
            {
                "first": heads[pair.first],
                "second": heads[pair.second],
                "median": pair.median,
                "p_value": pair.p_value,
                "holm_p_value": pair.holm_p,
            }
            for pair in pairs
        ],
        "alike": [[heads[h] for h in run] for run in runs],
        "critical_difference": ranks.critical_difference(count, len(sets)),
        "reason": None,
    }


def against_gap(differences: Floats, name: str, rope: float, seed: int) -> dict[str, Any]:
    """Test how far a head is ahead of gap, over the data sets that have both.

    Something is said only if the posterior and the signed-rank test both say so. By the posterior
    alone, heads without any difference were told apart on up to 15 % of simulated boards, and heads
    that differ by the ROPE were practically equal on up to 14 %.

    Args:
        differences: float64 (data sets,), nan where unknown.
        name: of the head, ``"flatten"`` or ``"best"``.
        rope: half-width of the region of practical equivalence.
        seed: of the draws.

    Returns:
        A part of what :func:`conclude` gives.
    """
    known = differences[np.isfinite(differences)]
    n = len(known)
    empty = dict.fromkeys(("mean", "low", "high", "median", "p_value", "posterior", "word"))
    reason = _too_few(n, ranks.fewest_data_sets())
    if reason:
        return {"data_sets": n, **empty, "reason": reason}
    posterior, p_value = signed_rank(known, rope, seed), ranks.signed_rank_p(known)
    mean = float(known.mean())
    reach = float(stdtrit(n - 1, 0.975) * known.std(ddof=1) / np.sqrt(n))
    word = UNDECIDED
    if posterior.equal >= SURE and ranks.equivalence_p(known, rope) < ALPHA:
        word = EQUAL
    elif p_value < ALPHA and max(posterior.above, posterior.below) >= SURE:
        word = name if posterior.above > posterior.below else GAP
    return {
        "data_sets": n,
        "mean": mean,
        "low": mean - reach,
        "high": mean + reach,
        "median": float(np.median(known)),
        "p_value": p_value,
        "posterior": {GAP: posterior.below, EQUAL: posterior.equal, name: posterior.above},
        "word": word,
        "reason": None,
    }


def _heterogeneity(sets: Sequence[DataSet]) -> dict[str, Any]:
    apart, errors = _columns(sets, "difference", "standard_error")
    empty = dict.fromkeys(("q", "df", "p_value", "share"))
    reason = _too_few(len(apart), ranks.fewest_data_sets())
    if reason:
        return {**empty, "reason": reason}
    found = effects.heterogeneity(apart, errors)
    return {
        "q": found.q,
        "df": found.df,
        "p_value": found.p_value,
        "share": found.share,
        "reason": None,
    }


def _associations(sets: Sequence[DataSet], seed: int) -> dict[str, Any]:
    """Correlate flatten − gap with each property; Holm's correction over the properties."""
    result: dict[str, dict[str, Any]] = {}
    for name in PROPERTIES:
        apart, values = _columns(sets, "difference", name)
        reason = _too_few(len(apart), FEWEST_FOR_ASSOCIATION)
        found = None if reason else effects.association(values, apart, seed)
        if found is None and not reason:
            reason = {"code": "constant", "data_sets": len(apart), "needed": None}
        result[name] = {
            "data_sets": len(apart),
            "rho": found and found.rho,
            "low": found and found.low,
            "high": found and found.high,
            "p_value": found and found.p_value,
            "holm_p_value": None,
            "reason": reason,
        }
    tested = [name for name in PROPERTIES if result[name]["p_value"] is not None]
    adjusted = holm(np.array([result[name]["p_value"] for name in tested], np.float64))
    for name, p_value in zip(tested, adjusted.tolist(), strict=True):
        result[name]["holm_p_value"] = p_value
    return result


def _within(sets: Sequence[DataSet]) -> dict[str, Any]:
    """Summarise the change of flatten − gap for each doubling of the positions of a map."""
    slopes = np.array([each.slope for each in sets if np.isfinite(each.slope)])
    n = len(slopes)
    empty = dict.fromkeys(("mean", "low", "high", "p_value"))
    reason = _too_few(n, ranks.fewest_data_sets())
    if reason:
        return {"data_sets": n, **empty, "reason": reason}
    mean = float(slopes.mean())
    reach = float(stdtrit(n - 1, 0.975) * slopes.std(ddof=1) / np.sqrt(n))
    return {
        "data_sets": n,
        "mean": mean,
        "low": mean - reach,
        "high": mean + reach,
        "p_value": ranks.signed_rank_p(slopes),
        "reason": None,
    }


def _columns(sets: Sequence[DataSet], *names: str) -> list[Floats]:
    """Give some attributes of the data sets that have all of them."""
    values = np.array([[getattr(each, name) for name in names] for each in sets], np.float64)
    return list(values[np.isfinite(values).all(axis=1)].T)


def _too_few(count: int, needed: int) -> dict[str, Any] | None:
    return {"code": "few", "data_sets": count, "needed": needed} if count < needed else None
