"""What mistakes of evaluation would have claimed for the heads of a run; stored, so asked once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from headfit.fitting.problem import CrossValidation, Problem
from headfit.progress import Callback, Progress
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.results import Comparison
from headfit.study import claims
from headfit.study.comparison.contrast import FLATTEN, GAP
from headfit.study.comparison.evidence import weighted_scores
from headfit.study.protocol.crossval import cross_validate

# raise it with every change of what is stored
FORMAT = 1


def claims_of(
    comparison: Comparison,
    backbone: CandidateBackbone,
    callback: Callback,
    heads: Sequence[str] = (GAP, FLATTEN),
) -> dict[str, Any]:
    """Measure what three mistakes would have claimed, minus the honest score.

    Args:
        comparison: all heads, cross-validated.
        backbone: one of its backbones.
        callback: receives the progress.
        heads: for which tuning and groups are measured, by name; those that were not compared are
            left out.

    Returns:
        Plain data: ``metric``, ``images``, ``folds``, ``heads`` (each with ``name``, ``tuning`` and
        ``groups``) and ``selection``. A claim has ``claimed``, ``honest``, ``inflation`` and its
        interval, ``low`` to ``high``. ``groups`` is None if every image stands alone,
        ``selection`` if there is one head.
    """
    problem, groups = comparison.problem, comparison.groups.numbers
    fits = [fit for fit in map(backbone.fit_of, dict.fromkeys(heads)) if fit is not None]
    callback.on_stage_begin("What mistakes would claim", max(1, len(fits)))
    rows = []
    for number, fit in enumerate(fits):
        progress = Progress(partial(_report, callback, fit.head.name), number, number + 1)
        rows.append(_of_head(backbone, fit, problem, groups, progress))
    selection = None
    if len(backbone.fits) > 1:
        predictions = [fit.probabilities for fit in backbone.fits]
        score = weighted_scores(predictions, problem)
        selection = claims.selection(score, problem, groups).to_dict()
    return {
        "metric": problem.kind.primary,
        "images": len(problem.targets),
        "folds": problem.splits.folds,
        "heads": rows,
        "selection": selection,
    }


def _report(callback: Callback, head: str, done: float) -> None:
    callback.on_progress(done, head)


def _of_head(
    backbone: CandidateBackbone,
    fit: CrossValidation,
    problem: Problem,
    groups: np.ndarray | None,
    progress: Progress,
) -> dict[str, Any]:
    method, ledger = backbone.method(fit.head, problem), backbone.ledger(problem)
    key = [FORMAT, method.identity]
    tuning = ledger.facts("claims", key)
    if tuning is None:
        found = claims.tuning(fit, backbone.pooled, problem, progress.part(0, 2))
        tuning = claims.to_dict(found)
        ledger.store_facts("claims", key, tuning)
    leaked = None
    if groups is not None:
        apart = claims.ungrouped(problem)
        other = cross_validate(method, apart, progress.part(1, 2), backbone.ledger(apart))
        leaked = claims.groups_apart(fit, other, problem).to_dict()
    return {"name": fit.head.name, "tuning": tuning, "groups": leaked}
