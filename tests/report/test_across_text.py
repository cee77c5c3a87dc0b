"""Sentences over data sets: one for each condition."""

from __future__ import annotations

import numpy as np
import pytest

from headfit.report.text import across, claims
from headfit.study.across import summarise
from headfit.study.across.plain import rows_of


def row(name: str, lead: float, *, noise: float = 0.005, source: str = "", **more) -> dict:
    """Give a row of a board: gap and flatten on 2 × 5 folds."""
    rng = np.random.default_rng(int(name))
    folds = {
        h: (0.8 + by + noise * rng.normal(size=10)).tolist()
        for h, by in (("gap", 0), ("flatten", lead), ("gmp", -0.1))
    }
    return {
        "source": source or name,
        "data": name,
        "backbone": "own",
        "metric": "balanced_accuracy",
        "kind": "class",
        "heads": {head: {"folds": values} for head, values in folds.items()},
        "folds": 5,
        "rope": 0.01,
        "map_shape": [7, 7, 1280],
        "images": 500,
        "images_a_class": 50.0,
        "position_share": None,
        **more,
    }


def lines(leads, **more) -> list[str]:
    return across.sentences(summarise([row(str(i), lead, **more) for i, lead in enumerate(leads)]))


def test_few_data_sets_are_said_to_be_few():
    said = lines([0.1] * 4)
    assert said == [
        "Flatten and gap are not compared over data sets: 4 data sets cannot show a difference, at "
        "least 6 are needed.",
        "Heads are not ranked over data sets: 4 data sets cannot show a difference, at least 7 are "
        "needed.",
    ]


@pytest.mark.parametrize(
    ("leads", "beginning"),
    [
        ([0.05] * 8, "Flatten is better than gap over 8 data sets by more than 1.0 point"),
        ([-0.05] * 8, "gap is better than flatten over 8 data sets by more than 1.0 point"),
        ([0.0] * 8, "Flatten and gap are practically equal over 8 data sets, within 1.0 point"),
        ([0.08, -0.08] * 4, "Whether flatten is better than gap over 8 data sets is undecided"),
    ],
)
def test_each_answer_over_data_sets_has_its_sentence(leads, beginning):
    assert lines(leads)[0].startswith(beginning)


def test_it_is_said_whether_the_difference_depends_on_the_data_set():
    assert "depends on the data set (p < 0.001): measure it" in lines([0.08, -0.08] * 4)[1]
    assert lines([0.02] * 8)[1].startswith("The differences between data sets are no larger than")


def test_ranks_name_who_is_better_and_who_is_left_out():
    said = "\n".join(lines([0.05] * 8))
    assert "flatten is better than gap and gmp; gap is better than gmp, with Holm's" in said
    assert "Mean ranks: flatten 1.0, gap 2.0 and gmp 3.0." in said


def test_the_relation_to_the_map_is_said_with_its_direction():
    sizes = [2, 3, 4, 5, 6, 7, 8, 10, 12]
    rows = [row(str(i), 0.01 * i, map_shape=[s, s, 8]) for i, s in enumerate(sizes)]
    said = "\n".join(across.sentences(summarise(rows)))
    assert "Flatten − gap is larger with larger maps (Spearman's ρ +" in said
    assert "images of a class" not in said  # the same everywhere


def test_runs_of_the_same_images_are_one_data_set_whatever_they_are_called():
    rows = [row("1", 0.1), row("1", 0.1, source="other name"), row("2", 0.1, source="1")]
    assert {each.data_set for each in rows_of(rows)} == {"1"}
    assert across.sentences(summarise(rows))[-1] == (
        "The 3 runs are of 1 data set: runs of the same images are averaged, so each data set "
        "counts once."
    )


def test_mistakes_are_summed_up_in_a_line():
    def claim(inflation):
        return {"claimed": 0.9, "honest": 0.9 - inflation, "inflation": inflation}

    heads = [{"name": "flatten", "tuning": {"overall": claim(0.01)}, "groups": claim(0.052)}]
    data = {"metric": "balanced_accuracy", "heads": heads, "selection": None}
    assert claims.inflations(data) == {"settings": 0.01, "duplicates": 0.052}
    assert claims.summary(data) == (
        "claimed − honest score (flatten): choosing settings on the scored folds +1.0 point and "
        "images that belong together in different folds +5.2 points"
    )
