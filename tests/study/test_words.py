"""How often is each word said where it is false? By simulation, at a known truth.

``benchmarks/calibration.py`` draws ten times as many studies, of more kinds.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from drawn import HEADS, Drawn
from headfit.study.position.answer import PositionAnswer

SETS = 200


def words(accuracies: dict[str, float], images: int, own: float) -> Counter[str]:
    """Count the words of many studies; ``own`` is how much heads differ from each other."""
    study, rng = Drawn(accuracies, images, own), np.random.default_rng(0)
    return Counter(each.word for _ in range(SETS) for each in study.contrasts(rng))


def most(rate: float = 0.05) -> int:
    """The most of the sets that 99 % of samples show at this rate."""
    return int(stats.binom.ppf(0.99, SETS, rate))


@pytest.mark.parametrize("lead", [0.0075, 0.01])
@pytest.mark.parametrize("own", [0.1, 0.5])
def test_necessary_is_rarely_said_of_a_lead_within_the_rope(lead, own):
    said = words({"gap": 0.85, "flatten": 0.85 + lead}, 1000, own)
    assert said["necessary"] <= most()


@pytest.mark.parametrize(("images", "own"), [(400, 0.2), (1000, 0.3)])
def test_position_is_rarely_said_to_be_needed_where_a_blind_head_is_as_good(images, own):
    said = words({"gap": 0.75, "gmp": 0.85, "spp": 0.85, "flatten": 0.85}, images, own)
    assert said["necessary"] + said["position_needed"] <= most()


@pytest.mark.parametrize(("images", "own"), [(400, 0.2), (1000, 0.3)])
def test_position_is_rarely_said_to_matter_where_a_blind_head_is_as_good(images, own):
    accuracies = {"gap": 0.75, "gmp": 0.85, "spp": 0.85, "flatten": 0.85}
    study, rng = Drawn(accuracies, images, own), np.random.default_rng(1)
    flat = {"balanced_accuracy": {"mean": 0.8}, "ahead_of_gap": {"mean": 0.0, "high": None}}
    where = {"spectrum": {"curve": [{"tau": tau, **flat} for tau in (1.0, 0.5, 0.0)], "folds": 10}}
    said = 0
    for _ in range(SETS):
        for each in study.contrasts(rng):
            compared = each.against_flatten().items()
            names = [(list(accuracies)[head], word) for head, word in compared]
            verdict = {
                "flatten": each.word,
                "difference": vars(each.difference),
                "holm_p_value": each.p_value,
                "cheaper": [
                    {"head": name, "position_aware": HEADS[name], "against_flatten": word}
                    for name, word in names
                ],
            }
            said += PositionAnswer.of(where, verdict).word == "needed"
    assert said <= most()


@pytest.mark.parametrize(("images", "own"), [(300, 0.3), (1500, 0.1)])
def test_position_needed_is_rarely_said_where_the_cheaper_head_is_worse(images, own):
    said = words({"gap": 0.7, "spp": 0.83, "flatten": 0.85}, images, own)
    assert said["position_needed"] <= most()


@pytest.mark.parametrize(("images", "own"), [(1000, 0.05), (1500, 0.2)])
def test_equivalent_is_rarely_said_beyond_the_rope(images, own):
    said = words({"gap": 0.85, "flatten": 0.865}, images, own)
    assert said["equivalent"] <= most()


@pytest.mark.parametrize("images", [12, 60, 200, 400])
def test_equivalent_is_rarely_said_at_the_ceiling(images):
    said = words({"gap": 0.985, "flatten": 0.9999}, images, 0.1)
    assert said["equivalent"] <= most()


@pytest.mark.parametrize("own", [0.1, 0.5])
def test_equal_heads_are_rarely_called_different(own):
    said = words({"gap": 0.85, "gmp": 0.85, "spp": 0.85, "flatten": 0.85}, 400, own)
    false = said["necessary"] + said["position_needed"] + said["ahead"]
    assert false <= most(0.058)


def test_large_differences_are_named():
    assert words({"gap": 0.75, "flatten": 0.85}, 1000, 0.3)["necessary"] > 0.9 * SETS
    pyramid = words({"gap": 0.75, "gmp": 0.75, "spp": 0.851, "flatten": 0.85}, 3000, 0.05)
    assert pyramid["position_needed"] > 0.5 * SETS
