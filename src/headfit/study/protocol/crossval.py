"""Every head on the same folds: out-of-fold probabilities, and the settings that folds chose.

A head's settings (penalty, shape of the pooling, learning rate, epochs) are chosen anew inside each
outer training fold, on an inner split of it; the held-out fold never takes part. See
:mod:`headfit.study.protocol.linear` and :mod:`headfit.study.protocol.gradient` for how.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.fitting.fitted import FittedHead
from headfit.fitting.pooled import PooledFeatures
from headfit.heads.chain import Head
from headfit.progress import SILENT, Progress
from headfit.study.protocol import linear
from headfit.study.protocol.ledger import Ledger
from headfit.study.protocol.problem import Outcome, Problem


@dataclass(frozen=True)
class CrossValidation:
    """What cross-validation found of one head.

    Attributes:
        head: which one.
        probabilities: float64 (repeats, n, K), each image by the model that did not see it.
        train_scores: float64 (repeats · folds,), balanced accuracy on the training part.
        choices: settings chosen in each repeat and fold, in their order.
        final: settings for a model of all images.
        warnings: lines for the user.
        seconds: wall time of all fits, when they were made.
        refit: trains the head on all images with the final settings.
    """

    head: Head
    probabilities: np.ndarray
    train_scores: np.ndarray
    choices: list[dict[str, Any]]
    final: dict[str, Any]
    warnings: list[str]
    seconds: float
    refit: Callable[[], FittedHead]


def cross_validate(
    head: Head,
    pooled: PooledFeatures,
    problem: Problem,
    progress: Progress = SILENT,
    ledger: Ledger | None = None,
) -> CrossValidation:
    """Cross-validate one head.

    Args:
        head: a linear one is solved exactly, any other is trained by gradient descent.
        pooled: features of the n images.
        problem: labels, folds and budget, the same for all heads.
        progress: reports the fraction done.
        ledger: where finished fits are looked up and kept.
    """
    head = head.on(pooled.maps.shape[1:], problem.seed)
    method: Any = linear
    if not head.linear:
        # imported here: JAX takes a second, and a study of linear heads needs none of it
        from headfit.study.protocol import gradient as method  # noqa: PLC0415
    known = ledger.outcome(head) if ledger else None
    if known is None:
        start = time.perf_counter()
        outcome: Outcome = method.cross_validate(head, pooled, problem, progress)
        known = outcome, time.perf_counter() - start
        if ledger:
            ledger.keep_outcome(head, *known)
    outcome, seconds = known

    def refit() -> FittedHead:
        fitted = ledger.fitted(head, outcome.final) if ledger else None
        if fitted is None:
            fitted = method.refit(head, pooled, problem, outcome.final)
            if ledger:
                ledger.keep_fitted(outcome.final, fitted)
        return fitted

    return CrossValidation(
        head,
        outcome.probabilities,
        outcome.train_scores,
        outcome.choices,
        outcome.final,
        outcome.warnings,
        seconds,
        refit,
    )
