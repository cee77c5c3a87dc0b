"""Every head on the same folds: out-of-fold probabilities, and the settings that folds chose.

A head's settings (penalty, shape of the pooling, learning rate, epochs) are chosen inside each
outer training fold, on an inner split of it; the held-out fold never takes part. How, is up to the
head's method (:mod:`headfit.fitting.methods`).
"""

from __future__ import annotations

import time
from dataclasses import replace

from headfit.fitting.fitted import FittedHead
from headfit.fitting.methods import Method
from headfit.fitting.problem import CrossValidation, Problem, Settings
from headfit.progress import SILENT, Progress
from headfit.study.protocol.ledger import Ledger


def cross_validate(
    method: Method, problem: Problem, progress: Progress = SILENT, ledger: Ledger | None = None
) -> CrossValidation:
    """Cross-validate one head, or look up how that went before.

    Args:
        method: of the head.
        problem: labels, folds and budget, the same for all heads.
        progress: reports the fraction done.
        ledger: where finished fits are looked up and stored.
    """
    stored = ledger.cross_validation(method) if ledger else None
    if stored is not None:
        return stored
    start = time.perf_counter()
    fit = method.cross_validate(problem, progress)
    fit = replace(fit, seconds=time.perf_counter() - start)
    if ledger:
        ledger.store_cross_validation(method, fit)
    return fit


def refit(
    method: Method, problem: Problem, settings: Settings, ledger: Ledger | None = None
) -> FittedHead:
    """Fit a head on all images, or look up the one fitted before.

    Args:
        method: of the head.
        problem: labels and budget.
        settings: of its cross-validation.
        ledger: where finished fits are looked up and stored.
    """
    fitted = ledger.fitted(method, settings) if ledger else None
    if fitted is None:
        fitted = method.refit(problem, settings)
        if ledger:
            ledger.store_fitted(method, settings, fitted)
    return fitted
