"""Example images with what gap and flatten make of them, by models that did not see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.explain.contributions import Case, rule_of
from headfit.features.store import FeatureMaps
from headfit.fitting.label_metrics import THRESHOLD
from headfit.heads.chain import Head
from headfit.images.targets import CLASS, LABELS, NUMBER, Targets
from headfit.study.comparison.contrast import FLATTEN, GAP

EACH = 3
"""Images of each kind that has any; those that both heads have right fill up to MOST."""
MOST = 12
LONGEST = 28
"""Positions along a side up to which a map stays as it is; above, neighbours are summed."""
DIGITS = 5
BOTH, NEITHER = "both right", "both wrong"
KINDS = (f"only {FLATTEN} right", f"only {GAP} right", NEITHER)
CLOSE = 0.5
"""Share of a number's standard deviation by which a prediction may miss it and still be close."""
BOTH_CLOSE, NEITHER_CLOSE = "both close", "both far"
NUMBER_KINDS = (f"only {FLATTEN} close", f"only {GAP} close", NEITHER_CLOSE)


@dataclass(frozen=True)
class FoldModels:
    """The models of one linear head on the folds of a repeat, and their predictions.

    Attributes:
        head: which one.
        probabilities: predictions, float64 (n, K), each image by the model that did not see it.
        kernels: float32 (folds, d, K), the models as weights of the pooled features.
        biases: float32 (folds, K).
    """

    head: Head
    probabilities: np.ndarray
    kernels: np.ndarray
    biases: np.ndarray


@dataclass(frozen=True, eq=False)
class Judged:
    """How right the predictions of gap and flatten are, output by output.

    Attributes:
        right: bool (n, K), by head.
        score: float64 (n, K), by head; more is better.
        sure: float64 (n, K), how telling an image is that both have wrong.
        groups: int (n, K); of what both have right, each is to be of another group.
        shown: bool (n, K), what may be shown: of classes the true one alone.
        kinds: what images of either head, and of neither, are called, then of both.
    """

    right: Mapping[str, np.ndarray]
    score: Mapping[str, np.ndarray]
    sure: np.ndarray
    groups: np.ndarray
    shown: np.ndarray
    kinds: tuple[str, str, str, str]

    @classmethod
    def of(cls, predictions: Mapping[str, np.ndarray], targets: Targets) -> Judged:
        """Judge predictions, float64 (n, K), by head.

        A class is right if it is the most probable one, a label if it is more probable than not
        where the image has it, a number if it misses by at most half a standard deviation.
        """
        mentioned, columns = targets.mentions, np.arange(targets.count)
        groups = np.broadcast_to(columns, mentioned.shape)
        if targets.kind == NUMBER:
            spread = targets.values.std(axis=0)
            spread = np.where(spread > 0, spread, 1.0)
            far = {n: np.abs(p - targets.values) / spread for n, p in predictions.items()}
            right = {name: each <= CLOSE for name, each in far.items()}
            score = {name: -each for name, each in far.items()}
            sure, shown = np.minimum(far[GAP], far[FLATTEN]), np.ones_like(mentioned)
            # of different sizes
            ranks = targets.values.argsort(axis=0).argsort(axis=0)
            groups = ranks * min(MOST, len(targets)) // max(1, len(targets))
            return cls(right, score, sure, groups, shown, (*NUMBER_KINDS, BOTH_CLOSE))
        if targets.kind == LABELS:
            score = {n: np.where(mentioned, p, 1 - p) for n, p in predictions.items()}
            right = {name: each > 0.5 for name, each in score.items()}
            sure = sum(1 - each for each in score.values())
            # that a label is absent and both know it shows nothing
            shown = mentioned | ~(right[GAP] & right[FLATTEN])
            return cls(right, score, sure, groups, shown, (*KINDS, BOTH))
        best = {n: p.argmax(axis=1)[:, None] == columns for n, p in predictions.items()}
        sure = np.repeat(sum(p.max(axis=1) for p in predictions.values())[:, None], len(columns), 1)
        return cls(best, predictions, sure, groups, mentioned, (*KINDS, BOTH))


