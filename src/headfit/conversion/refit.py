"""The new top refitted on the maps of the model, and its score on images it has not seen.

A linear top is solved exactly, as in a comparison, for classes, labels or numbers: the penalty is
chosen by inner cross-validation. A low rank is the decomposition of the refitted flatten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headfit.conversion import algebra
from headfit.conversion.algebra import Form
from headfit.conversion.pictures import Pictures
from headfit.fitting.exact.method import Exact
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem, Splits
from headfit.heads.chain import Head
from headfit.heads.layers import FLATTEN, GAP
from headfit.images.targets import LABELS, NUMBER
from headfit.progress import Callback, Progress
from headfit.report.text.summary import fit_warnings
from headfit.runs.grouping import UserGroups, find_groups, folds_for
from headfit.runs.options import Options
from headfit.study.protocol.crossval import cross_validate
from headfit.study.protocol.splits import make_splits


@dataclass(frozen=True, eq=False)
class Refit:
    """A new top.

    Attributes:
        form: fitted on all training images.
        probabilities: predictions of the images it was fitted to, float64 (k, K), each by a model
            of other folds.
        splits: those folds.
        groups: int (k,), equal for images that belong together; None if each stands alone.
        numbers: what comes before the activation, of the images that are scored, by models that
            have not seen them, (m, K).
        penalty: the λ chosen for ``form``.
        warnings: lines for the user.
    """

    form: Form
    probabilities: np.ndarray
    splits: Splits
    groups: np.ndarray | None
    numbers: np.ndarray
    penalty: float
    warnings: list[str]


def refit(form: Form, pictures: Pictures, seed: int, callback: Callback) -> Refit:
    """Fit a top of the same form, and rank, on the images.

    Args:
        form: what the model was converted to.
        pictures: images and maps.
        seed: of the folds.
        callback: told about the progress.

    Raises:
        DataError: if a class has too few images.
    """
    options = Options(protocol="quick", seed=seed)
    own = UserGroups.read(pictures.extraction.index, options)
    groups = find_groups(pictures.extraction, pictures.trained, own, options, callback)
    targets = pictures.targets.subset(pictures.trained)
    folds = folds_for(targets, groups, options, callback)
    splits = make_splits(
        targets.strata,
        folds=folds,
        repeats=1,
        seed=seed,
        groups=groups.numbers,
        names=targets.names,
        required=targets.kind != NUMBER,
    )
    problem = Problem(targets, splits, quick=True, seed=seed)
    head = Head(GAP if form.kind == GAP.name else FLATTEN)
    maps = pictures.maps(pictures.trained)
    method = Exact(head, PooledFeatures(maps, (head.pooling,)))
    callback.on_stage_begin("Fitting the new top", 1)
    validation = cross_validate(method, problem, Progress(callback.on_progress))
    kernel, bias = method.refit(problem, validation.final).weights
    fitted = _made(form, kernel, bias, pictures)
    held_out = validation.probabilities[0]
    if form.rank is not None:
        held_out = problem.kind.link(_held_out(form, method, problem, validation, pictures))
    if pictures.apart:
        numbers = of_maps(fitted, pictures, pictures.scored)
    else:
        numbers = _before_the_link(held_out, targets.kind)
    warnings = fit_warnings(head.name, validation.notes)
    penalty = validation.final["penalty"]
    return Refit(fitted, held_out, splits, groups.numbers, numbers, penalty, warnings)


def of_maps(form: Form, pictures: Pictures, rows: np.ndarray) -> np.ndarray:
    """Compute the outputs for some images, float32 (m, K), one piece of the store at a time."""
    pieces = pictures.maps(rows).chunks()
    return np.concatenate([form.numbers(_flat(piece)) for _, piece in pieces])


def _held_out(
    form: Form, method: Exact, problem: Problem, validation: CrossValidation, pictures: Pictures
) -> np.ndarray:
    """Decompose the flatten of each fold, and apply it to the images that it has not seen."""
    kernels, biases = method.fold_models(problem, validation.choices)
    numbers = np.empty((len(problem.targets), problem.targets.count))
    for fold, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        held = problem.splits.indices(0, fold)[1]
        made = _made(form, kernel, bias, pictures)
        numbers[held] = of_maps(made, pictures, pictures.trained[held])
    return numbers


def _before_the_link(predictions: np.ndarray, kind: str) -> np.ndarray:
    """Give scores (n, K) whose link gives these predictions."""
    if kind == NUMBER:
        return predictions
    tiny = np.finfo(float).tiny
    chances: np.ndarray = np.log(np.maximum(predictions, tiny))
    return chances - np.log(np.maximum(1 - predictions, tiny)) if kind == LABELS else chances


def _made(form: Form, kernel: np.ndarray, bias: np.ndarray, pictures: Pictures) -> Form:
    height, width, _ = pictures.extraction.maps.shape[1:]
    if form.rank is None:
        return Form(form.kind, {"kernel": kernel, "bias": bias})
    make = algebra.to_shared if form.kind == "shared" else algebra.to_low_rank
    return make(algebra.written_out("flatten", kernel, height * width), bias, form.rank)


def _flat(maps: np.ndarray) -> np.ndarray:
    return maps.reshape(len(maps), -1, maps.shape[-1])
