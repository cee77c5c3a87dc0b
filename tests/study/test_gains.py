"""Whether fine-tuning pays: each word at known differences, and how often it is said wrongly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats

import drawn
from drawn import Drawn
from headfit.report.text.finetune import headline, sentence
from headfit.study.comparison.compare import Difference
from headfit.study.comparison.gains import gains, word

SETS = 200


def difference(mean: float, se: float) -> Difference:
    def above(value: float) -> float:
        return float(stats.t.sf((value - mean) / se, 4))

    p_value = 2 * float(stats.t.sf(abs(mean) / se, 4))
    return Difference(
        *(mean, mean - 2.78 * se, mean + 2.78 * se, p_value),
        *(above(-0.01) - above(0.01), above(0.01), se, 4, se, se),
    )


@pytest.mark.parametrize(
    ("mean", "se", "expected"),
    [
        (0.06, 0.01, "pays"),
        (0.03, 0.0105, "ahead"),
        (0.001, 0.002, "equivalent"),
        (-0.04, 0.01, "does_not_pay"),
        (-0.2, 0.05, "does_not_pay"),
        (0.04, 0.03, "undecided"),
        (-0.005, 0.02, "undecided"),
    ],
)
def test_the_word_follows_from_the_difference(mean: float, se: float, expected: str) -> None:
    found = difference(mean, se)
    assert word(found, found.p_value) == expected


def test_nothing_is_said_of_a_difference_without_noise() -> None:
    nan = math.nan
    unknown = Difference(0.1, nan, nan, nan, nan, nan, nan, 4, nan, nan)
    assert word(unknown, nan) == "undecided"


def test_rows_are_corrected_for_each_other() -> None:
    study = Drawn({"gap": 0.8, "gmp": 0.83, "avgmax": 0.82}, 400)
    heads = study.draw(np.random.default_rng(0))
    alone = gains(heads, [(1, 0)], [1.0, 30.0, 30.0])
    both = gains(heads, [(1, 0), (2, 0)], [1.0, 30.0, 0.5])
    assert [each.name for each in both] == ["gmp", "avgmax"]
    assert both[0].difference == alone[0].difference
    assert both[0].p_value >= alone[0].p_value == alone[0].difference.p_value
    assert [each.seconds_ratio for each in both] == [30.0, 0.5]
    assert both[0].to_dict()["train_seconds_ratio"] == 30.0


@pytest.fixture
def as_by_default(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One cross-validation of five folds."""
    monkeypatch.setattr(drawn, "FOLDS", 5)
    monkeypatch.setattr(drawn, "REPEATS", 1)
    drawn._deal.cache_clear()
    yield
    drawn._deal.cache_clear()


def words(frozen: float, tuned: list[float], images: int, own: float) -> Counter[str]:
    """Count the words that answer many studies: those of the best row."""
    names = ["gmp", "avgmax", "gem", "lse"][: len(tuned)]
    study = Drawn({"gap": frozen, **dict(zip(names, tuned, strict=True))}, images, own)
    rng, said = np.random.default_rng(0), Counter[str]()
    for _ in range(SETS):
        pairs = [(row, 0) for row in range(1, 1 + len(tuned))]
        found = gains(study.draw(rng), pairs, [1.0] * (1 + len(tuned)))
        said[max(found, key=lambda each: each.difference.mean).word] += 1
    return said


def most(rate: float = 0.05) -> int:
    """The most of the sets that 99 % of samples show at this rate."""
    return int(stats.binom.ppf(0.99, SETS, rate))


@pytest.mark.usefixtures("as_by_default")
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize(("images", "own"), [(300, 0.3), (1500, 0.1)])
class TestWordsAreRarelySaidWhereTheyAreFalse:
    def test_pays_of_a_gain_within_the_rope(self, rows: int, images: int, own: float) -> None:
        assert words(0.85, [0.86] * rows, images, own)["pays"] <= most()

    def test_ahead_of_no_gain(self, rows: int, images: int, own: float) -> None:
        said = words(0.85, [0.85] * rows, images, own)
        assert said["ahead"] + said["pays"] <= most()

    def test_no_difference_of_one_beyond_the_rope(self, rows: int, images: int, own: float) -> None:
        for tuned in (0.835, 0.865):
            assert words(0.85, [tuned] * rows, images, own)["equivalent"] <= most()

    def test_does_not_pay_of_a_gain_beyond_the_rope(
        self, rows: int, images: int, own: float
    ) -> None:
        assert words(0.85, [0.861] * rows, images, own)["does_not_pay"] <= most()


@pytest.mark.usefixtures("as_by_default")
def test_large_differences_are_named() -> None:
    assert words(0.75, [0.85], 1500, 0.3)["pays"] > 0.8 * SETS
    assert words(0.85, [0.75], 1500, 0.3)["does_not_pay"] > 0.9 * SETS


def gain(name: str, mean: float, low: float | None, high: float | None, **more: Any) -> Any:
    spread = {"mean": mean, "low": low, "high": high}
    shown = low is not None and high is not None and (low > 0 or high < 0)
    p_value = None if low is None else 0.001 if shown else 0.3
    told = {"difference": spread, "holm_p_value": p_value, "train_seconds_ratio": 40.2}
    return {"word": "pays", "name": name, **told, **more}


@pytest.mark.parametrize(
    ("variant", "found", "expected"),
    [
        (
            "last",
            gain("gap+last", 0.018, 0.006, 0.03),
            "Fine-tuning the last stage brings +1.8 points (+0.6 to +3.0) for 40 times the",
        ),
        (
            "all",
            gain("gap+all", -0.02, -0.05, 0.01, train_seconds_ratio=1.2),
            "Fine-tuning the whole backbone makes no clear difference: −2.0 points (−5.0 to +1.0), "
            "for about the same training time.",
        ),
        (
            "2",
            gain("gap+2", 0.0, None, None),
            "Fine-tuning the last 2 stages makes no clear difference: 0.0 points, for 40 times",
        ),
        ("relu1", gain("x", 0.5, 0.4, 0.6), "Fine-tuning what follows relu1 brings +50.0 points"),
        ("views", gain("x", 0.01, 0.0, 0.02), "Training the head on views makes no clear"),
        (
            "last",
            gain("x", 0.01, 0.001, 0.02, holm_p_value=0.06),  # of many rows
            "Fine-tuning the last stage makes no clear difference: +1.0 point",
        ),
        (
            "scratch",
            gain("x", -0.3, -0.4, -0.2),
            "Training from scratch loses 30.0 points (20.0 to",
        ),
    ],
)
def test_a_sentence_says_what_a_row_brings_and_costs(
    variant: str, found: Any, expected: str
) -> None:
    assert sentence(found, variant).startswith(expected)
    of_vgg = sentence(found, variant, "VGG16")
    assert of_vgg.startswith(f"With VGG16, {expected[0].lower()}{expected[1:]}")


def test_every_word_has_a_headline() -> None:
    for variant, words in (("last", "ine-tuning"), ("scratch", "raining from scratch")):
        lines = {
            headline({"word": each}, variant)
            for each in ("pays", "ahead", "equivalent", "does_not_pay", "undecided")
        }
        assert len(lines) == 5 and all(words in line for line in lines)
