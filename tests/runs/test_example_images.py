"""Example images of gap and flatten: which are chosen, and that their maps add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headfit.fitting.exact.method import Exact
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.fitting.softmax import softmax
from headfit.heads.chain import parse_head
from headfit.images.targets import Targets
from headfit.runs.example_images import (
    BOTH,
    EACH,
    KINDS,
    LONGEST,
    MOST,
    FoldModels,
    choose_examples,
    explain_examples,
    shortened,
)
from headfit.study.protocol.splits import make_splits
from numbered import numbered
from stored_maps import store_maps

SHAPE, CLASSES = (3, 4, 6), 3


def probabilities(rng: np.random.Generator, labels: np.ndarray, share: float) -> np.ndarray:
    """Some that are right about so often."""
    logits = rng.normal(size=(len(labels), CLASSES))
    logits[np.arange(len(labels)), labels] += np.where(rng.random(len(labels)) < share, 3, -3)
    return softmax(logits)


@given(st.integers(0, 10_000), st.integers(3, 80), st.floats(0, 1), st.floats(0, 1))
def test_each_kind_is_what_it_says_and_none_is_shown_twice(
    seed: int, n: int, good: float, better: float
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    by_head = {"gap": probabilities(rng, labels, good)}
    by_head["flatten"] = probabilities(rng, labels, better)
    targets = numbered(labels, CLASSES)
    examples = choose_examples(by_head, targets, seed)
    rows = [row for _, row, _ in examples]
    assert len(set(rows)) == len(rows) <= MOST
    kinds = [kind for kind, _, _ in examples]
    assert all(kinds.count(kind) <= EACH for kind in KINDS)
    right = {name: p.argmax(axis=1) == labels for name, p in by_head.items()}
    for kind, row, _ in examples:
        expected = {
            "only flatten right": (False, True),
            "only gap right": (True, False),
            "both wrong": (False, False),
            BOTH: (True, True),
        }[kind]
        assert (right["gap"][row], right["flatten"][row]) == expected
    every = {(bool(g), bool(f)) for g, f in zip(right["gap"], right["flatten"], strict=True)}
    assert len(set(kinds)) == len(every)
    assert choose_examples(by_head, targets, seed) == examples


def test_those_that_both_have_right_are_of_many_classes() -> None:
    labels = np.repeat([0, 1, 2], [90, 5, 5])
    sure = np.full((100, CLASSES), 0.1)
    sure[np.arange(100), labels] = 0.8
    examples = choose_examples({"gap": sure, "flatten": sure}, numbered(labels, CLASSES), 0)
    assert np.bincount(labels[[row for _, row, _ in examples]]).tolist() == [4, 4, 4]


@given(st.integers(1, 70), st.integers(1, 70))
def test_a_large_map_becomes_smaller_and_keeps_its_sum(height: int, width: int) -> None:
    values = np.random.default_rng(height * width).normal(size=(height, width))
    examples = shortened(values)
    assert max(examples.shape) <= LONGEST
    assert examples.sum() == pytest.approx(values.sum())
    if max(height, width) <= LONGEST:
        assert np.array_equal(examples, values)


def test_maps_and_bias_sum_to_the_logit_of_the_model_that_did_not_see_the_image(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), 8)
    maps = rng.uniform(0, 1, (len(labels), *SHAPE)).astype(np.float32)
    maps[np.arange(len(labels)), :, :, labels] += 0.4
    splits = make_splits(labels, folds=3, repeats=1, seed=0)
    problem = Problem(numbered(labels, CLASSES), splits, quick=True, seed=0)
    heads = {name: parse_head(name) for name in ("gap", "flatten")}
    stored = store_maps(tmp_path, maps)
    pooled = PooledFeatures(stored, tuple(head.pooling for head in heads.values()))
    models = {}
    for name, head in heads.items():
        outcome = Exact(head, pooled).cross_validate(problem)
        weights = Exact(head, pooled).fold_models(problem, outcome.choices)
        models[name] = FoldModels(head, outcome.probabilities[0], *weights)
    folds = splits.assignment[0]
    examples = explain_examples(models, stored, problem.targets, folds, 0)
    assert len(examples) == MOST
    for each in examples:
        row, target = each["row"], each["class"]
        predicted = {name: one["predicted"] for name, one in each["heads"].items()}
        assert target in {labels[row], *predicted.values()}
        for name, one in each["heads"].items():
            kernel, bias = models[name].kernels[folds[row]], models[name].biases[folds[row]]
            features = heads[name].pooling.pool(maps[row : row + 1], None)[0]
            logits = features.astype(np.float64) @ kernel + bias
            assert one["logit"] == pytest.approx(logits[target], abs=1e-2)
            assert np.sum(one["map"]) + one["bias"] == pytest.approx(one["logit"], abs=1e-3)
            assert softmax(logits[None])[0, target] == pytest.approx(one["p_class"], abs=2e-2)


def positions(n: int = 40) -> Targets:
    rng = np.random.default_rng(0)
    return Targets.of_numbers(["x", "y"], rng.normal(size=(n, 2)) * np.array([10.0, 0.1]))


def test_of_numbers_those_come_first_that_gap_misses_and_flatten_does_not() -> None:
    targets = positions()
    missed = np.zeros((40, 2))
    missed[7, 1], missed[3, 0] = 0.5, 20.0
    near = {"gap": targets.values + missed, "flatten": targets.values}
    examples = choose_examples(near, targets, 0)
    assert examples[:2] == [("only flatten close", 7, 1), ("only flatten close", 3, 0)]
    assert {kind for kind, *_ in examples[2:]} == {"both close"}
    assert len({row for _, row, _ in examples}) == len(examples) == MOST


def test_of_labels_an_image_is_shown_for_the_one_that_the_heads_differ_in() -> None:
    targets = Targets.of_labels([{"sea"}, {"sky"}, {"sea", "sky"}, set()] * 5)
    sure = np.where(targets.mentions, 0.9, 0.1)
    gap = sure.copy()
    gap[[5, 3]] = [[0.2, 0.1], [0.1, 0.8]]
    examples = choose_examples({"gap": gap, "flatten": sure}, targets, 0)
    assert examples[:2] == [("only flatten right", 5, 1), ("only flatten right", 3, 1)]
    assert all(targets.mentions[row, label] for _, row, label in examples[2:])


@pytest.mark.parametrize("kind", ["labels", "number"])
def test_maps_of_labels_and_numbers_add_up(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    maps = rng.uniform(0, 1, (40, *SHAPE)).astype(np.float32)
    values = maps[:, 0, 1, :2] * 10.0
    targets = Targets.of_numbers(["x", "y"], values)
    if kind == "labels":
        targets = Targets(("x", "y"), (values > 5).astype(np.int8), kind)
    splits = make_splits(targets.strata, folds=3, repeats=1, seed=0)
    problem = Problem(targets, splits, quick=True, seed=0)
    heads = {name: parse_head(name) for name in ("gap", "flatten")}
    stored = store_maps(tmp_path, maps)
    pooled = PooledFeatures(stored, tuple(head.pooling for head in heads.values()))
    models = {}
    for name, head in heads.items():
        outcome = Exact(head, pooled).cross_validate(problem)
        weights = Exact(head, pooled).fold_models(problem, outcome.choices)
        models[name] = FoldModels(head, outcome.probabilities[0], *weights)
    examples = explain_examples(models, stored, targets, splits.assignment[0], 0)
    for each in examples:
        for name, one in each["heads"].items():
            assert np.sum(one["map"]) + one["bias"] == pytest.approx(one["logit"], abs=1e-3)
            given = models[name].probabilities[each["row"], each["class"]]
            if kind == "number":
                assert one["predicted"] == given == pytest.approx(one["logit"], abs=2e-2)
            else:
                assert one["p_class"] == given
                assert (each["class"] in one["predicted"]) == (given >= 0.5)
