"""What int8 changes, measured on the user's own images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.heads.chain import Head
from headfit.images.targets import NUMBER
from headfit.progress import Callback
from headfit.report.text.reliability import sentence
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.results import Comparison
from headfit.study.comparison.int8 import choose_head, choose_sample, measure
from headfit.study.protocol.splits import make_splits


@dataclass(frozen=True)
class Int8Effect:
    """What int8 changes.

    Attributes:
        described: as it goes into results; None if float32 is in use.
        probe: the probe images' maps in float32, which the saved model must reproduce.
    """

    described: dict[str, Any] | None
    probe: np.ndarray


def int8_effect(
    backbone: CandidateBackbone, comparison: Comparison, chosen: Head, callback: Callback
) -> Int8Effect:
    """Compare int8 with float32 on a sample of the training images, if it is in use.

    Args:
        backbone: that of the recommended head.
        comparison: its problem, and the images that belong together: of near-duplicates one is
            taken.
        chosen: the recommended head; another takes its place if it is not linear.
        callback: is told that this begins.
    """
    source, extraction, rows = backbone.source, backbone.extraction, backbone.rows
    if source.calibration is None:
        return Int8Effect(None, extraction.probe)
    callback.on_stage_begin("int8 against float32", 1)
    problem, groups = comparison.problem, comparison.groups
    head = choose_head(chosen.name, backbone.fits, backbone.metrics, problem.kind.primary)
    calibrated = source.calibration.digests
    digests = np.array(extraction.digests)[rows]
    fresh = ~np.isin(digests, calibrated)
    folds, seed = problem.splits.folds, problem.seed
    some = choose_sample(problem.targets.stratum, groups.alike, fresh, folds=folds, seed=seed)
    exact = source.float32(extraction.index.subset(rows[some]), digests[some].tolist())
    targets = problem.targets.subset(some)
    splits = make_splits(
        targets.strata,
        folds=folds,
        repeats=problem.splits.repeats,
        seed=seed,
        groups=None if groups.numbers is None else groups.numbers[some],
        required=targets.kind != NUMBER,
    )
    agreement = measure(
        extraction.maps.subset(rows[some]),
        exact.maps,
        replace(problem, targets=targets, splits=splits),
        head,
        recommended=head.name == chosen.name,
        calibrated=int((~fresh[some]).sum()),
    )
    info = extraction.info
    facts = agreement.to_dict(info.calibrated_on, info.speedup)
    return Int8Effect({**facts, "sentence": sentence(facts, problem.kind.primary)}, exact.probe)
