"""Cross-validated heads as models: fitted on all training images, with what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from headfit.fitting.fitted import FittedHead
from headfit.fitting.problem import CrossValidation, Problem
from headfit.model.blueprint import Blueprint
from headfit.progress import Callback
from headfit.runs.candidates import Entry
from headfit.runs.results import Outcome
from headfit.study.reliability.assessment import Reliability, assess


def reliability_of(entry: Entry, fit: CrossValidation, problem: Problem) -> Reliability:
    """Find out how far a head may be believed, from its out-of-fold predictions."""
    index = entry.found.index.subset(entry.rows)
    return assess(
        fit.probabilities,
        problem.labels,
        problem.splits.assignment,
        index.classes,
        index.paths,
        entry.averages(),
        problem.seed,
    )


def blueprint(
    entry: Entry, fitted: FittedHead, probe: np.ndarray, reliability: Reliability
) -> Blueprint:
    """Gather what a classifier is made of.

    Args:
        entry: the backbone.
        fitted: the head, of all training images.
        probe: the backbone's maps of the probe images, float32 (2, H, W, C).
        reliability: of this head.
    """
    return Blueprint(
        entry.source.spec.name,
        entry.source.weights,
        entry.source.contract,
        fitted,
        entry.found.index.classes,
        fitted.probabilities(probe),
        version("headfit"),
        reliability.for_model(),
        cut=entry.source.cut,
        reference=entry.source.spec.reference,
    )


def keep(
    names: Sequence[str], outcome: Outcome, home: Entry, probe: np.ndarray, callback: Callback
) -> dict[str, Blueprint]:
    """Make models of heads that are kept beside the recommended one, on its backbone.

    Args:
        names: of the heads, without the recommended one.
        outcome: all that were compared.
        home: the backbone of the recommended one.
        probe: its maps of the probe images.
        callback: is told the progress, and which were not compared.

    Returns:
        name → model.
    """
    place = [entry for entry in outcome.entries if entry.name == home.name]
    kept = {}
    for name in names:
        found = [(e, f) for e in place if (f := e.fit_of(name)) is not None]
        if not found:
            callback.on_message(f"WARNING: {name} was left out on {home.name}, so it is not kept.")
            continue
        ((entry, fit),) = found
        callback.on_stage_begin(f"Fitting {name} on all training images", 1)
        maps = probe if entry is home else entry.found.probe
        known = reliability_of(entry, fit, outcome.problem)
        kept[name] = blueprint(entry, entry.refit(fit, outcome.problem), maps, known)
    return kept
