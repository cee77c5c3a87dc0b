"""What int8 changes, measured on the user's own images before anybody relies on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.features.extract import Extraction
from headfit.fitting.problem import Problem
from headfit.heads.chain import Head
from headfit.report.text.int8 import sentence
from headfit.runs.map_source import MapSource
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
    source: MapSource,
    found: Extraction,
    rows: np.ndarray,
    problem: Problem,
    groups: np.ndarray | None,
    alike: np.ndarray | None,
    head: Head,
    *,
    recommended: bool,
) -> Int8Effect:
    """Compare int8 with float32 on a sample of the training images.

    Args:
        source: of maps in int8.
        found: the maps of all images.
        rows: int (n,), which of these the study trains on.
        problem: labels and folds of those n.
        groups: int (n,), equal for images that belong together; None if there are none.
        alike: int (n,), equal for copies and near-duplicates, of which one is taken.
        head: a linear one.
        recommended: whether it is the recommended one.
    """
    used = source.calibration.digests if source.calibration else ()
    digests = np.array(found.digests)[rows]
    fresh = ~np.isin(digests, used)
    folds, seed = problem.splits.folds, problem.seed
    some = choose_sample(problem.labels, alike, fresh, folds=folds, seed=seed)
    exact = source.float32(found.index.subset(rows[some]), digests[some].tolist())
    labels = problem.labels[some]
    splits = make_splits(
        labels,
        folds=folds,
        repeats=problem.splits.repeats,
        seed=seed,
        groups=None if groups is None else groups[some],
    )
    agreement = measure(
        found.maps.subset(rows[some]),
        exact.maps,
        replace(problem, labels=labels, splits=splits),
        head,
        recommended=recommended,
        calibrated=int((~fresh[some]).sum()),
    )
    info = found.info
    facts = agreement.to_dict(info.calibrated_on, info.speedup)
    return Int8Effect({**facts, "sentence": sentence(facts)}, exact.probe)