def explain_examples(
    models: Mapping[str, FoldModels],
    maps: FeatureMaps,
    targets: Targets,
    folds: np.ndarray,
    seed: int,
) -> list[dict[str, Any]]:
    """Explain some images with gap and with flatten, right and wrong ones.

    Both explain one output. Of classes that is the image's own if both are right, else what a wrong
    one predicts (flatten's if both are wrong): this shows what misled it, and whether that misled
    the other. Of labels and numbers it is the one that the image was chosen for.

    Args:
        models: of gap and of flatten, by name.
        maps: of the n images, (n, H, W, C).
        targets: of the n images.
        folds: int (n,), the fold that held each image out.
        seed: of the choice among images that both have right.

    Returns:
        Plain data for each image: ``row``, ``kind``, ``class`` (number of the output), and by head
        ``predicted``, ``p_predicted``, ``p_class``, ``logit``, ``bias`` and ``map``, in logits or
        the units of the number, which sums to logit − bias. ``predicted`` is the number of the
        class, a list of those of the labels, or the predicted number, which has no probability.
    """
    predictions = {name: each.probabilities for name, each in models.items()}
    examples = []
    for kind, row, output in choose_examples(predictions, targets, seed):
        if targets.kind == CLASS:
            chosen = {name: int(p[row].argmax()) for name, p in predictions.items()}
            wrong = [name for name in (FLATTEN, GAP) if chosen[name] != output]
            output = chosen[wrong[0]] if wrong else output
        ((_, piece),) = maps.subset(np.array([row])).chunks()
        examples.append(
            {
                "row": row,
                "kind": kind,
                "class": output,
                "heads": {
                    name: {
                        **_predicted(each.probabilities[row], output, targets.kind),
                        **_explained(each, piece, int(folds[row]), output),
                    }
                    for name, each in models.items()
                },
            }
        )
    return examples


def choose_examples(
    predictions: Mapping[str, np.ndarray], targets: Targets, seed: int
) -> list[tuple[str, int, int]]:
    """Choose images to show: where the heads differ, where both fail, and some right ones.

    Args:
        predictions: float64 (n, K) of gap and of flatten, by name.
        targets: of the n images.
        seed: of the choice among images that both have right.

    Returns:
        The kind, the row and the output of each: up to 3 of each kind in which a head is wrong,
        those first where it is most clearly so, then images that both have right, each of another
        class or label, or of other numbers, while there are any, up to 12 in all. No image twice.
    """
    judged = Judged.of(predictions, targets)
    gap, flatten = judged.right[GAP], judged.right[FLATTEN]
    strength = judged.score[FLATTEN] - judged.score[GAP]
    groups = (
        (flatten & ~gap, strength),
        (gap & ~flatten, -strength),
        (~gap & ~flatten, judged.sure),
    )
    chosen: list[tuple[str, int, int]] = []
    seen: set[int] = set()
    *kinds, both_right = judged.kinds
    for kind, (where, order) in zip(kinds, groups, strict=True):
        rows, outputs = np.nonzero(where & judged.shown)
        best = np.argsort(-order[rows, outputs], kind="stable")
        chosen += _fresh(kind, zip(rows[best], outputs[best], strict=True), seen, EACH)
    pairs = np.argwhere(gap & flatten & judged.shown)
    pairs = pairs[np.random.default_rng([seed, 7]).permutation(len(pairs))]
    of_group = judged.groups[pairs[:, 0], pairs[:, 1]]
    turn = np.array([(of_group[:i] == group).sum() for i, group in enumerate(of_group)], int)
    spread = pairs[np.argsort(turn, kind="stable")]
    return [*chosen, *_fresh(both_right, map(tuple, spread), seen, MOST - len(chosen))]


def _fresh(
    kind: str, pairs: Iterable[tuple[int, int]], seen: set[int], most: int
) -> list[tuple[str, int, int]]:
    """Take the first so many pairs of an image that was not taken, and an output."""
    taken: list[tuple[str, int, int]] = []
    for row, output in pairs:
        if len(taken) == most:
            break
        if int(row) not in seen:
            seen.add(int(row))
            taken.append((kind, int(row), int(output)))
    return taken


def _predicted(p: np.ndarray, output: int, kind: str) -> dict[str, Any]:
    """Say what a head predicts of one image, of predictions (K,)."""
    if kind == NUMBER:
        return {"predicted": float(p[output]), "p_predicted": None, "p_class": None}
    if kind == LABELS:
        has = np.flatnonzero(p >= THRESHOLD).tolist()
        return {"predicted": has, "p_predicted": None, "p_class": float(p[output])}
    best = int(p.argmax())
    return {"predicted": best, "p_predicted": float(p[best]), "p_class": float(p[output])}


def _explained(model: FoldModels, maps: np.ndarray, fold: int, target: int) -> dict[str, Any]:
    rule = rule_of(model.head.pooling)
    assert rule is not None, "gap and flatten have rules"
    _, height, width, channels = maps.shape
    flat = maps.reshape(1, height * width, channels).astype(np.float64)
    weights = model.kernels[fold][:, target].astype(np.float64)[None]
    case = Case(flat, weights, np.array([target]), (), 0.0, (height, width, channels))
    contributions = rule[1](case).reshape(height, width)
    bias = float(model.biases[fold, target])
    return {
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
