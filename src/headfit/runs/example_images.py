"""Example images with what gap and flatten make of them, by models that did not see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.explain.contributions import Case, rule_of
from headfit.features.store import FeatureMaps
from headfit.heads.chain import Head
from headfit.study.comparison.contrast import FLATTEN, GAP

EACH = 3
"""Images of each kind that has any; those that both heads have right fill up to MOST."""
MOST = 12
LONGEST = 28
"""Positions along a side up to which a map stays as it is; above, neighbours are summed."""
DIGITS = 5
BOTH, NEITHER = "both right", "both wrong"
KINDS = (f"only {FLATTEN} right", f"only {GAP} right", NEITHER)


@dataclass(frozen=True)
class FoldModels:
    """The models of one linear head on the folds of a repeat, and their predictions.

    Attributes:
        head: which one.
        probabilities: float64 (n, K), each image by the model that did not see it.
        kernels: float32 (folds, d, K), the models as weights of the pooled features.
        biases: float32 (folds, K).
    """

    head: Head
    probabilities: np.ndarray
    kernels: np.ndarray
    biases: np.ndarray


def explain_examples(
    models: Mapping[str, FoldModels],
    maps: FeatureMaps,
    labels: np.ndarray,
    folds: np.ndarray,
    seed: int,
) -> list[dict[str, Any]]:
    """Explain some images with gap and with flatten, right and wrong ones.

    Both explain one class: the label if both are right, else what a wrong one predicts (flatten's
    if both are wrong). This shows what misled it, and whether that misled the other.

    Args:
        models: of gap and of flatten, by name.
        maps: of the n images, (n, H, W, C).
        labels: int (n,).
        folds: int (n,), the fold that held each image out.
        seed: of the choice among images that both have right.

    Returns:
        Plain data for each image: ``row``, ``kind``, ``class`` (a number), and by head
        ``predicted`` (a number), ``p_predicted``, ``p_class``, ``logit``, ``bias`` and ``map``, in
        logits, which sums to logit − bias.
    """
    predicted = {name: each.probabilities.argmax(axis=1) for name, each in models.items()}
    rows = choose_examples({n: each.probabilities for n, each in models.items()}, labels, seed)
    examples = []
    for kind, row in rows:
        wrong = [n for n in (FLATTEN, GAP) if predicted[n][row] != labels[row]]
        target = int(predicted[wrong[0]][row] if wrong else labels[row])
        ((_, piece),) = maps.subset(np.array([row])).chunks()
        examples.append(
            {
                "row": int(row),
                "kind": kind,
                "class": target,
                "heads": {
                    name: _explained(each, piece, int(row), int(folds[row]), target)
                    for name, each in models.items()
                },
            }
        )
    return examples


def choose_examples(
    probabilities: Mapping[str, np.ndarray], labels: np.ndarray, seed: int
) -> list[tuple[str, int]]:
    """Choose images to show: where the heads differ, where both fail, and some right ones.

    Args:
        probabilities: float64 (n, K) of gap and of flatten, by name.
        labels: int (n,).
        seed: of the choice among images that both have right.

    Returns:
        The kind and the row of each: up to 3 of each kind in which a head is wrong, those first
        where it is most clearly so, then images that both have right, each of another class while
        there are any, up to 12 in all.
    """
    every = np.arange(len(labels))
    right = {name: p.argmax(axis=1) == labels for name, p in probabilities.items()}
    of_label = {name: p[every, labels] for name, p in probabilities.items()}
    gap, flatten = right[GAP], right[FLATTEN]
    strength = of_label[FLATTEN] - of_label[GAP]
    surest = sum(p.max(axis=1) for p in probabilities.values())
    groups = ((flatten & ~gap, strength), (gap & ~flatten, -strength), (~gap & ~flatten, surest))
    chosen: list[tuple[str, int]] = []
    for kind, (where, order) in zip(KINDS, groups, strict=True):
        rows = np.flatnonzero(where)
        best = rows[np.argsort(-order[rows], kind="stable")][:EACH]
        chosen += [(kind, int(row)) for row in best]
    both = np.random.default_rng([seed, 7]).permutation(np.flatnonzero(gap & flatten))
    turn = np.array([(labels[both[:i]] == labels[row]).sum() for i, row in enumerate(both)], int)
    spread = both[np.argsort(turn, kind="stable")][: MOST - len(chosen)]
    return [*chosen, *((BOTH, int(row)) for row in spread)]


def _explained(
    model: FoldModels, maps: np.ndarray, row: int, fold: int, target: int
) -> dict[str, Any]:
    rule = rule_of(model.head.pooling)
    assert rule is not None, "gap and flatten have rules"
    _, height, width, channels = maps.shape
    flat = maps.reshape(1, height * width, channels).astype(np.float64)
    weights = model.kernels[fold][:, target].astype(np.float64)[None]
    case = Case(flat, weights, np.array([target]), (), 0.0, (height, width, channels))
    contributions = rule[1](case).reshape(height, width)
    bias = float(model.biases[fold, target])
    p = model.probabilities[row]
    best = int(p.argmax())
    return {
        "predicted": best,
        "p_predicted": float(p[best]),
        "p_class": float(p[target]),
        "logit": float(contributions.sum()) + bias,
        "bias": bias,
        "map": [[float(f"{x:.{DIGITS}g}") for x in line] for line in shortened(contributions)],
    }


def shortened(contributions: np.ndarray) -> np.ndarray:
    """Sum neighbours of a large map, float64 (H, W), until no side is above 28; the sum stays."""
    for axis, length in enumerate(contributions.shape):
        step = -(-length // LONGEST)
        starts: Sequence[int] = range(0, length, step)
        contributions = np.add.reduceat(contributions, starts, axis=axis)
    return contributions
