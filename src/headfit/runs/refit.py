"""Heads as models: fitted on all training images, with their reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np

from headfit.backbones.catalog import find
from headfit.backbones.licences import weights_origin
from headfit.fitting.fitted import FittedHead
from headfit.fitting.problem import CrossValidation, Problem
from headfit.model.blueprint import Blueprint
from headfit.model.provenance import Provenance
from headfit.progress import Callback
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.results import Comparison
from headfit.study.reliability.assessment import Assessment, assess


def reliability_of(
    backbone: CandidateBackbone, fit: CrossValidation, problem: Problem, groups: np.ndarray | None
) -> Assessment:
    """Measure how reliable a head is, on its out-of-fold predictions; ``groups`` is int (n,)."""
    index = backbone.extraction.index.subset(backbone.rows)
    return assess(
        predictions=fit.probabilities,
        targets=problem.targets,
        splits=problem.splits.assignment,
        paths=index.paths,
        features=backbone.averages(),
        seed=problem.seed,
        groups=groups,
    )


def with_provenance(made: Blueprint, results: dict[str, Any]) -> Blueprint:
    """Let a model file say where it comes from, as the results of its run do."""
    weights = weights_origin(find(made.reference or made.backbone), made.weights)
    sentence, data = results["verdict"]["sentence"], results["fingerprint"]["data"]
    return replace(made, provenance=Provenance(sentence, weights, data))


def blueprint(
    backbone: CandidateBackbone, fitted: FittedHead, probe: np.ndarray, reliability: Assessment
) -> Blueprint:
    """Gather what a classifier is made of; ``probe`` are maps, float32 (2, H, W, C)."""
    source = backbone.source
    return Blueprint(
        source.spec.name,
        source.weights,
        source.contract,
        fitted,
        classes=backbone.extraction.index.classes,
        probe=fitted.probabilities(probe),
        version=version("headfit"),
        reliability=reliability.for_model(),
        cut=source.cut,
        reference=source.spec.reference,
    )


def keep_models(
    names: Sequence[str],
    comparison: Comparison,
    chosen: CandidateBackbone,
    probe: np.ndarray,
    callback: Callback,
) -> dict[str, Blueprint]:
    """Make models of heads beside the recommended one, on its backbone.

    Args:
        names: of the heads, without the recommended one.
        comparison: all that were compared.
        chosen: the backbone of the recommended one.
        probe: its maps of the probe images.
        callback: receives the progress, and a message for each head that was not compared.

    Returns:
        name → model.
    """
    backbones = [each for each in comparison.backbones if each.name == chosen.name]
    models = {}
    for name in names:
        fits = [(each, fit) for each in backbones if (fit := each.fit_of(name)) is not None]
        if not fits:
            callback.on_message(
                f"WARNING: {name} was left out on {chosen.name}, so there is no model of it."
            )
            continue
        ((backbone, fit),) = fits
        callback.on_stage_begin(f"Fitting {name} on all training images", 1)
        maps = probe if backbone is chosen else backbone.extraction.probe
        reliability = reliability_of(backbone, fit, comparison.problem, comparison.groups.numbers)
        models[name] = blueprint(
            backbone, backbone.refit(fit, comparison.problem), maps, reliability
        )
    return models
