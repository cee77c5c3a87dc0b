"""What int8 changes, measured on the user's own images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.fitting.problem import Problem
from headfit.heads.chain import Head
from headfit.report.text.reliability import sentence
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.grouping import Grouping
from headfit.study.comparison.int8 import choose_sample, measure
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
    backbone: CandidateBackbone, problem: Problem, groups: Grouping, head: Head, recommended: bool
) -> Int8Effect:
    """Compare int8 with float32 on a sample of the training images.

    Args:
        backbone: that of the recommended head, with its maps in int8.
        problem: labels and folds of the n training images.
        groups: images that belong together, and near-duplicates, of which one is taken.
        head: a linear one.
        recommended: whether it is the recommended one.
    """
    source, extraction, rows = backbone.source, backbone.extraction, backbone.rows
    calibrated = source.calibration.digests if source.calibration else ()
    digests = np.array(extraction.digests)[rows]
    fresh = ~np.isin(digests, calibrated)
    folds, seed = problem.splits.folds, problem.seed
    some = choose_sample(problem.targets.strata, groups.alike, fresh, folds=folds, seed=seed)
    exact = source.float32(extraction.index.subset(rows[some]), digests[some].tolist())
    targets = problem.targets.subset(some)
    splits = make_splits(
        targets.strata,
        folds=folds,
        repeats=problem.splits.repeats,
        seed=seed,
        groups=None if groups.numbers is None else groups.numbers[some],
    )
    agreement = measure(
        extraction.maps.subset(rows[some]),
        exact.maps,
        replace(problem, targets=targets, splits=splits),
        head,
        recommended=recommended,
        calibrated=int((~fresh[some]).sum()),
    )
    info = extraction.info
    facts = agreement.to_dict(info.calibrated_on, info.speedup)
    return Int8Effect({**facts, "sentence": sentence(facts)}, exact.probe)
